"""Fault, then recovery: one running job is healthy, gets a fault from outside, and loses it again. The verdict follows?

    python benchmarks/recovery.py [NAME ...] [--repeat 3] [--keep results.jsonl] [--tables results.jsonl]

A minute and a half for each job; needs root, fuse and the extra `bench`. The job is never started anew: what changes is a
cgroup's limit, its affinity, the delay of its store, or a number that it reads. A line in `--keep` is one job, its
recordings beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.ending import end_with_its_jobs
from benchmarks.jobs import small
from benchmarks.jobs.switched import switch
from benchmarks.needs import check_needs
from benchmarks.promise import hidden_prints
from benchmarks.settings import module
from tests.faults import inject
from tests.running import EXAMPLE, JOBS, diagnose, job
from tests.virtual_nvml.gpu import build_driver, make_state

from mlscale.observe import proc

SETTLE_S = 5.0
WATCH_S = 20
PHASES = ("healthy", "fault", "recovered")
Fault = Callable[[int], AbstractContextManager[None]]


@dataclass(frozen=True)
class Switched:
    """A job, and a fault that is there while the context of `fault`, given the job's pid, is open."""

    name: str
    what: str
    expected: tuple[str, ...]
    command: list[str]
    fault: Fault
    around: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext
    ready: int = 20


@contextlib.contextmanager
def moved(controller: str, limits: dict[str, str], pid: int) -> Iterator[None]:
    """The whole job in a cgroup with limits, and out again."""
    with inject.cgroup(controller, limits) as folder:
        for member in proc.tree_of(pid):
            (folder / "cgroup.procs").write_text(str(member))
        yield


@contextlib.contextmanager
def throttled(path: Path, files: Sequence[Path], bytes_per_s: int, pid: int) -> Iterator[None]:
    """Reads held to a rate, and none from the page cache; then all from there again."""
    limit = {"blkio.throttle.read_bps_device": f"{inject.disk_of(path)} {bytes_per_s}"}
    with inject.cold(files), moved("blkio", limit, pid):
        yield
    for file in files:
        file.read_bytes()


@contextlib.contextmanager
def one_core(pid: int) -> Iterator[None]:
    """All threads of the job on one core, and on all again."""
    cores = os.sched_getaffinity(pid)

    def pin(to: set[int]) -> None:
        for member in proc.tree_of(pid):
            for tid in proc.threads_of(member):
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setaffinity(tid, to)

    pin({min(cores)})
    yield
    pin(cores)


@contextlib.contextmanager
def written(path: Path, value: float) -> Iterator[None]:
    """A delay in milliseconds that a server reads at each answer."""
    before = path.read_text()
    path.write_text(str(value))
    yield
    path.write_text(before)


@contextlib.contextmanager
def switched(control: Path, healthy: dict[str, float], faulty: dict[str, float]) -> Iterator[None]:
    """Numbers that the job itself reads."""
    switch(control, **faulty)
    yield
    switch(control, **healthy)


@contextlib.contextmanager
def bucket(delay: Path, port: Path) -> Iterator[None]:
    """A server of objects; its port goes to a file."""
    command = module("objects", "serve", str(delay))
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent)
    assert server.stdout is not None
    port.write_text(server.stdout.readline())
    try:
        yield
    finally:
        server.kill()
        server.wait()


def settings(scratch: Path) -> list[Switched]:
    """The jobs, with their data under `scratch`."""
    big, tiny, tokens, control = scratch / "big", scratch / "tiny", scratch / "tokens.bin", scratch / "control"
    big.mkdir(exist_ok=True)
    for number in range(64):
        (big / f"{number:03}.bin").write_bytes(bytes(range(256)) * 4096)
    tokens.write_bytes(bytes(range(256)) * 4096 * 128)
    small.make(tiny)
    delay, far, port, mount = scratch / "delay", scratch / "far", scratch / "port", scratch / "mount"
    delay.write_text("0.2")
    far.write_text("10")
    healthy = {"cpu_ms": 0.3}
    switch(control, **healthy)

    def images(step_ms: int, *more: str) -> list[str]:
        return [*EXAMPLE, "--workers", "2", "--step-ms", str(step_ms), "--epoch-samples", "1000000", *more]

    def by_number(step_ms: int) -> list[str]:
        data = ("--data", big, "--control", control)
        return module("switched", *data, "--workers", 2, "--step-ms", step_ms)

    def numbers(**faulty: float) -> Fault:
        return lambda _: switched(control, healthy, {**healthy, **faulty})

    def files(kind: str, data: Path, step_ms: int) -> list[str]:
        return [*JOBS, kind, "--data", str(data), "--workers", "2", "--step-ms", str(step_ms)]

    quota = {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000"}
    on_mount = module("small", "--data", mount, "--workers", 2, "--step-ms", 60)
    cores, store = ("preprocessing",), ("storage",)
    return [
        Switched("images", "CPU quota of half a core", cores, images(60), lambda pid: moved("cpu", quota, pid)),
        Switched("larger images", "pinned to one core", cores, images(60, "--image-size", "850"), one_core),
        Switched(
            "files",
            "disk throttled to 25 MB/s",
            store,
            files("files", big, 60),
            lambda pid: throttled(big, sorted(big.iterdir()), 25_000_000, pid),
        ),
        Switched(
            "tokens by memory map",
            "disk throttled to 100 MB/s",
            store,
            files("tokens", tokens, 40),
            lambda pid: throttled(tokens, [tokens], 100_000_000, pid),
        ),
        Switched(
            "small files on a FUSE mount",
            "each read 8 ms late",
            ("loader_workers",),
            on_mount,
            lambda _: written(delay, 8),
            lambda: inject.slow_mount(tiny, mount, delay),
        ),
        Switched(
            "bucket over HTTP",
            "each answer 200 ms late, not 10",
            ("loader_workers",),
            module("objects", "train", "--port", port, "--workers", 16, "--step-ms", 60),
            lambda _: written(far, 200),
            lambda: bucket(far, port),
        ),
        Switched("files, Python", "40 times the computing", cores, by_number(40), numbers(cpu_ms=12)),
        Switched("files, loop", "60 ms of host work in each step", ("host",), by_number(60), numbers(host_ms=60)),
        Switched(
            "files, saves",
            "a save of 1 s each 15 steps",
            ("checkpoint",),
            by_number(60),
            numbers(save_ms=1000, save_every=15),
        ),
    ]


def run(setting: Switched, scratch: Path, driver: Path, keep: Path | None) -> dict[str, Any]:
    """Three diagnoses of one running job."""
    gpu = {"VIRTUAL_NVML_STATE": str(make_state(scratch / f"gpu{time.monotonic_ns()}")), "LD_LIBRARY_PATH": str(driver)}
    log = scratch / f"log{time.monotonic_ns()}"
    phases: dict[str, Any] = {}

    def look(phase: str) -> None:
        time.sleep(SETTLE_S)
        with hidden_prints():
            seen = diagnose(pid, log, duration_s=WATCH_S, **gpu)
        assert seen.truth is not None
        phases[phase] = {"verdict": seen.verdict, "samples_per_s": seen.truth.samples_per_s}
        if keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            shutil.copy(seen.recording, keep / f"{setting.name.replace(' ', '_')}-{phase}.mlscale")

    with setting.around(), job(setting.command, log, ready_steps=setting.ready, **gpu) as pid:
        look("healthy")
        with setting.fault(pid):
            look("fault")
        look("recovered")
    return {"job": setting.name, "fault": setting.what, "expected": setting.expected, "phases": phases}


def right(result: dict[str, Any], phase: str) -> bool:
    """Whether a phase's verdict is the expected one."""
    return result["phases"][phase]["verdict"] in (result["expected"] if phase == "fault" else ("gpu",))


def tables(results: Sequence[dict[str, Any]]) -> str:
    """Each job's verdicts, with its own speed beside them."""
    by_job: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        by_job[result["job"]].append(result)
    lines = ["| job | fault | " + " | ".join(PHASES) + " |", "|---|---|---|---|---|"]
    for name, rows in by_job.items():
        cells = [name, rows[0]["fault"]]
        for phase in PHASES:
            said = sorted({row["phases"][phase]["verdict"] for row in rows})
            rate = sum(row["phases"][phase]["samples_per_s"] for row in rows) / len(rows)
            wrong = "" if all(right(row, phase) for row in rows) else " **(wrong)**"
            cells.append(f"{', '.join(said)}{wrong}, {rate:.0f}/s")
        lines.append("| " + " | ".join(cells) + " |")
    good = sum(right(result, phase) for result in results for phase in PHASES)
    return "\n".join([*lines, "", f"{good} of {len(results) * len(PHASES)} verdicts right."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--tables", type=Path)
    options = parser.parse_args()
    end_with_its_jobs()
    if options.tables:
        print(tables([json.loads(line) for line in options.tables.read_text().splitlines()]))
        return
    check_needs(parser)
    scratch = Path(tempfile.mkdtemp(prefix="mlscale-recovery-"))
    driver = build_driver(scratch)
    results = []
    for _ in range(options.repeat):
        for setting in settings(scratch):
            if options.names and setting.name not in options.names:
                continue
            results.append(run(setting, scratch, driver, options.keep and options.keep.parent / "recovery"))
            if options.keep:
                with options.keep.open("a") as file:
                    file.write(json.dumps(results[-1]) + "\n")
            print(f"{setting.name}: {results[-1]['phases']}", file=sys.stderr, flush=True)
    print(tables(results))


if __name__ == "__main__":
    main()
