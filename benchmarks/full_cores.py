"""What full cores cost: CPU time of a batch from one worker alone, and from as many as there are cores.

    python benchmarks/full_cores.py [--repeat 3]

Some seven minutes on two cores, on an idle machine; needs root, and the extra `bench`. Nine jobs whose steps are too short to be
the limit; one worker and all cores take turns, for machines drift. CROWDING of mlscale/model/pipeline.py comes from here, and
CONTENTION of mlscale/model/whatif.py: what the training thread waits for one of the full cores, in its own CPU time. The last
column is core time that nobody uses, which the model does not have: while a batch is taken over, one waits for the other.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.doing import Data, command
from benchmarks.drawn import Drawn
from benchmarks.ending import end_with_its_jobs
from benchmarks.needs import check_needs
from tests.running import job, rows_of
from tests.virtual_nvml.gpu import build_driver, make_state

from mlscale.observe import proc

JOBS = (
    Drawn("images", 21, 800, 1),
    Drawn("images", 8, 480, 1),
    Drawn("images", 6, 320, 1),
    Drawn("images", 4, 224, 1),
    Drawn("files", 6, 1.5, 1),
    Drawn("blobs", 6, 1.0, 1),
    Drawn("audio", 4, 0, 1),
    Drawn("shards", 4, 0, 1),
    Drawn("hdf5", 3, 0, 1),
)
READY_STEPS = 5
SECONDS = 8.0


@dataclass(frozen=True)
class Cost:
    """Of one batch, in seconds."""

    takes_s: float
    workers_cpu_s: float
    thread_cpu_s: float
    thread_waits_s: float  # in the run queue

    def idle_s(self, cores: int) -> float:
        """Core time that this job does not use."""
        return cores * self.takes_s - self.workers_cpu_s - self.thread_cpu_s


def queued(thread: proc.ThreadFiles) -> int:
    """Nanoseconds in the run queue so far."""
    _, queue_ns, _ = thread.schedule()
    if queue_ns is None:
        raise SystemExit("This kernel keeps no schedstat.")
    return queue_ns


def cost(drawn: Drawn, data: Data, driver: Path) -> Cost:
    """By the kernel's count of CPU time and the job's own of its steps."""
    state = make_state(data.folder / f"gpu{time.monotonic_ns()}")
    gpu = {"VIRTUAL_NVML_STATE": str(state), "LD_LIBRARY_PATH": str(driver)}
    log = data.folder / f"full{time.monotonic_ns()}"
    with job(command(drawn, data, None), log, ready_steps=READY_STEPS, **gpu) as pid:
        workers = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        so_far, own, theirs = len(rows_of(log)), proc.stat(pid).cpu_s, sum(proc.stat(w).cpu_s for w in workers)
        thread = proc.ThreadFiles(pid, pid)
        queued_ns = queued(thread)
        began = time.monotonic()
        time.sleep(SECONDS)
        own, theirs = proc.stat(pid).cpu_s - own, sum(proc.stat(w).cpu_s for w in workers) - theirs
        queued_ns = queued(thread) - queued_ns
        watched_s = time.monotonic() - began
        rows = rows_of(log)[so_far - 1 :]
    takes_s = (rows[-1]["t"] - rows[0]["t"]) / (rows[-1]["steps"] - rows[0]["steps"])
    batches = watched_s / takes_s
    return Cost(takes_s, theirs / batches, own / batches, queued_ns / 1e9 / batches)


def median(costs: list[Cost]) -> Cost:
    """Of each part by itself."""
    return Cost(
        statistics.median(c.takes_s for c in costs),
        statistics.median(c.workers_cpu_s for c in costs),
        statistics.median(c.thread_cpu_s for c in costs),
        statistics.median(c.thread_waits_s for c in costs),
    )


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    end_with_its_jobs()
    check_needs(parser)
    cores = len(os.sched_getaffinity(0))
    data = Data(Path(tempfile.mkdtemp(prefix="mlscale-full-")))
    driver = build_driver(data.folder)
    data.make()
    print(
        f"| job | CPU of a batch, one worker | {cores} workers | more | faster | loop waits for a core | idle, a batch |"
    )
    print("|---|---|---|---|---|---|---|")
    for drawn in JOBS:
        one, all_ = [], []
        for _ in range(options.repeat):
            one.append(cost(drawn, data, driver))
            all_.append(cost(replace(drawn, workers=cores), data, driver))
        alone, full = median(one), median(all_)
        print(
            f"| {drawn.kind}{f', {drawn.prepare:g}' if drawn.prepare else ''} | {alone.workers_cpu_s * 1e3:.1f} ms "
            f"| {full.workers_cpu_s * 1e3:.1f} ms | {full.workers_cpu_s / alone.workers_cpu_s - 1:+.0%} "
            f"| {alone.takes_s / full.takes_s:.2f} | {full.thread_waits_s * 1e3:.1f} ms, "
            f"{full.thread_waits_s / full.thread_cpu_s:.1f} of its CPU | {full.idle_s(cores) * 1e3:.1f} ms |",
            flush=True,
        )


if __name__ == "__main__":
    main()
