"""More workers: what the model says of another number of them, from a recording of one, against what such a job did.

    python benchmarks/workers.py FOLDER [--jobs audio,hdf5] [--tables]        some 15 minutes, on an idle machine

Runs each job with each number of workers, and keeps its recording and its own count in FOLDER: a run that is cut off goes
on where it was, and `--tables` computes the predictions anew from what is there, for a model that has changed. Needs the
extra `bench`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.ending import end_with_its_jobs
from benchmarks.jobs import audio, columns, shards
from benchmarks.settings import module
from tests.running import EXAMPLE, JOBS, diagnose, job
from tests.virtual_nvml.gpu import build_driver, make_state

from mlscale.ladder.case import move_to_workers
from mlscale.model.whatif import pipeline_of
from mlscale.profile.build import build_profile
from mlscale.recording import read

WATCH_S = 15
Command = Callable[[int, int], list[str]]
# Job, step in ms, numbers of workers.
RUNS: tuple[tuple[str, int, tuple[int, ...]], ...] = (
    ("audio", 15, (1, 2, 3, 4)),
    ("audio", 25, (1, 2)),
    ("audio", 40, (1, 2)),
    ("shards", 20, (1, 2, 4)),
    ("shards", 40, (1, 2, 3)),
    ("hdf5", 10, (1, 2, 3)),
    ("hdf5", 25, (1, 2, 3)),
    ("images", 15, (1, 2, 3)),
    ("images", 25, (1, 2, 4)),
    ("images", 40, (0, 1, 2, 3)),
    ("python", 15, (1, 2, 3, 4)),
    ("python", 30, (1, 2)),
)


@dataclass(frozen=True)
class Prediction:
    """Of `to` workers from a recording of `at`: throughput over throughput now."""

    job: str
    step_ms: int
    at: int
    to: int
    value: float
    low: float
    high: float
    real: float

    @property
    def error(self) -> float:
        """Relative."""
        return self.value / self.real - 1


def commands(scratch: Path) -> dict[str, Command]:
    """Job -> the command for a number of workers and a step."""
    speech, tars, files = scratch / "speech", scratch / "tars", scratch / "files"
    audio.make(speech)
    shards.make(tars / "400")
    columns.make_hdf5(scratch / "images.h5")
    files.mkdir(exist_ok=True)
    for number in range(64):
        (files / f"{number:03}.bin").write_bytes(bytes(range(256)) * 78)

    def with_data(name: str, folder: Path, *more: str) -> Command:
        return lambda workers, step: module(name, "--data", folder, "--workers", workers, "--step-ms", step, *more)

    def given(command: Sequence[str]) -> Command:
        return lambda workers, step: [*command, "--workers", str(workers), "--step-ms", str(step)]

    return {
        "audio": with_data("audio", speech),
        "shards": with_data("shards", tars),
        "hdf5": with_data("columns", scratch, "--kind", "hdf5"),
        "images": given(EXAMPLE),
        "python": given([*JOBS, "files", "--data", str(files), "--cpu-ms", "2"]),
    }


def measure(folder: Path, names: Sequence[str]) -> None:
    """Runs what is not there yet."""
    scratch = Path(tempfile.mkdtemp(prefix="mlscale-workers-"))
    driver, known = build_driver(scratch), commands(scratch)
    for name, step_ms, counts in RUNS:
        for workers in counts:
            stem = f"{name}-{step_ms}-{workers}"
            if (folder / f"{stem}.json").exists() or (names and name not in names):
                continue
            state = make_state(scratch / f"gpu{time.monotonic_ns()}")
            gpu = {"VIRTUAL_NVML_STATE": str(state), "LD_LIBRARY_PATH": str(driver)}
            log = folder / stem
            log.unlink(missing_ok=True)
            with job(known[name](workers, step_ms), log, ready_steps=20, **gpu) as pid:
                seen = diagnose(pid, log, duration_s=WATCH_S, **gpu)
            assert seen.truth is not None
            row = {"job": name, "step_ms": step_ms, "workers": workers, "samples_per_s": seen.truth.samples_per_s}
            (folder / f"{stem}.json").write_text(json.dumps(row))


def predictions(folder: Path) -> list[Prediction]:
    """Of all larger numbers of workers, from each recording."""
    groups: dict[tuple[str, int], dict[int, float]] = defaultdict(dict)
    for path in sorted(folder.glob("*.json")):
        row: dict[str, Any] = json.loads(path.read_text())
        groups[row["job"], row["step_ms"]][row["workers"]] = row["samples_per_s"]
    found = []
    for (name, step_ms), rates in groups.items():
        for at, now in sorted(rates.items()):
            known = pipeline_of(build_profile(read(folder / f"{name}-{step_ms}-{at}.mlscale")))
            for to in (count for count in sorted(rates) if count > at):
                if known is not None:
                    gain = move_to_workers(known, to)
                    found.append(Prediction(name, step_ms, at, to, gain.value, gain.low, gain.high, rates[to] / now))
    return found


def table(found: Sequence[Prediction]) -> str:
    """For people."""
    lines = ["| job | step | workers | predicted | 90 % | real | error |", "|---|---|---|---|---|---|---|"]
    lines += [
        f"| {p.job} | {p.step_ms} ms | {p.at} → {p.to} | {p.value:.2f} | {p.low:.2f} – {p.high:.2f} "
        f"| {p.real:.2f} | {p.error:+.1%} |"
        for p in found
    ]
    errors = sorted(abs(p.error) for p in found)
    inside = sum(p.low <= p.real <= p.high for p in found)
    lines += [
        "",
        f"{len(found)} predictions: off by {statistics.median(errors):.1%} at the median, {errors[int(0.9 * len(errors))]:.1%} "
        f"nine times of ten, {errors[-1]:.1%} at worst; inside the 90 % interval {inside} times.",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", default="", help="only these, by commas")
    parser.add_argument("--tables", action="store_true", help="run nothing")
    options = parser.parse_args()
    end_with_its_jobs()
    options.folder.mkdir(parents=True, exist_ok=True)
    if not options.tables:
        measure(options.folder, [name for name in options.jobs.split(",") if name])
    print(table(predictions(options.folder)))


if __name__ == "__main__":
    main()
