"""No tool: how fast the loop is by itself, and what mlscale attaches to."""

from __future__ import annotations

from benchmarks.peers.workload import Workload, run


def watch(workload: Workload) -> str:
    """The loop as people write it."""
    for batch in workload.loader():
        workload.step(batch)
        if not workload.between():
            break
    return ""


if __name__ == "__main__":
    run(watch)
