"""What watching costs: CPU and memory of mlscale, and speed of the job, watched and unwatched in turns in one run.

python benchmarks/overhead.py [--pairs 6] [--stretch 12]
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.running import EXAMPLE, environment, job, rows_of

WATCH = """
import json, resource, sys, time
from mlscale.observe.find import find_job
from mlscale.observe.watch import watch
marks = []
watch(find_job(int(sys.argv[1])), duration_s=float(sys.argv[2]),
      on_progress=lambda p: marks.append((time.monotonic(), time.thread_time())))
shares = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(marks, marks[1:])]
print(json.dumps({"shares": shares, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def rate(log: Path, start: float, end: float) -> float:
    """The job's own samples/s between two times."""
    rows = [row for row in rows_of(log) if start <= row["t"] <= end]
    return (rows[-1]["samples"] - rows[0]["samples"]) / (rows[-1]["t"] - rows[0]["t"])


def watched(pid: int, seconds: float) -> tuple[list[float], float]:
    """Shares of a core, second by second, and peak memory in MiB, of one watch."""
    import json

    done = subprocess.run(
        [sys.executable, "-c", WATCH, str(pid), str(seconds)],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    return found["shares"], found["mib"]


def compare(name: str, command: list[str], pairs: int, stretch_s: float) -> None:
    """Stretches in the order watched, unwatched, unwatched, watched, so that a drift cancels."""
    log = Path(tempfile.mkdtemp()) / "log"
    shares: list[float] = []
    ratios: list[float] = []
    memory = 0.0
    with job(command, log) as pid:
        for number in range(pairs):
            rates = {}
            for watching in (True, False) if number % 2 == 0 else (False, True):
                start = time.monotonic()
                if watching:
                    found, used = watched(pid, stretch_s)
                    shares += found
                    memory = max(memory, used)
                else:
                    time.sleep(stretch_s + 1)
                rates[watching] = rate(log, start, time.monotonic())
            ratios.append(rates[True] / rates[False])
    mean = statistics.fmean(ratios)
    half = 1.96 * statistics.stdev(ratios) / math.sqrt(len(ratios)) if len(ratios) > 1 else float("nan")
    print(
        f"| {name} | {statistics.median(shares):.2%} | {statistics.fmean(shares):.2%} | {memory:.0f} MiB "
        f"| {1 - mean:+.2%} ± {half:.2%} |",
        flush=True,
    )


def whole(command: list[str]) -> None:
    """CPU seconds and memory of the whole command, start-up and report included."""
    log = Path(tempfile.mkdtemp()) / "log"
    with job(command, log) as pid:
        script = (
            "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
            "u = resource.getrusage(resource.RUSAGE_CHILDREN); print(u.ru_utime + u.ru_stime, u.ru_maxrss / 1024)"
        )
        diagnose = [sys.executable, "-m", "mlscale", "diagnose", "--pid", str(pid), "--quiet"]
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", script, *diagnose], env=environment(), capture_output=True, text=True, check=True
        )
        seconds, used = map(float, done.stdout.split())
        print(
            f"\nThe whole of `mlscale diagnose`: {seconds:.2f} s of CPU time in {time.monotonic() - began:.0f} s, {used:.0f} MiB."
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--stretch", type=float, default=12, help="seconds")
    args = parser.parse_args()
    print(f"{os.cpu_count()} cores; load before: {os.getloadavg()[0]:.2f}\n")
    print("| job | CPU of a core, median | mean | memory | job slower by (95 %) |\n|---|---|---|---|---|")
    compare("cores full", [*EXAMPLE, "--workers", "2", "--step-ms", "5"], args.pairs, args.stretch)
    compare("GPU bound", [*EXAMPLE, "--workers", "2", "--step-ms", "150"], args.pairs, args.stretch)
    whole([*EXAMPLE, "--workers", "2", "--step-ms", "30"])


if __name__ == "__main__":
    main()
