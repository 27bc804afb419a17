"""DS-Analyzer's method (PVLDB 14(5):771): the same job on synthetic batches, on data in memory, and on the store as it is."""

from __future__ import annotations

CHANGE = "three runs, with two changed data sets"
NAMES = (
    (r"largest is fetch", ("storage",)),
    (r"largest is preparation", ("preprocessing", "loader_workers")),  # its "prep stall" is either
    (r"no stall", ("gpu",)),
)
SHOWN = ""
LEAST = 0.10  # of the time, from which a stall is one


def main() -> None:
    import time

    import torch
    from benchmarks.peers.workload import BATCH, Workload, tell

    workload = Workload()
    third = workload.args.seconds / 3

    def step_s(batches: object) -> float:
        began = first = time.monotonic()
        steps = 0
        for batch in batches:  # type: ignore[attr-defined]
            workload.step(batch)
            workload.between()
            steps += 1
            if steps == 8:
                first = time.monotonic()
            if time.monotonic() - began > third:
                break
        return (time.monotonic() - first) / max(1, steps - 8)

    one = torch.zeros(BATCH, 4096, dtype=torch.uint8)
    synthetic = step_s(one for _ in range(1_000_000))
    cached = step_s(workload.loader(cached=True))
    real = step_s(workload.loader())
    preparation, fetch = max(0.0, 1 - synthetic / cached), max(0.0, 1 - cached / real)
    largest = (
        "no stall"
        if max(preparation, fetch) < LEAST
        else f"largest is {'fetch' if fetch > preparation else 'preparation'}"
    )
    tell(workload, f"{largest}: preparation stall {preparation:.0%}, fetch stall {fetch:.0%}")


if __name__ == "__main__":
    main()
