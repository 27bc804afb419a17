"""How long `mlscale report` takes for a large job, and how much memory: 8 GPUs, 8 ranks, 64 workers, 10 minutes.

Run: python benchmarks/report.py [--rounds 5] [--json]
The recording is made up, as dense as the watch writes one. Each command is a process of its own, from its start to its
end, and its largest resident size is what the kernel counted. The aims: under 2 s and 150 MB in each format.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mlscale.recording import (
    Counter,
    Event,
    Fact,
    GpuSample,
    MachineSample,
    ProcessSample,
    ProcessSeen,
    RecordingWriter,
    StackFrame,
    ThreadSample,
    line_of,
)

AIM_S, AIM_MB = 2.0, 150.0
FORMATS = ("terminal", "json", "markdown", "html", "jira")
GPUS, WORKERS_EACH, SECONDS = 8, 8, 600.0
TRAINING_HZ, WORKER_HZ, GPU_EVERY_S, COUNTERS_EVERY_S = 20.0, 14.0, 0.25, 2.0  # as the watch looks
BATCHES_HZ = 6.0
LOADER = "/venv/lib/python3.11/site-packages/torch/utils/data/dataloader.py"
STACKS = (
    ("_BaseDataLoaderIter.__next__", LOADER, 700),
    ("train_step", "/job/train.py", 94),
    ("log_metrics", "/job/train.py", 120),
    ("Image.resize", "/venv/lib/python3.11/site-packages/PIL/Image.py", 2332),
    ("_worker_loop", "/venv/lib/python3.11/site-packages/torch/utils/data/_utils/worker.py", 244),
)


def events() -> list[Event]:
    """What a watch of that job would hold, with a plausible share of each activity."""
    draw = random.Random(8)
    ranks = [100 + rank for rank in range(GPUS)]
    workers = {rank: [1000 + 100 * i + w for w in range(WORKERS_EACH)] for i, rank in enumerate(ranks)}
    found: list[Event] = [ProcessSeen(0.0, 99, 1, "launcher", "torchrun --nproc-per-node 8 train.py", {"rank": None})]
    for i, pid in enumerate(ranks):
        found.append(ProcessSeen(0.0, pid, 99, "training", "python train.py", {"rank": i, "python": "3.11"}))
        facts = {"pid": pid, "number": 0, "dataset": i, "workers": WORKERS_EACH, "batch_size": 32}
        found.append(Fact(0.0, "iterator", facts))
        gpu = {"index": i, "name": "NVIDIA H100 80GB HBM3", "memory_bytes": 80 << 30, "power_limit_w": 700.0}
        found.append(Fact(0.0, "gpu", {**gpu, "max_sm_clock_mhz": 1980}))
        for pid_of_worker in workers[pid]:
            seen = {"rank": i, "python": "3.11", "spawned": False}
            found.append(ProcessSeen(0.0, pid_of_worker, pid, "worker", "python train.py", seen))
    found.append(Fact(0.0, "gpu_holders", {str(i): [pid] for i, pid in enumerate(ranks)}))
    every = [*ranks, *(pid for own in workers.values() for pid in own)]
    ends = int(SECONDS)
    for tick in range(int(ends * TRAINING_HZ)):
        t, pid = tick / TRAINING_HZ, ranks[tick % GPUS]
        stack = draw.choices((0, 1, 2), (3, 6, 1))[0]
        state, target = ("S", "pipe") if stack == 0 else ("R", None) if stack == 2 else ("S", "gpu")
        ran, queued = int(2.5e8 * t), int(1e7 * t)
        found.append(ThreadSample(t, pid, pid, state, ran, queued, 0 if target else None, target, stack))
        if draw.random() < BATCHES_HZ / TRAINING_HZ:
            found.append(Counter(t, pid, "yielded#0", float(int(t * BATCHES_HZ))))
    for tick in range(int(ends * WORKER_HZ)):
        t, pid = tick / WORKER_HZ, draw.choice(every[GPUS:])
        busy = draw.random() < 0.7
        look = ("R", None, 3) if busy else ("S", "pipe", 4)
        found.append(
            ThreadSample(t, pid, pid, look[0], int(7e8 * t), int(5e7 * t), None if busy else 0, look[1], look[2])
        )
    for tick in range(int(ends / GPU_EVERY_S)):
        t = tick * GPU_EVERY_S
        for gpu in range(GPUS):
            busy = min(1.0, max(0.0, draw.gauss(0.62 + 0.02 * gpu, 0.1)))
            values = {"busy": busy, "power_w": 300 + 300 * busy, "sm_clock_mhz": 1700, "memory_used_bytes": 6e10}
            found.append(GpuSample(t, gpu, {**values, "memory_busy": 0.3, "pcie_bytes_per_s": 1e9}))
    for tick in range(int(ends / COUNTERS_EVERY_S) + 1):
        t = tick * COUNTERS_EVERY_S
        for pid in every:
            cpu_s = t * (0.7 if pid >= 1000 else 0.4)
            read = int(t * 2e6) if pid >= 1000 else 0
            found.append(ProcessSample(t, pid, cpu_s, 0.1 * cpu_s, 2 * read, int(40 * t), read, 0, 4, 1 << 30))
        found.append(MachineSample(t, {"cpu_s": 50.0 * t, "MemTotal": 2 << 40, "MemAvailable": 1 << 40}))
    return sorted(found, key=lambda event: event.t)


def write(path: Path) -> int:
    """Writes the recording; gives the number of events."""
    header = {
        "format": "mlscale-recording",
        "version": 1,
        "began_at": "2026-01-05T10:00:00+00:00",
        "rate_hz": TRAINING_HZ,
        "root": 99,
        "hostname": "p5",
        "logical_cpus": 192,
        "affinity": list(range(192)),
        "memory": {"MemTotal": 2 << 40},
        "container": None,
        "instance_type": "p5.48xlarge",
    }
    made = events()
    with RecordingWriter(path) as writer:
        writer.write(json.dumps(header))
        for name, file, line in STACKS:
            leaf = StackFrame(name, file, line)
            root = StackFrame("main", "/job/train.py", 10)
            writer.write(json.dumps(["k", [[f.function, f.filename, f.line] for f in (leaf, root)]]))
        for event in made:
            writer.write(line_of(event))
        writer.write(json.dumps(["e", "duration", SECONDS, []]))
    return len(made)


def run(*arguments: str | Path) -> tuple[float, float, float]:
    """Seconds by the clock and on a CPU, and largest resident megabytes, of one command."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "mlscale", *map(str, arguments)], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    return time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000  # kB on Linux


def measure(folder: Path, rounds: int) -> list[dict[str, object]]:
    recording, saved = folder / "job.mlscale", folder / "report.json"
    count = write(recording)
    run("report", recording, "-o", saved)  # also compiles what is not compiled yet
    rows: list[dict[str, object]] = []
    for source, what in ((recording, f"a recording of {count} events"), (saved, "saved JSON")):
        for format in FORMATS:
            out = folder / f"out.{format}"
            found = [run("report", source, "-f", format, "-o", out) for _ in range(rounds)]
            rows.append(
                {
                    "from": what,
                    "format": format,
                    "seconds": round(statistics.median(s for s, _, _ in found), 3),
                    "slowest_s": round(max(s for s, _, _ in found), 3),
                    "cpu_s": round(statistics.median(s for _, s, _ in found), 3),
                    "peak_mb": round(max(mb for _, _, mb in found), 1),
                    "bytes": out.stat().st_size,
                }
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlscale-bench-") as folder:
        rows = measure(Path(folder), options.rounds)
    if options.json:
        print(json.dumps({"rounds": options.rounds, "aim_s": AIM_S, "aim_mb": AIM_MB, "rows": rows}, indent=2))
        return
    print(f"{'from':32} {'format':10} {'median s':>9} {'slowest':>9} {'on CPU s':>9} {'peak MB':>9} {'size kB':>9}")
    for row in rows:
        size = int(str(row["bytes"])) / 1000
        figures = (row["seconds"], row["slowest_s"], row["cpu_s"], row["peak_mb"], round(size, 1))
        print(f"{row['from']:32} {row['format']:10} {' '.join(f'{figure:>9}' for figure in figures)}")
    met = all(float(str(r["seconds"])) < AIM_S and float(str(r["peak_mb"])) < AIM_MB for r in rows)
    print(f"Under {AIM_S:g} s and {AIM_MB:g} MB in each format: {'met' if met else 'MISSED'}.")


if __name__ == "__main__":
    main()
