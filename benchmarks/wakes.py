"""How long a loop that a pool of threads feeds waits for a core each time that it wakes, by how long it sleeps, and by whether
the threads ever rest.

Run: python benchmarks/wakes.py     three minutes, on an idle machine of 2 cores.
TURN_WAIT_S, SHORT_SLEEP_S and LONG_SLEEP_S of mlscale.model.whatif come from here.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.ending import end_with_its_jobs
from benchmarks.settings import module
from tests.running import job, rows_of

from mlscale.observe import proc

# Milliseconds of a step, its sleeps, and how many blobs a batch is: of 8, which take 7 to 10 ms of a core, or so many that the
# threads never rest.
STEPS = (
    *(
        (5, 1, 8),
        (6, 1, 8),
        (7, 1, 8),
        (8, 1, 8),
        (9, 1, 8),
        (10, 2, 8),
        (7, 2, 8),
        (5, 2, 8),
        (10, 4, 8),
        (5, 3, 8),
        (5, 5, 8),
        (5, 20, 8),
    ),
    *((5, 1, 16), (10, 2, 24), (10, 1, 24), (5, 2, 16)),
)
THREADS = (2, 3)
OVER_S = 5


def measure(step_ms: int, sleeps: int, blobs: int, threads: int, scratch: Path) -> tuple[float, float, float]:
    """Milliseconds of the training thread in the run queue for each turn on a core, and for each batch; and the cores in use."""
    log = scratch / f"{step_ms}-{sleeps}-{blobs}-{threads}"
    command = module("pool", "--workers", threads, "--step-ms", step_ms, "--sleeps", sleeps, "--blobs", blobs)
    with job(command, log, ready_steps=20) as pid:
        files, steps = proc.ThreadFiles(pid, pid), len(rows_of(log))
        _, queue_ns, turns = files.schedule()
        used_s, began = proc.stat(pid).cpu_s, time.monotonic()
        time.sleep(OVER_S)
        _, queue_then_ns, turns_then = files.schedule()
        cores = (proc.stat(pid).cpu_s - used_s) / (time.monotonic() - began)
        steps = len(rows_of(log)) - steps
    if queue_ns is None or queue_then_ns is None or turns is None or turns_then is None:
        raise SystemExit("This kernel keeps no schedstat.")
    waited_ms = (queue_then_ns - queue_ns) / 1e6
    return waited_ms / (turns_then - turns), waited_ms / steps, cores


def main() -> None:
    end_with_its_jobs()
    scratch = Path(tempfile.mkdtemp(prefix="mlscale-wakes-"))
    print(
        "| each sleep | threads | step | cores in use | waits for a core, each turn | each batch |\n|---|---|---|---|---|---|"
    )
    for step_ms, sleeps, blobs in STEPS:
        for threads in THREADS:
            turn, batch, cores = measure(step_ms, sleeps, blobs, threads, scratch)
            print(
                f"| {step_ms / sleeps:.2f} ms | {threads} | {step_ms} ms, {blobs} blobs | {cores:.2f} | {turn:.2f} ms "
                f"| {batch:.2f} ms |",
                flush=True,
            )


if __name__ == "__main__":
    main()
