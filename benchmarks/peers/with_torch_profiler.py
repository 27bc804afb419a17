"""PyTorch's own profiler: 30 steps of trace. It gives a table of times and no verdict; it is read for
DataLoader as a reader would, who takes a fifth of the time for much."""

from __future__ import annotations

CHANGE = "a `with` around the loop"
NAMES = (
    (r"^DataLoader stands out", ("loader_workers", "storage", "preprocessing")),
    (r"^step stands out", ("gpu", "host", "checkpoint")),
)
SHOWN = ""
MUCH = 0.2


def main() -> None:
    from benchmarks.peers.workload import Workload, tell
    from torch.profiler import ProfilerActivity, profile, record_function, schedule

    workload = Workload()
    with profile(
        activities=[ProfilerActivity.CPU], schedule=schedule(wait=5, warmup=2, active=30, repeat=1)
    ) as profiler:
        for batch in workload.loader():
            with record_function("step"):
                workload.step(batch)
            profiler.step()
            if not workload.between():
                break
    rows = {row.key: row.cpu_time_total for row in profiler.key_averages()}
    wait = sum(value for key, value in rows.items() if "DataLoader" in key)
    step = rows.get("step", 0.0)
    largest = "DataLoader" if wait > MUCH * (wait + step) else "step"
    tell(workload, f"{largest} stands out: DataLoader {wait / 30e3:.0f} ms a step, step {step / 30e3:.0f} ms")


if __name__ == "__main__":
    main()
