"""gpuprof: a `with` around the loop."""

from __future__ import annotations

CHANGE = "two lines"
NAMES = (
    (r"workers are CPU-bound|CPU pegged", ("preprocessing",)),
    (r"io.bound|disk", ("storage",)),
    (r"waiting on the loader|num_workers|prefetch", ("loader_workers", "storage", "preprocessing")),
    (r"checkpoint", ("checkpoint",)),
    (r"No major bottlenecks", ("gpu",)),
)
SHOWN = r"\[(?:HIGH|MED|LOW)\].*"


def main() -> None:
    import gpuprof
    from benchmarks.peers.workload import Workload, tell

    workload = Workload()
    with gpuprof.profile("job", db_path="/tmp/gpuprof-peer.db"):
        for batch in workload.loader():
            workload.step(batch)
            if not workload.between():
                break
    tell(workload, "")  # it speaks itself, at the end


if __name__ == "__main__":
    main()
