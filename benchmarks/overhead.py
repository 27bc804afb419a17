"""What watching costs: CPU and memory of mlscale, and the speed of the job that is watched.

Run: python benchmarks/overhead.py [--job NAME] [--pairs 600] [--stretch 1] [--json]     some 41 minutes, on an idle machine
One running job is watched and left alone in turns (watched, alone, alone, watched, ...), so that a drift falls on both:
one watch goes on all the time, and is stopped (SIGSTOP) in every other stretch. The job's speed is its own count: of single
samples, read from its workers' memory at both ends of a stretch, where the workers are the limit; of batches where the GPU
is. What starting costs, and the report, is in the figures of the whole command, which is run once on each job.
A job under a CPU quota, or on a real GPU, is measured where it is named. Needs the extra `demo`; the quota needs root.
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
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.ending import end_with_its_jobs
from tests.faults.inject import cpu_quota
from tests.running import EXAMPLE, environment, job, rows_of

from mlscale.observe import proc
from mlscale.observe.machine import machine_cpu_s

SETTLE_S = 8.0  # to find the job and see it train
PLAIN_S = 30.0  # then, of watching without a stop, for what it costs itself
IMAGES = str(Path(tempfile.gettempdir()) / "mlscale-example")
COUNTED = [
    sys.executable,
    "-m",
    "benchmarks.jobs.counted",
    "--workers",
    str((os.cpu_count() or 1) + 1),
    "--data",
    IMAGES,
]
JOBS = {
    "cores full": [*COUNTED, "--step-ms", "5"],
    "GPU bound": [*EXAMPLE, "--workers", "2", "--step-ms", "150", "--epoch-samples", "1000000", "--seconds", "6000"],
}

# For a GPU, and torchvision: its step is limited by the thread that launches kernels, which watching would slow down first.
SMALL_STEPS = ["--model", "resnet50", "--batch-size", "32", "--image-size", "256"]
TRAINED = str(Path(tempfile.gettempdir()) / "mlscale-trained")
REAL = {
    "real GPU": [sys.executable, "-m", "benchmarks.jobs.trained", *SMALL_STEPS, "--workers", "14", "--data", TRAINED]
}
QUOTA = {"CPU quota": [*COUNTED[:-3], "2", "--data", IMAGES, "--step-ms", "30"]}  # of half a core
QUOTA_CORES = 0.5

# Watches until it is killed, and writes what each second cost, all its threads together. SIGTSTP stops it, and its clock
# too: what it does each second, each two and each five comes as often in the time that it runs as if it ran on.
WATCHER = """
import os, signal, sys, time, types
from mlscale.observe import connections, gpu, peers, waits, watch
from mlscale.observe.find import find_job
stopped = 0.0
def stop(*_):
    global stopped
    began = time.monotonic()
    os.kill(os.getpid(), signal.SIGSTOP)
    stopped += time.monotonic() - began
signal.signal(signal.SIGTSTP, stop)
awake = types.SimpleNamespace(**vars(time))
awake.monotonic = lambda: time.monotonic() - stopped
connections.time = gpu.time = peers.time = waits.time = watch.time = awake
def mark(progress):
    print(awake.monotonic(), time.process_time(), flush=True)
watch.watch(find_job(int(sys.argv[1])), duration_s=1e6, on_progress=mark)
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
        time.sleep(SETTLE_S + PLAIN_S)
        process.send_signal(signal.SIGTSTP)
        if process.poll() is not None:
            raise SystemExit("The watcher ended by itself; nothing was measured.")
        yield process
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Stretch:
    """When it began and ended, and how many samples were ready at either time, where the job tells."""

    began: float
    ended: float
    ready: tuple[int, int] | None

    def samples_per_s(self, rows: Sequence[dict[str, float]]) -> float:
        """By single samples where they are counted, else from batch to batch."""
        if self.ready is not None:
            return (self.ready[1] - self.ready[0]) / (self.ended - self.began)
        inside = [row for row in rows if self.began <= row["t"] <= self.ended]
        return (inside[-1]["samples"] - inside[0]["samples"]) / (inside[-1]["t"] - inside[0]["t"])


def stretch(seconds: float, counts: Path) -> Stretch:
    """One stretch of the job, as it is."""
    first, began = ready(counts), time.monotonic()
    time.sleep(seconds)
    last, ended = ready(counts), time.monotonic()
    return Stretch(began, ended, None if first is None or last is None else (first, last))


def ready(counts: Path) -> int | None:
    """Samples that workers have ready so far, all together."""
    return sum(number for (number,) in struct.iter_unpack("q", counts.read_bytes())) if counts.exists() else None


def marks_of(file: Path) -> list[tuple[float, float]]:
    """What the watcher wrote: its clock, and its CPU seconds so far."""
    return [(float(t), float(cpu)) for t, cpu in (line.split() for line in file.read_text().splitlines())]


def shares(marks: Sequence[tuple[float, float]]) -> list[float]:
    """Cores used from each mark to the next."""
    return [(b[1] - a[1]) / (b[0] - a[0]) for a, b in itertools.pairwise(marks)]


def cpu_s(*pids: int) -> tuple[float, float]:
    """CPU seconds of these processes with their descendants, and of the whole machine, so far."""
    tree = {member for pid in pids for member in proc.tree_of(pid)}
    return sum(proc.stat(pid).cpu_s for pid in tree), machine_cpu_s() or float("nan")


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Mean without the tenth at either end, with its 95 % interval (Yuen): a machine that stood still for a second is no pair.

    Student's t by Abramowitz and Stegun 26.7.5, within 0.3 % from five degrees of freedom on.
    """
    kept = sorted(values)
    cut = len(kept) // 10
    middle = kept[cut : len(kept) - cut]
    pulled = [middle[0]] * cut + middle + [middle[-1]] * cut
    n, z = len(middle) - 1, 1.959964
    t = z + (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
    t += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    mean = statistics.fmean(middle)
    half = t * statistics.stdev(pulled) * math.sqrt(len(kept)) / len(middle)
    return mean, mean - half, mean + half


def measure(name: str, pairs: int, stretch_s: float) -> dict[str, Any]:
    """All figures of one job."""
    spans: list[dict[bool, Stretch]] = []
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mlscale-overhead-"))
        prefix = stack.enter_context(cpu_quota(QUOTA_CORES)) if name in QUOTA else []
        pid = stack.enter_context(job({**JOBS, **QUOTA, **REAL}[name], Path(folder) / "log", prefix=prefix))
        marked, counts = Path(folder) / "marks", Path(folder) / "log.counts"
        with watcher(pid, marked) as process:
            plainly = marks_of(marked)
            ours_before, all_before, at_first = *cpu_s(pid, process.pid), time.monotonic()
            watched = False
            for number in range(pairs):
                pair = {}
                for wanted in (True, False) if number % 2 == 0 else (False, True):
                    if wanted != watched:
                        process.send_signal(signal.SIGCONT if wanted else signal.SIGTSTP)
                    watched = wanted
                    pair[watched] = stretch(stretch_s, counts)
                spans.append(pair)
                print(f"  pair {number + 1} of {pairs}", end="\r", file=sys.stderr)
            ours, everything = cpu_s(pid, process.pid)
            others = (everything - all_before - (ours - ours_before)) / (time.monotonic() - at_first)
        in_turns = marks_of(marked)[len(plainly) :]
        rows = rows_of(Path(folder) / "log")
        # To their mean, not to each other: the mean of ratios is above 1 where both only swing.
        rates = [{watched: span.samples_per_s(rows) for watched, span in pair.items()} for pair in spans]
        usual = statistics.median(rate for pair in rates for rate in pair.values())
        ratios = [1 + (pair[True] - pair[False]) / usual for pair in rates]
        whole = command_figures(pid)
    steady = [mark for mark in plainly if mark[0] >= plainly[-1][0] - PLAIN_S]
    slower, low, high = interval([1 - ratio for ratio in ratios])
    return {
        "watch_cpu_cores": {
            "median": statistics.median(shares(steady)),
            "mean": statistics.fmean(shares(steady)),
            "mean_in_turns": statistics.fmean(shares(in_turns)),
        },
        "slowdown": {"value": slower, "low": low, "high": high},
        "samples_per_s": usual,
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
        "| job | watching: median | mean | in turns | job slower by (95 %) | whole command: CPU | of a core, over | memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in found["jobs"].items():
        cpu, slow, whole = row["watch_cpu_cores"], row["slowdown"], row["command"]
        lines.append(
            f"| {name}, {row['samples_per_s']:.0f} samples/s "
            f"| {cpu['median']:.2%} | {cpu['mean']:.2%} | {cpu['mean_in_turns']:.2%} "
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
    parser.add_argument("--pairs", type=int, default=600, help="watched and unwatched stretches (at least 2)")
    parser.add_argument("--stretch", type=float, default=1, help="seconds of each (at least 1)")
    parser.add_argument("--job", choices=[*JOBS, *QUOTA, *REAL], help="only this one")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    end_with_its_jobs()
    if options.pairs < 2 or options.stretch < 1:
        parser.error("--pairs from 2 on, --stretch from 1 on: less tells nothing")
    found: dict[str, Any] = {"machine": machine(), "pairs": options.pairs, "stretch_s": options.stretch, "jobs": {}}
    for name in [options.job] if options.job else JOBS:
        print(f"{name}:", file=sys.stderr)
        found["jobs"][name] = measure(name, options.pairs, options.stretch)
    print(json.dumps(found, indent=2) if options.json else table(found))


if __name__ == "__main__":
    main()
