"""The promise kept? Diagnoses real jobs, takes the named step for real, measures again, and prints tables.

    python benchmarks/promise.py [NAME ...] [--repeat 5] [--keep results.jsonl] [--tables results.jsonl] [--again]

Needs root, and the extra `bench`. A result is a line in `--keep`, its recording beside it, so that a run that is cut off is
not lost, and goes on where it was; `--tables` prints them without running anything, and with `--again` diagnoses the
recordings anew, for a model that has changed (where its advice is still the step that was taken).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.ending import end_with_its_jobs
from benchmarks.judge import advised
from benchmarks.needs import check_needs
from benchmarks.settings import Setting, settings
from benchmarks.slowdown import ALONE_S, median_with_interval, slowdown
from tests.running import diagnose, job, rate_of, rows_of
from tests.virtual_nvml.gpu import build_driver, make_state

from mlscale import recording as recordings
from mlscale.cli.diagnose import report_of

MEASURE_S = 15
# Of the job after its step, one start made 8 % less than others on full cores (docs/validation-before.md). As it was, it is
# started once more after each two, and what came is beside the mean of both: machines change meanwhile.
STARTS, START_S, WATCH_S = 2, 10, 20
# All that is done twice from such a standard error of the job's own rate over the watch on, by the spread of its parts; or where
# two starts of the same are so far apart.
UNEVEN, PARTS, STEPS_A_PART = 0.015, 8, 12
APART = 0.05
LAST_STEP_S = 0.5  # until the log has the step that ends after the time alone
Result = dict[str, Any]


def run(
    setting: Setting, scratch: Path, driver: Path | None, *, time_alone: bool, number_of_starts: int = STARTS
) -> Result:
    """One job: diagnosed; the step taken; measured again. `driver`: of the virtual GPU; None: a real one is here.
    `time_alone`: also before and after, to see what watching costs."""
    gpu = {}
    if driver is not None:
        state = make_state(scratch / f"gpu{time.monotonic_ns()}", gpus=setting.gpus)
        gpu = {"VIRTUAL_NVML_STATE": str(state), "LD_LIBRARY_PATH": str(driver)}
    log = scratch / f"before{time.monotonic_ns()}"
    with setting.fault() as given:
        prefix = given if isinstance(given, list) else []
        with job(setting.before(given), log, prefix=prefix, ready_steps=setting.ready, **gpu) as pid, hidden_prints():
            time.sleep(ALONE_S if time_alone else 0.0)
            began = time.monotonic()
            seen = diagnose(pid, log, duration_s=WATCH_S, **gpu)
            ended = time.monotonic()
            time.sleep(ALONE_S + LAST_STEP_S if time_alone else 0.0)
            slower = slowdown(log, began, ended) if time_alone else None
    workers = advised(seen.report)
    uneven = unevenness([row for row in rows_of(log) if began <= row["t"] <= ended])
    after: list[float] = []
    again: list[float] = []
    assert seen.truth is not None
    then = seen.truth.samples_per_s
    if setting.after is not None:
        for turn in range(2):
            with contextlib.nullcontext() if setting.lifted else setting.fault() as given:
                after += starts(number_of_starts, setting.after(given, workers), scratch, gpu, setting.ready)
            again.append(once_more(setting, scratch, gpu))
            if turn == 0 and uneven < UNEVEN and max(apart(after), apart([then, *again])) < APART:
                break
    before = (WATCH_S * then + START_S * sum(again)) / (WATCH_S + START_S * len(again))
    promise = seen.report["next_step"]["expected_speedup"]
    throughput = seen.report["measurements"].get("throughput", {}).get("value")
    wait = seen.report["measurements"].get("data_wait_fraction", {}).get("value")
    return {
        "job": setting.name,
        "expected": setting.expected,
        "verdict": seen.verdict,
        "confidence": seen.report["verdict"]["confidence"],
        "action": seen.report["next_step"]["actions"][0] if seen.report["next_step"]["actions"] else "",
        "promise": promise,
        "real": statistics.mean(after) / before if after else None,
        "real_swing": apart(after) if after else None,
        "drift": statistics.mean(again) / then - 1 if again else None,
        "uneven": uneven,
        "starts": len(after),
        "rate_error": None if throughput is None else throughput / then - 1,
        "wait_error": None if wait is None else wait - seen.truth.data_wait_fraction,
        "took_s": ended - began,
        "slower": slower,
        "recording": str(seen.recording),
    }


@contextlib.contextmanager
def hidden_prints() -> Iterator[None]:
    """The tables are all that is printed."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def unevenness(rows: Sequence[dict[str, float]]) -> float:
    """Relative standard error of a job's rate, by the spread of its parts' rates. 0 where too few steps tell one."""
    if len(rows) <= PARTS * STEPS_A_PART:
        return 0.0
    edges = [rows[round(number * (len(rows) - 1) / PARTS)] for number in range(PARTS + 1)]
    rates = [(b["samples"] - a["samples"]) / (b["t"] - a["t"]) for a, b in zip(edges, edges[1:], strict=False)]
    return statistics.stdev(rates) / statistics.fmean(rates) / PARTS**0.5


def apart(rates: Sequence[float]) -> float:
    """From the least to the most, of their mean."""
    return (max(rates) - min(rates)) / statistics.mean(rates)


def starts(number: int, command: list[str], scratch: Path, gpu: dict[str, str], ready: int) -> list[float]:
    """Samples per second of each of several starts of a job."""
    return [measure(command, scratch, gpu, ready, seconds=START_S) for _ in range(number)]


def once_more(setting: Setting, scratch: Path, gpu: dict[str, str]) -> float:
    """Samples per second of the job as it was, after all: had the machine changed meanwhile?"""
    with setting.fault() as given:
        prefix = given if isinstance(given, list) else []
        return measure(setting.before(given), scratch, gpu, setting.ready, prefix, seconds=START_S)


def measure(
    command: list[str],
    scratch: Path,
    gpu: dict[str, str],
    ready: int,
    prefix: Sequence[str] = (),
    seconds: float = MEASURE_S,
) -> float:
    """Samples per second by the job's own count."""
    log = scratch / f"after{time.monotonic_ns()}"
    with job(command, log, prefix=prefix, ready_steps=ready, **gpu):
        so_far = len(rows_of(log))
        time.sleep(seconds)
        return rate_of(rows_of(log)[so_far - 1 :])


def off(result: Result) -> float | None:
    """Promised over real, less one."""
    return None if not result["promise"] or not result["real"] else result["promise"]["value"] / result["real"] - 1


def inside(result: Result) -> bool:
    """Whether the real speed-up is in the promised interval."""
    return bool(result["promise"]["low"] <= result["real"] <= result["promise"]["high"])


def tables(results: Sequence[Result]) -> str:
    """Each job's medians, the confusion matrix, and all in one line."""
    by_job: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_job[result["job"]].append(result)
    lines = [
        "| job | verdict right | promised | real | error | inside | samples/s error | data wait error | report after "
        "| slower |"
    ]
    lines.append("|---|---|---|---|---|---|---|---|---|---|")
    for name, rows in by_job.items():
        right = sum(row["verdict"] == row["expected"] for row in rows)
        promised = [row for row in rows if off(row) is not None]
        cells = [name, f"{right} of {len(rows)}"]
        if promised:
            cells += [
                f"{statistics.median(row['promise']['value'] for row in promised):.2f}",
                f"{statistics.median(row['real'] for row in promised):.2f} "
                f"({min(row['real'] for row in promised):.2f} – {max(row['real'] for row in promised):.2f})",
                f"{statistics.median(off(row) or 0.0 for row in promised):+.1%}",
                f"{sum(map(inside, promised))} of {len(promised)}",
            ]
        else:
            cells += ["–"] * 4
        rates = [abs(row["rate_error"]) for row in rows if row["rate_error"] is not None]
        cells.append(f"{statistics.median(rates):.1%}" if rates else "–")
        waits = [abs(row["wait_error"]) for row in rows if row["wait_error"] is not None]
        cells.append(f"{statistics.median(waits):.3f}" if waits else "–")
        cells.append(f"{statistics.median(row['took_s'] for row in rows):.0f} s")
        slower = slowdowns(rows)
        cells.append(f"{statistics.median(slower):+.1%}" if slower else "–")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *confusion(results), "", *overall(results)])


def slowdowns(results: Sequence[Result]) -> list[float]:
    """Those that were measured, sorted."""
    return sorted(row["slower"] for row in results if row.get("slower") is not None)


def confusion(results: Sequence[Result]) -> list[str]:
    """Fault by verdict."""
    counted = Counter((row["expected"], row["verdict"]) for row in results)
    columns = sorted({verdict for _, verdict in counted})
    lines = ["| fault \\ verdict | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for expected in sorted({fault for fault, _ in counted}):
        lines.append(f"| {expected} | " + " | ".join(str(counted[expected, c] or "") for c in columns) + " |")
    return lines


def overall(results: Sequence[Result]) -> list[str]:
    """All jobs together, in a line or two."""
    right = sum(row["verdict"] == row["expected"] for row in results)
    promised = [row for row in results if off(row) is not None and row["verdict"] == row["expected"]]
    if not promised:
        return [f"Verdicts right: {right} of {len(results)}."]
    errors = [abs(off(row) or 0.0) for row in promised]
    rates = [abs(row["rate_error"]) for row in results if row["rate_error"] is not None]
    slower = slowdowns(results)
    swings = [row["real_swing"] for row in results if row.get("real_swing") is not None]
    uneven = [row["uneven"] for row in promised if row.get("uneven") is not None]
    drifts = [abs(row["drift"]) for row in results if row.get("drift") is not None]
    return [
        f"Verdicts right: {right} of {len(results)}. Promised speed-up off by {statistics.median(errors):.1%} at the "
        f"median, {max(errors):.1%} at worst; inside its 90 % interval {sum(map(inside, promised))} times of "
        f"{len(promised)}. "
        + (f"samples/s off by {statistics.median(rates):.2%} at the median. " if rates else "")
        + f"From command to report {statistics.median(row['took_s'] for row in results):.0f} s.",
        *(
            [
                f"One start of a job after its step differs from the next by {statistics.median(swings):.1%} at the median, "
                f"{max(swings):.1%} at worst."
            ]
            if swings
            else []
        ),
        *(
            [
                "The job as it was, started once more after all, differs from what was diagnosed by "
                f"{statistics.median(drifts):.1%} at the median, {max(drifts):.1%} at worst."
            ]
            if drifts
            else []
        ),
        *(
            [
                f"Within the watch, {sum(u >= UNEVEN for u in uneven)} of {len(uneven)} of these jobs were so uneven that their "
                f"mean rate errs by {UNEVEN:.1%} and more ({max(uneven):.1%} at worst); "
                f"{sum(row.get('starts', 0) > STARTS for row in promised)} were started twice as often."
            ]
            if uneven
            else []
        ),
        *([f"Jobs slower while the command ran, at the median: {median_with_interval(slower)}."] if slower else []),
    ]


def read(path: Path) -> list[Result]:
    """The results so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def keep(result: Result, path: Path, name: str) -> None:
    """Adds a result to a file, and its recording to a folder beside it, which is of this file alone."""
    kept = path.parent / f"{path.stem}-recordings" / f"{name}.mlscale"
    kept.parent.mkdir(parents=True, exist_ok=True)
    result["recording"] = str(shutil.copy(result["recording"], kept))
    with path.open("a") as file:
        file.write(json.dumps(result) + "\n")


def diagnosed_anew(result: Result) -> Result:
    """The same run, with what mlscale says of it now. A step that was not taken cannot be compared."""
    report = report_of(recordings.read(Path(result["recording"])))
    step = report.next_step
    action, gain = step.actions[0] if step.actions else "", step.expected_speedup
    same = action == result["action"]
    promise = {"value": gain.value, "low": gain.low, "high": gain.high} if gain is not None else None
    return {**result, "verdict": report.verdict.bottleneck, "action": action, "promise": promise if same else None}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument(
        "--slower", type=int, metavar="N", help="repetitions that time the job alone too (default: all)"
    )
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--tables", type=Path)
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args()
    end_with_its_jobs()
    if options.tables:
        results = read(options.tables)
        print(tables([diagnosed_anew(result) for result in results] if options.again else results))
        return
    check_needs(parser)
    scratch = Path(tempfile.mkdtemp(prefix="mlscale-promise-"))
    driver = build_driver(scratch)
    results = read(options.keep) if options.keep else []
    done = Counter(result["job"] for result in results)
    for repetition in range(options.repeat):
        for setting in settings(scratch):
            if (options.names and setting.name not in options.names) or done[setting.name] > repetition:
                continue
            time_alone = options.slower is None or repetition < options.slower
            result = run(setting, scratch, driver, time_alone=time_alone)
            results.append(result)
            if options.keep:
                keep(result, options.keep, f"{setting.name.replace(' ', '_')}-{repetition}")
            print(f"{setting.name}: {result['verdict']}, promise {off(result)}", file=sys.stderr, flush=True)
    print(tables(results))


if __name__ == "__main__":
    main()
