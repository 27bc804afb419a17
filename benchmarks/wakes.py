"""How long a loop that a pool of threads feeds waits for a core each time that it wakes, by how long it sleeps.

Run: python benchmarks/wakes.py     two minutes, on an idle machine of 2 cores.
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

# Steps of 5 to 12 ms, which keep both cores busy.
STEP_MS_AND_SLEEPS = ((5, 1), (7, 1), (10, 2), (7, 2), (5, 2), (10, 4), (5, 3), (5, 5), (5, 20))
THREADS = (2, 3)
OVER_S = 5


def measure(step_ms: int, sleeps: int, threads: int, scratch: Path) -> tuple[float, float]:
    """Milliseconds of the training thread in the run queue for each turn on a core; and for each batch."""
    log = scratch / f"{step_ms}-{sleeps}-{threads}"
    with job(
        module("pool", "--workers", threads, "--step-ms", step_ms, "--sleeps", sleeps), log, ready_steps=20
    ) as pid:
        files, steps = proc.ThreadFiles(pid, pid), len(rows_of(log))
        _, queue_ns, turns = files.schedule()
        time.sleep(OVER_S)
        _, queue_then_ns, turns_then = files.schedule()
        steps = len(rows_of(log)) - steps
    if queue_ns is None or queue_then_ns is None or turns is None or turns_then is None:
        raise SystemExit("This kernel keeps no schedstat.")
    waited_ms = (queue_then_ns - queue_ns) / 1e6
    return waited_ms / (turns_then - turns), waited_ms / steps


def main() -> None:
    end_with_its_jobs()
    scratch = Path(tempfile.mkdtemp(prefix="mlscale-wakes-"))
    print("| each sleep | threads | step | waits for a core, each turn | each batch |\n|---|---|---|---|---|")
    for step_ms, sleeps in STEP_MS_AND_SLEEPS:
        for threads in THREADS:
            turn, batch = measure(step_ms, sleeps, threads, scratch)
            print(
                f"| {step_ms / sleeps:.2f} ms | {threads} | {step_ms} ms | {turn:.2f} ms | {batch:.2f} ms |", flush=True
            )


if __name__ == "__main__":
    main()
