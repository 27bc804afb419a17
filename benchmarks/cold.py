"""CPU time of a batch while the cores rest most of the time, and while they hardly do: readers of a late store, few and many;
and workers that a quota stops, and without it.

Run: python benchmarks/cold.py     five minutes, on an idle machine of 2 cores; needs root, and the extra `bench`.
COLD and COLD_STOPPED of mlscale.model.pipeline come from here.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.doing import Data, command, meet
from benchmarks.drawn import Drawn
from benchmarks.ending import end_with_its_jobs
from benchmarks.needs import check_needs
from tests.running import job, rows_of

from mlscale.observe import proc

STOPPED = (Drawn("images", 20, 256, 2), Drawn("audio", 8, 0, 2), Drawn("shards", 20, 0, 2), Drawn("hdf5", 12, 0, 2))
JOBS = (
    Drawn("small", 15, 0, 2, "late mount", 11),
    Drawn("small", 15, 0, 40, "late mount", 11),
    Drawn("objects", 15, 0, 2, "late bucket", 18),
    Drawn("objects", 15, 0, 50, "late bucket", 18),
    *(one for drawn in STOPPED for one in (replace(drawn, circumstance="quota", amount=0.5), drawn) * 2),
)
OVER_S, OF_EACH = 10, 4


def cpu_s(pid: int) -> tuple[float, float]:
    """CPU seconds so far of a job's workers, and of who serves it: this process's other children."""
    workers = set(proc.children_of(pid))
    others = set(proc.children_of(proc.stat(pid).parent)) - {pid}
    return sum(proc.stat(p).cpu_s for p in workers), sum(proc.stat(p).cpu_s for p in others)


def measure(drawn: Drawn, data: Data) -> tuple[float, float, float, float]:
    """Batches a second, cores used by workers and servers, and CPU milliseconds of a batch of either."""
    log = data.folder / f"log{time.monotonic_ns()}"
    with (
        meet(drawn, data) as place,
        job(
            command(drawn, data, place),
            log,
            prefix=place if isinstance(place, list) else (),
            ready_steps=OF_EACH * drawn.workers,
        ) as pid,
    ):
        steps, before, began = len(rows_of(log)), cpu_s(pid), time.monotonic()
        time.sleep(OVER_S)
        seconds, after = time.monotonic() - began, cpu_s(pid)
        steps = len(rows_of(log)) - steps
    used = [b - a for a, b in zip(before, after, strict=True)]
    return steps / seconds, sum(used) / seconds, used[0] / steps * 1e3, used[1] / steps * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    check_needs(parser)
    end_with_its_jobs()
    data = Data(Path(tempfile.mkdtemp(prefix="mlscale-cold-")))
    data.make()
    print("| job | batches/s | cores | CPU of a batch: workers | server |\n|---|---|---|---|---|")
    for drawn in JOBS:
        rate, cores, workers_ms, server_ms = measure(drawn, data)
        print(f"| {drawn.name} | {rate:.1f} | {cores:.2f} | {workers_ms:.1f} ms | {server_ms:.1f} ms |", flush=True)


if __name__ == "__main__":
    main()
