"""Runs a real job, diagnoses it as a user would, and compares with what the job itself counted."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlscale.observe import proc

ROOT = Path(__file__).parent.parent
EXAMPLE = [sys.executable, str(ROOT / "examples/train_images.py")]
JOBS = [sys.executable, "-m", "tests.jobs.jobs"]
DURATION_S = 20


@dataclass(frozen=True)
class Truth:
    """What the job counted over the steady window."""

    samples_per_s: float
    data_wait_fraction: float


@dataclass(frozen=True)
class Seen:
    """A report, and the job's own counts of the same window."""

    report: dict[str, Any]
    truth: Truth | None
    recording: Path

    @property
    def verdict(self) -> str:
        return str(self.report["verdict"]["bottleneck"])

    def value(self, name: str) -> float:
        return float(self.report["measurements"][name]["value"])


def environment(**more: str) -> dict[str, str]:
    """The environment of jobs and of mlscale: the source tree, and what a test adds."""
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore", **more}


@contextlib.contextmanager
def started(command: Sequence[str], **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a program, and ends it with all its children."""
    process = subprocess.Popen(
        command, env=environment(**env), stdout=subprocess.DEVNULL, cwd=ROOT, start_new_session=True
    )
    try:
        yield process
    finally:
        for member in reversed(proc.tree_of(process.pid)):  # torchrun gives each rank a session of its own
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def job(
    command: Sequence[str], log: Path, *, prefix: Sequence[str] = (), ready_steps: int = 30, **env: str
) -> Iterator[int]:
    """Starts a job, waits until it has trained a while, gives its pid, and ends it with all its children."""
    with started([*prefix, *command, "--log", str(log)], **env) as process:
        deadline = time.monotonic() + 60
        while ready_steps and time.monotonic() < deadline:
            if process.poll() is not None:
                raise RuntimeError(f"the job ended by itself: {process.returncode}")
            rows = rows_of(log)
            if rows and rows[-1]["steps"] >= ready_steps:
                break
            time.sleep(0.1)
        yield process.pid


def rows_of(log: Path) -> list[dict[str, float]]:
    """The job's log so far."""
    if not log.exists():
        return []
    return [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]


def diagnose(pid: int, log: Path, *, duration_s: float = DURATION_S, arguments: Sequence[str] = (), **env: str) -> Seen:
    """`mlscale diagnose --pid`, with the job's truth over the same window."""
    recording = log.with_suffix(".mlscale")
    command = [sys.executable, "-m", "mlscale", "diagnose", "--pid", str(pid), "-f", "json", "--quiet", *arguments]
    command += ["--duration", f"{duration_s}s", "--record", str(recording)]
    done = subprocess.run(command, env=environment(**env), capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        raise AssertionError(f"exit {done.returncode}: {done.stderr}")
    seen = Seen(json.loads(done.stdout), truth_of(log, recording, json.loads(done.stdout)), recording)
    print(told(seen))  # shown by pytest where a test fails
    return seen


def told(seen: Seen) -> str:
    """What was seen, beside the truth, for people."""
    report, rows = seen.report, []
    rows.append(f"{seen.verdict} ({report['verdict']['confidence']}): {report['verdict']['headline']}")
    rows.extend(f"   {line}" for line in report["verdict"]["because"])
    rows.append(f"   next: {report['next_step']}")
    for name, value in (("throughput", "samples_per_s"), ("data_wait_fraction", "data_wait_fraction")):
        if name in report["measurements"] and seen.truth is not None:
            rows.append(f"   {name}: {seen.value(name):.4g}, the job's own: {getattr(seen.truth, value):.4g}")
    return "\n".join(rows)


def truth_of(log: Path, recording: Path, report: dict[str, Any]) -> Truth | None:
    """The job's own counts between the start and the end of the steady window."""
    from mlscale.recording import read

    began = float(read(recording).header["began_monotonic_s"])
    skipped = max((p["end_s"] for p in report["window"]["phases"] if p["name"] == "warm-up"), default=0.0)
    start, end = began + skipped, began + report["window"]["observed_s"]
    rows = rows_of(log)
    before, until = [row for row in rows if row["t"] <= start], [row for row in rows if row["t"] <= end]
    if len(until) < 2:
        return None
    first, last = (before or rows)[-1 if before else 0], until[-1]
    seconds = last["t"] - first["t"]
    within = [row for row in until if row["t"] >= first["t"]]
    return Truth(rate_of(within), (last["waited_s"] - first["waited_s"]) / seconds)


FEW_STEPS = 100


def rate_of(rows: list[dict[str, float]]) -> float:
    """Samples per second of some steps. Where few, by the line through them all: workers that wait side by side give batches
    in bursts, and from the middle of one to the end of another would be off by some percent."""
    if len(rows) > FEW_STEPS:
        return (rows[-1]["samples"] - rows[0]["samples"]) / (rows[-1]["t"] - rows[0]["t"])
    return statistics.linear_regression([row["t"] for row in rows], [row["samples"] for row in rows]).slope
