"""How steady this machine's cores are: the CPU time of the same work, from one part of a minute to the next.

Run: python benchmarks/steady.py     two minutes, on an idle machine.
Pure Python, and memory taken anew; on one core, then on all at once. A virtual machine shares its host with others.
"""

from __future__ import annotations

import argparse
import mmap
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from functools import partial

PART_S, PARTS = 2.5, 10
TURNS, FRESH_BYTES = 2000, 4 << 20


def python() -> int:
    """A fixed amount of nothing but Python."""
    return sum(sum(range(50)) for _ in range(TURNS))


def memory() -> None:
    """Fresh pages, each touched."""
    with mmap.mmap(-1, FRESH_BYTES) as pages:
        for place in range(0, FRESH_BYTES, mmap.PAGESIZE):
            pages[place] = 1


def costs(work: Callable[[], object], _core: int) -> list[float]:
    """CPU milliseconds of one piece of work, in each part."""
    found = []
    for _ in range(PARTS):
        pieces, ends, began = 0, time.monotonic() + PART_S, time.thread_time()
        while time.monotonic() < ends:
            work()
            pieces += 1
        found.append((time.thread_time() - began) / pieces * 1e3)
    return found


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print("| work | cores | CPU of a piece | least – most of the parts | swing |\n|---|---|---|---|---|")
    for name, work in (("Python", python), ("fresh memory", memory)):
        for cores in (1, len(os.sched_getaffinity(0))):
            with multiprocessing.Pool(cores) as pool:
                parts = [part for found in pool.map(partial(costs, work), range(cores), chunksize=1) for part in found]
            mean = statistics.fmean(parts)
            swing = statistics.stdev(parts) / mean
            print(
                f"| {name} | {cores} | {mean:.2f} ms | {min(parts):.2f} – {max(parts):.2f} ms | {swing:.1%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
