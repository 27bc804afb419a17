"""fournex: its SDK around loader and step."""

from __future__ import annotations

CHANGE = "its SDK, some 5 lines"
NAMES = (
    (r"input_bound: Increase DataLoader workers", ("loader_workers",)),  # its first advice
    (r"input_bound", ("loader_workers", "storage", "preprocessing")),
    (r"launch_bound|underutilized", ("gpu_underfilled",)),
    (r"None", ("gpu",)),
)
SHOWN = ""


def main() -> None:
    import fournex
    from benchmarks.peers.workload import Workload, tell
    from fournex.step_context import step_context

    workload = Workload()
    fournex.init(job_name="job", output_dir="/tmp/fournex-peer")
    for number, batch in enumerate(fournex.instrument_dataloader(workload.loader())):
        with step_context(number, batch, model=workload.model):
            workload.step(batch)
        if not workload.between():
            break
    found = fournex.summarize_run_with_steady_state(fournex.get_local_events())
    steady = found["steady_state"].get("diagnosis") or {}
    advice = " · ".join(str(item.get("title")) for item in (steady.get("recommendations") or [])[:2])
    tell(workload, f"{found['scope_comparison']['steady_state_primary_bottleneck']}: {advice}")


if __name__ == "__main__":
    main()
