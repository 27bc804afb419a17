"""The promise kept? Diagnoses real jobs, takes the named step for real, measures again, and prints a table.

python benchmarks/promise.py [NAME ...]      needs root and what `scripts/test.sh` installs
"""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.faults import inject
from tests.running import EXAMPLE, JOBS, diagnose, job, rows_of
from tests.virtual_nvml.gpu import build_driver, make_state

MEASURE_S = 15


@dataclass(frozen=True)
class Setting:
    """A job with a fault, and the same job with the step taken. `fault` gives what the commands need: a port, a mount."""

    name: str
    expected: str
    before: Callable[[Any], list[str]]
    after: Callable[[Any, str], list[str]]  # the second argument is the advised number of workers
    fault: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext
    lifted: bool = False  # the step is to end the fault
    ready: int = 20


def settings(files: Path, big: Path, scratch: Path) -> list[Setting]:
    """The set."""

    def read(workers: str, folder: object = files) -> list[str]:
        return [*JOBS, "files", "--data", str(folder), "--workers", workers]

    def images(workers: str, *more: str) -> list[str]:
        return [*EXAMPLE, "--workers", workers, *more]

    def remote(port: object, workers: str) -> list[str]:
        return [*JOBS, "remote", "--data", str(files), "--port", str(port), "--workers", workers, "--step-ms", "40"]

    cpu = ("--cpu-ms", "2", "--step-ms", "15")
    return [
        Setting("few workers", "loader_workers", lambda _: [*read("1"), *cpu], lambda _, w: [*read(w), *cpu]),
        Setting(
            "no workers",
            "loader_workers",
            lambda _: images("0", "--step-ms", "40"),
            lambda _, w: images(w, "--step-ms", "40"),
        ),
        Setting(
            "remote store",
            "loader_workers",
            lambda port: remote(port, "2"),
            remote,
            lambda: inject.object_store(files, 20),
            ready=5,
        ),
        Setting(
            "FUSE mount",
            "loader_workers",
            lambda mount: [*read("2", mount), "--step-ms", "40"],
            lambda mount, w: [*read(w, mount), "--step-ms", "40"],
            lambda: inject.slow_mount(files, scratch / "mount", 20),
            ready=5,
        ),
        Setting(
            "throttled disk",
            "storage",
            lambda _: [*read("2", big), "--step-ms", "60"],
            lambda _, w: [*read("2", big), "--step-ms", "60"],
            lambda: throttled(big),
            lifted=True,
            ready=3,
        ),
        Setting(
            "host work",
            "host",
            lambda _: images("1", "--step-ms", "60", "--host-ms", "60"),
            lambda _, w: images("1", "--step-ms", "60"),
        ),
        Setting(
            "checkpoints",
            "checkpoint",
            lambda _: images("1", "--step-ms", "60", "--save-every", "20", "--save-ms", "800"),
            lambda _, w: images("1", "--step-ms", "60"),
        ),
        Setting(
            "CPU quota",
            "preprocessing",
            lambda _: images("2", "--step-ms", "30"),
            lambda _, w: images("2", "--step-ms", "30"),
            lambda: inject.cpu_quota(0.5),
            lifted=True,
        ),
    ]


@contextlib.contextmanager
def throttled(folder: Path) -> Iterator[list[str]]:
    """Reads held to 25 MB/s, and none from the page cache."""
    with inject.cold(sorted(folder.iterdir())), inject.throttled_reads(folder, 25_000_000) as prefix:
        yield prefix


def run(setting: Setting, scratch: Path, driver: Path) -> str:
    """One row of the table."""
    gpu = {"VIRTUAL_NVML_STATE": str(make_state(scratch / f"gpu{time.monotonic_ns()}")), "LD_LIBRARY_PATH": str(driver)}
    log = scratch / f"before{time.monotonic_ns()}"
    with setting.fault() as given:
        prefix = given if isinstance(given, list) else []
        with job(setting.before(given), log, prefix=prefix, ready_steps=setting.ready, **gpu) as pid, hidden_prints():
            seen = diagnose(pid, log, duration_s=MEASURE_S, **gpu)
        actions = " ".join(seen.report["next_step"]["actions"])
        advised = re.search(r"num_workers=(\d+)", actions)
        workers = advised[1] if advised else "2"
        if not setting.lifted:
            rate = measure(setting.after(given, workers), scratch, gpu, setting.ready)
    if setting.lifted:
        rate = measure(setting.after(None, workers), scratch, gpu, setting.ready)
    assert seen.truth is not None
    real = rate / seen.truth.samples_per_s
    promise = seen.report["next_step"]["expected_speedup"]
    if promise is None:
        return f"| {setting.name} | {seen.verdict} | – | {real:.2f} | – | – |"
    error = promise["value"] / real - 1
    holds = "yes" if promise["low"] <= real <= promise["high"] else "no"
    right = "" if seen.verdict == setting.expected else f" (should be {setting.expected})"
    span = f"{promise['value']:.2f} ({promise['low']:.2f} – {promise['high']:.2f})"
    return f"| {setting.name} | {seen.verdict}{right} | {span} | {real:.2f} | {error:+.0%} | {holds} |"


@contextlib.contextmanager
def hidden_prints() -> Iterator[None]:
    """The table is all that is printed."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def measure(command: list[str], scratch: Path, gpu: dict[str, str], ready: int) -> float:
    """Samples per second by the job's own count."""
    log = scratch / f"after{time.monotonic_ns()}"
    with job(command, log, ready_steps=ready, **gpu):
        first = rows_of(log)[-1]
        time.sleep(MEASURE_S)
        last = rows_of(log)[-1]
    return (last["samples"] - first["samples"]) / (last["t"] - first["t"])


def main() -> None:
    scratch = Path(tempfile.mkdtemp(prefix="mlscale-promise-"))
    driver = build_driver(scratch)
    files, big = scratch / "files", scratch / "big"
    for folder, count, size in ((files, 64, 20_000), (big, 64, 1 << 20)):
        folder.mkdir()
        for number in range(count):
            (folder / f"{number:03}.bin").write_bytes(bytes(range(256)) * (size // 256))
    print("| job | verdict | promised (90 %) | real | error | inside |\n|---|---|---|---|---|---|", flush=True)
    for setting in settings(files, big, scratch):
        if not sys.argv[1:] or setting.name in sys.argv[1:]:
            print(run(setting, scratch, driver), flush=True)


if __name__ == "__main__":
    main()
