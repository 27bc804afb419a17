"""Jobs that nobody chose: drawn at random. What mlscale says of them, against what trying it out on the same job shows.

    python benchmarks/unseen.py [--count 20] [--seed 1] [--keep results.jsonl] [--tables results.jsonl] [--again]

About a minute and a half for each job; needs root, and the extra `bench`. What is drawn is in `drawn.py`: data, preparation,
step, workers, and for half of the jobs a store, a quota, company or work in the loop. Which verdicts are right nobody decides
beforehand (`judge.py`): each remedy is tried by itself (other numbers of workers; without what the job meets), and a verdict is
right if its own brings 10 %. Within 5 points of a bound (of 10 % waiting, or of 10 % that a remedy brings) either side is right.
The promise is that of the advised step, which is taken.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.doing import Data, command, meet
from benchmarks.drawn import CIRCUMSTANCES, Drawn, draw, without
from benchmarks.ending import end_with_its_jobs
from benchmarks.judge import BOUND, EITHER, SMALLER, acceptable, advised, step_taken
from benchmarks.needs import check_needs
from benchmarks.promise import diagnosed_anew, hidden_prints, inside, keep, measure, off, read
from tests.running import Seen, diagnose, job, rows_of
from tests.virtual_nvml.gpu import build_driver, make_state

# Batches before a job is at work: some, and so many of each worker, for dozens take seconds to start.
READY_STEPS, OF_EACH = 5, 2
WAITERS = 8  # workers that are tried too where a store answers late
Result = dict[str, Any]


def rest_of(log: Path, drawn: Drawn, wait: float) -> float:
    """Share of the time in neither the loader nor the step, by the job's own count of its steps."""
    rows = rows_of(log)
    steps_per_s = (rows[-1]["steps"] - rows[0]["steps"]) / (rows[-1]["t"] - rows[0]["t"])
    return max(0.0, 1 - wait - steps_per_s * drawn.step_ms / 1e3)


def run(drawn: Drawn, data: Data, driver: Path) -> Result:
    """Diagnosed, and each remedy tried."""
    scratch = data.folder
    state = make_state(scratch / f"gpu{time.monotonic_ns()}", gpus=drawn.gpus)
    # As long as it was told to, as a real one, whenever the job's thread gets a core to see that it is done.
    gpu = {"VIRTUAL_NVML_STATE": str(state), "LD_LIBRARY_PATH": str(driver), "VIRTUAL_NVML_EXACT": "1"}
    log = scratch / f"drawn{time.monotonic_ns()}"
    with meet(drawn, data) as place:
        prefix = place if isinstance(place, list) else []
        with (
            job(command(drawn, data, place), log, prefix=prefix, ready_steps=READY_STEPS, **gpu) as pid,
            hidden_prints(),
        ):
            seen = diagnose(pid, log, duration_s=20, **gpu)
    assert seen.truth is not None
    rest = rest_of(log, drawn, seen.truth.data_wait_fraction)
    now, wait = seen.truth.samples_per_s, seen.truth.data_wait_fraction

    def rate(changed: Drawn) -> float:
        with meet(changed, data) as place:
            prefix = place if isinstance(place, list) else []
            ready = max(READY_STEPS, OF_EACH * changed.workers)
            return measure(command(changed, data, place), scratch, gpu, ready, prefix) / now

    tried = {f"{n} workers": rate(replace(drawn, workers=n)) for n in others(drawn, seen, wait)}
    gains = {"loader_workers": max(tried.values(), default=1.0)}
    met = CIRCUMSTANCES.get(drawn.circumstance)
    if met is not None:
        tried["without it"] = gains[met.cause] = rate(without(drawn))
    smaller = SMALLER.search(" ".join(seen.report["next_step"]["actions"]))
    if seen.verdict == "preprocessing" and smaller:
        name = f"{smaller[1]} pixels"
        tried[name] = rate(replace(drawn, prepare=float(smaller[1])))
        gains["preprocessing"] = max(tried[name], gains.get("preprocessing", 0.0))
    taken = step_taken(drawn, seen.report)
    return {
        "job": drawn.name,
        "drawn": asdict(drawn),
        "verdict": seen.verdict,
        "right": seen.verdict in acceptable(wait, rest, gains, drawn.gpus > 1),
        "wait": wait,
        "rest": rest,
        "wait_error": seen.value("data_wait_fraction") - wait,
        "rate_error": seen.value("throughput") / now - 1 if "throughput" in seen.report["measurements"] else None,
        "tried": tried,
        "action": seen.report["next_step"]["actions"][0] if seen.report["next_step"]["actions"] else "",
        "promise": seen.report["next_step"]["expected_speedup"] if taken else None,
        "real": tried[taken] if taken else None,
        "headline": seen.report["verdict"]["headline"],
        "recording": str(seen.recording),
    }


def others(drawn: Drawn, seen: Seen, wait: float) -> list[int]:
    """Numbers of workers to try: the advised one, or some, where waiting for data leaves them something to win."""
    if seen.verdict == "loader_workers":
        return [int(advised(seen.report))]
    if wait < BOUND - EITHER:
        return []
    late = drawn.circumstance.startswith("late")
    return sorted({1, 2, drawn.workers + 1, WAITERS if late else 1} - {drawn.workers})


def tables(results: Sequence[Result]) -> str:
    """For people."""
    lines = [
        "| job | verdict | right | waits | tried | promised | error | inside |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in results:
        tried = ", ".join(f"{name}: {gain:.2f}" for name, gain in row["tried"].items())
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
    parser.add_argument(
        "--keep", type=Path, help="results, and recordings beside them; a run goes on where it was cut off"
    )
    parser.add_argument("--tables", type=Path)
    parser.add_argument("--again", action="store_true", help="with --tables: the recordings diagnosed anew")
    options = parser.parse_args()
    end_with_its_jobs()
    if options.tables:
        results = read(options.tables)
        print(tables([diagnosed_anew(result) for result in results] if options.again else results))
        return
    check_needs(parser)
    data = Data(Path(tempfile.mkdtemp(prefix="mlscale-unseen-")))
    driver = build_driver(data.folder)
    data.make()
    chance, results = random.Random(options.seed), read(options.keep) if options.keep else []
    for number in range(options.count):
        drawn = draw(chance)
        if number < len(results):
            continue
        results.append(run(drawn, data, driver))
        if options.keep:
            keep(results[-1], options.keep, f"{options.seed}-{number}")
        print(
            f"{results[-1]['job']}: {results[-1]['verdict']}, promise {off(results[-1])}", file=sys.stderr, flush=True
        )
    print(tables(results))


if __name__ == "__main__":
    main()
