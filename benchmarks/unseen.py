"""Jobs that nobody chose: drawn at random. What mlscale says of them, against what trying it out on the same job shows.

    python benchmarks/unseen.py [--count 20] [--seed 1] [--keep results.jsonl] [--tables results.jsonl]

About a minute for each job; needs the extra `bench`. The data, its preparation, the step and the number of workers are drawn.
Which verdicts are right nobody decides beforehand: the job's own count of its waiting does, and other numbers of workers,
which are tried. Within 5 points of a bound (of 10 % waiting, or of 10 % that other workers bring) either side is right. The
promise is that of the advised number of workers.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.ending import end_with_its_jobs
from benchmarks.jobs import audio, columns, shards, small
from benchmarks.promise import advised, hidden_prints, inside, measure, off, read
from benchmarks.settings import module
from tests.running import EXAMPLE, JOBS, diagnose, job
from tests.virtual_nvml.gpu import build_driver, make_state

BOUND, EITHER = 0.10, 0.05
STEPS_MS = (6.0, 120.0)
CPU_MS = (0.3, 4.0)
MOST_WORKERS = 4
KINDS = ("files", "images", "audio", "shards", "hdf5", "parquet", "small")
Result = dict[str, Any]


@dataclass(frozen=True)
class Drawn:
    """One job: its kind, what a step takes, what preparation takes (CPU ms of a sample, or pixels; 0: as it is), workers."""

    kind: str
    step_ms: float
    prepare: float
    workers: int

    @property
    def name(self) -> str:
        """For people."""
        prepare = f", {self.prepare:g}" if self.prepare else ""
        return f"{self.kind}{prepare}, step {self.step_ms:g} ms, {self.workers} workers"


def draw(chance: random.Random) -> Drawn:
    """The next job."""
    kind = chance.choice(KINDS)
    prepare = 0.0
    if kind == "files":
        prepare = round(_log_uniform(chance, CPU_MS), 2)
    elif kind == "images":
        prepare = chance.choice((224, 320, 480))
    return Drawn(kind, round(_log_uniform(chance, STEPS_MS), 1), prepare, chance.randint(0, MOST_WORKERS))


def _log_uniform(chance: random.Random, bounds: tuple[float, float]) -> float:
    low, high = bounds
    return float(low * (high / low) ** chance.random())


def command(drawn: Drawn, workers: int, scratch: Path) -> list[str]:
    """The job with so many workers."""
    common = ["--workers", str(workers), "--step-ms", str(drawn.step_ms)]
    if drawn.kind == "files":
        return [*JOBS, "files", "--data", str(scratch / "files"), "--cpu-ms", str(drawn.prepare), *common]
    if drawn.kind == "images":
        return [*EXAMPLE, "--image-size", f"{drawn.prepare:g}", "--images", "64", *common]
    if drawn.kind in ("hdf5", "parquet"):
        return module("columns", "--data", scratch, "--kind", drawn.kind, *common)
    return module(drawn.kind, "--data", scratch / drawn.kind, *common)


def make_data(scratch: Path) -> None:
    """For all kinds."""
    files = scratch / "files"
    files.mkdir()
    for number in range(64):
        (files / f"{number:03}.bin").write_bytes(bytes(range(256)) * 78)
    audio.make(scratch / "audio")
    shards.make(scratch / "shards/400")
    small.make(scratch / "small")
    columns.make_parquet(scratch / "rows.parquet")
    columns.make_hdf5(scratch / "images.h5")


def acceptable(wait: float, gain: float) -> set[str]:
    """The verdicts that are right: for the waiting that the job counted, and the most that other workers brought."""
    found = set()
    if gain >= 1 + BOUND - EITHER and wait >= BOUND - EITHER:
        found.add("loader_workers")
    if gain < 1 + BOUND + EITHER:
        if wait >= BOUND - EITHER:
            found |= {"preprocessing", "host"}  # batches that are dear to take over are the loop's own work
        if wait <= BOUND + EITHER:
            found.add("gpu")
    return found


def run(drawn: Drawn, scratch: Path, driver: Path) -> Result:
    """Diagnosed, and tried with other numbers of workers."""
    gpu = {
        "VIRTUAL_NVML_STATE": str(make_state(scratch / f"gpu{time.monotonic_ns()}")),
        "LD_LIBRARY_PATH": str(driver),
    }
    log = scratch / f"drawn{time.monotonic_ns()}"
    with job(command(drawn, drawn.workers, scratch), log, ready_steps=10, **gpu) as pid, hidden_prints():
        seen = diagnose(pid, log, duration_s=20, **gpu)
    assert seen.truth is not None
    says_workers = seen.verdict == "loader_workers"
    tried = {int(advised(seen.report))} if says_workers else {1, 2, drawn.workers + 1}
    rates = {
        workers: measure(command(drawn, workers, scratch), scratch, gpu, 10) / seen.truth.samples_per_s
        for workers in sorted(tried - {drawn.workers})
    }
    gain = max(rates.values(), default=1.0)
    return {
        "job": drawn.name,
        "drawn": asdict(drawn),
        "verdict": seen.verdict,
        "right": seen.verdict in acceptable(seen.truth.data_wait_fraction, gain),
        "wait": seen.truth.data_wait_fraction,
        "wait_error": seen.value("data_wait_fraction") - seen.truth.data_wait_fraction,
        "tried": rates,
        "promise": seen.report["next_step"]["expected_speedup"] if says_workers else None,
        "real": gain if says_workers else None,
        "headline": seen.report["verdict"]["headline"],
        "recording": str(seen.recording),
    }


def tables(results: Sequence[Result]) -> str:
    """For people."""
    lines = [
        "| job | verdict | right | waits | tried | promised | error | inside |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in results:
        tried = ", ".join(f"{workers}: {gain:.2f}" for workers, gain in row["tried"].items())
        cells = [row["job"], row["verdict"], "yes" if row["right"] else "**no**", f"{row['wait']:.2f}", tried]
        error = off(row)
        if error is not None:
            cells += [f"{row['promise']['value']:.2f}", f"{error:+.1%}", "yes" if inside(row) else "no"]
        else:
            cells += ["–"] * 3
        lines.append("| " + " | ".join(cells) + " |")
    promised = [row for row in results if off(row) is not None]
    lines += ["", f"Verdicts right: {sum(row['right'] for row in results)} of {len(results)}."]
    if promised:
        errors = [abs(off(row) or 0.0) for row in promised]
        lines[-1] += (
            f" Promises off by {statistics.median(errors):.1%} at the median, {max(errors):.1%} at worst; inside the 90 % "
            f"interval {sum(map(inside, promised))} of {len(promised)}."
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--tables", type=Path)
    options = parser.parse_args()
    end_with_its_jobs()
    if options.tables:
        print(tables(read(options.tables)))
        return
    scratch = Path(tempfile.mkdtemp(prefix="mlscale-unseen-"))
    driver = build_driver(scratch)
    make_data(scratch)
    chance, results = random.Random(options.seed), []
    for _ in range(options.count):
        results.append(run(draw(chance), scratch, driver))
        if options.keep:
            with options.keep.open("a") as file:
                file.write(json.dumps(results[-1]) + "\n")
        print(
            f"{results[-1]['job']}: {results[-1]['verdict']}, promise {off(results[-1])}", file=sys.stderr, flush=True
        )
    print(tables(results))


if __name__ == "__main__":
    main()
