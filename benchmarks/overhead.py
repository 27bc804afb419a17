"""What watching costs: CPU and memory of mlscale, and the speed of the job that is watched.

Run: python benchmarks/overhead.py [--pairs 60] [--stretch 3] [--json]      some 14 minutes, on an idle machine
One running job is watched and left alone in turns (watched, alone, alone, watched, ...), so that a drift falls on both:
one watch goes on all the time, and is stopped (SIGSTOP) in every other stretch. The job's speed is its own count of
samples. What starting costs, and the report, is in the figures of the whole command, which is run once on each job.
Needs the extra `demo`.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import math
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.running import EXAMPLE, environment, job, rows_of

from mlscale.observe import proc
from mlscale.observe.machine import machine_cpu_s

SETTLE_S = 8.0  # to find the job and see it train
WHOLE_SECOND = 1.2
ONE_EPOCH = ("--epoch-samples", "1000000", "--seconds", "3000")  # its end would start workers anew
JOBS = {
    "cores full": [*EXAMPLE, "--workers", str(os.cpu_count() or 1), "--step-ms", "5", *ONE_EPOCH],
    "GPU bound": [*EXAMPLE, "--workers", "2", "--step-ms", "150", *ONE_EPOCH],
}

# Watches until it is killed, and writes what each second cost, all its threads together.
WATCHER = """
import sys, time
from mlscale.observe.find import find_job
from mlscale.observe.watch import watch
def mark(progress):
    print(time.monotonic(), time.process_time(), flush=True)
watch(find_job(int(sys.argv[1])), duration_s=1e6, on_progress=mark)
"""
# The command as a user runs it; wait4 tells the CPU time and the largest memory of that child alone.
COMMAND = """
import json, os, subprocess, sys, time
began = time.monotonic()
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(child.pid, 0)
assert status == 0, status
print(json.dumps({"cpu_s": used.ru_utime + used.ru_stime, "wall_s": time.monotonic() - began,
                  "memory_mib": used.ru_maxrss / 1024}))
"""


@contextlib.contextmanager
def watcher(pid: int, marks: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that watches, stopped. Its (time, CPU seconds) go to `marks`."""
    with marks.open("w") as file:
        process = subprocess.Popen([sys.executable, "-c", WATCHER, str(pid)], env=environment(), stdout=file)
    try:
        time.sleep(SETTLE_S)
        process.send_signal(signal.SIGSTOP)
        if process.poll() is not None:
            raise SystemExit("The watcher ended by itself; nothing was measured.")
        yield process
    finally:
        process.kill()
        process.wait()


def stretch(process: subprocess.Popen[bytes], watching: bool, seconds: float) -> tuple[float, float]:
    """One stretch of the job, watched or alone: when it began and ended."""
    if watching:
        process.send_signal(signal.SIGCONT)
    began = time.monotonic()
    time.sleep(seconds)
    ended = time.monotonic()
    process.send_signal(signal.SIGSTOP)
    return began, ended


def cpu_s(*pids: int) -> tuple[float, float]:
    """CPU seconds of these processes with their descendants, and of the whole machine, so far."""
    tree = {member for pid in pids for member in proc.tree_of(pid)}
    return sum(proc.stat(pid).cpu_s for pid in tree), machine_cpu_s() or float("nan")


def samples_per_s(rows: Sequence[dict[str, float]], start: float, end: float) -> float:
    """The job's own count between two times, from batch to batch."""
    inside = [row for row in rows if start <= row["t"] <= end]
    return (inside[-1]["samples"] - inside[0]["samples"]) / (inside[-1]["t"] - inside[0]["t"])


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean with its 95 % interval, by Student's t (Abramowitz and Stegun 26.7.5, within 0.3 % from five pairs on)."""
    n, z = len(values) - 1, 1.959964
    t = z + (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
    t += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    mean, half = statistics.fmean(values), t * statistics.stdev(values) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def measure(command: list[str], pairs: int, stretch_s: float) -> dict[str, Any]:
    """All figures of one job."""
    spans: list[dict[bool, tuple[float, float]]] = []
    with tempfile.TemporaryDirectory(prefix="mlscale-overhead-") as folder, job(command, Path(folder) / "log") as pid:
        marked = Path(folder) / "marks"
        with watcher(pid, marked) as process:
            ours_before, all_before, at_first = *cpu_s(pid, process.pid), time.monotonic()
            for number in range(pairs):
                order = (True, False) if number % 2 == 0 else (False, True)
                spans.append({watching: stretch(process, watching, stretch_s) for watching in order})
                print(f"  pair {number + 1} of {pairs}", end="\r", file=sys.stderr)
            ours, everything = cpu_s(pid, process.pid)
            others = (everything - all_before - (ours - ours_before)) / (time.monotonic() - at_first)
        rows = rows_of(Path(folder) / "log")
        marks = [tuple(map(float, line.split())) for line in marked.read_text().splitlines()]
        ratios = [samples_per_s(rows, *pair[True]) / samples_per_s(rows, *pair[False]) for pair in spans]
        whole = command_figures(pid)
    # Whole seconds within a stretch.
    shares = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in itertools.pairwise(marks) if b[0] - a[0] < WHOLE_SECOND]
    mean, low, high = interval([math.log(ratio) for ratio in ratios])
    return {
        "watch_cpu_cores": {"median": statistics.median(shares), "mean": statistics.fmean(shares)},
        "slowdown": {"value": -math.expm1(mean), "low": -math.expm1(high), "high": -math.expm1(low)},
        "samples_per_s": statistics.median(samples_per_s(rows, *pair[False]) for pair in spans),
        "others_cores": round(others, 3),
        "ratios": [round(ratio, 5) for ratio in ratios],
        "command": whole,
    }


def command_figures(pid: int) -> dict[str, float]:
    """`mlscale diagnose --pid PID` with its defaults, from start to report: CPU seconds, seconds, MiB."""
    diagnose = [sys.executable, "-m", "mlscale", "diagnose", "--pid", str(pid), "--quiet"]
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *diagnose], env=environment(), capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout))


def machine() -> dict[str, Any]:
    """Where the figures hold."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "date": date.today().isoformat(),
    }


def table(found: dict[str, Any]) -> str:
    """The figures for people."""
    where = found["machine"]
    lines = [
        f"{where['date']}, {where['cores']} cores ({where['cpu']}), Linux {where['kernel']}, Python {where['python']}; "
        f"load before: {where['load_before']}",
        "",
        "| job | watching: median | mean | job slower by (95 %) | whole command: CPU | of a core, over | memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in found["jobs"].items():
        cpu, slow, whole = row["watch_cpu_cores"], row["slowdown"], row["command"]
        lines.append(
            f"| {name}, {row['samples_per_s']:.0f} samples/s | {cpu['median']:.2%} | {cpu['mean']:.2%} "
            f"| {slow['value']:+.2%} ({slow['low']:+.2%} to {slow['high']:+.2%}) | {whole['cpu_s']:.2f} s "
            f"| {whole['cpu_s'] / whole['wall_s']:.1%}, {whole['wall_s']:.0f} s | {whole['memory_mib']:.0f} MiB |"
        )
    busiest = max(row["others_cores"] for row in found["jobs"].values())
    lines += [
        "",
        f"Other programs used at most {busiest:.2f} cores meanwhile; above 0.1, measure again on a quiet machine.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=60, help="watched and unwatched stretches (at least 2)")
    parser.add_argument("--stretch", type=float, default=3, help="seconds of each (at least 2)")
    parser.add_argument("--job", choices=list(JOBS), help="only this one")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.pairs < 2 or options.stretch < 2:
        parser.error("--pairs from 2 on, --stretch from 2 on: less tells nothing")
    found: dict[str, Any] = {"machine": machine(), "pairs": options.pairs, "stretch_s": options.stretch, "jobs": {}}
    for name, command in JOBS.items():
        if options.job not in (None, name):
            continue
        print(f"{name}:", file=sys.stderr)
        found["jobs"][name] = measure(command, options.pairs, options.stretch)
    print(json.dumps(found, indent=2) if options.json else table(found))


if __name__ == "__main__":
    main()
