"""The set of jobs on which promises are kept or broken: half have a fault, half are healthy or only look odd.

Steps are far enough from what preparation takes that a fault is one on machines that differ by a third in speed.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.jobs import audio, columns, shards, small
from tests.faults import inject
from tests.running import EXAMPLE, JOBS

HEALTHY = ("gpu", "none")


@dataclass(frozen=True)
class Setting:
    """A job with a fault, and the same job with the step taken. `fault` gives what the commands need: a port, a mount, or
    a prefix. `after`'s second argument is the advised number of workers; None: no step is taken (healthy jobs)."""

    name: str
    expected: str
    before: Callable[[Any], list[str]]
    after: Callable[[Any, str], list[str]] | None = None
    fault: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext
    lifted: bool = False  # the step is to end the fault
    ready: int = 20
    gpus: int = 1


def module(name: str, *arguments: object) -> list[str]:
    """A job of benchmarks/jobs."""
    return [sys.executable, "-m", f"benchmarks.jobs.{name}", *map(str, arguments)]


def settings(scratch: Path) -> list[Setting]:
    """The set, with its data under `scratch`."""
    files, big, tokens = scratch / "files", scratch / "big", scratch / "tokens.bin"
    for folder, count, size in ((files, 64, 20_000), (big, 64, 1 << 20)):
        folder.mkdir(exist_ok=True)
        for number in range(count):
            (folder / f"{number:03}.bin").write_bytes(bytes(range(256)) * (size // 256))
    tokens.write_bytes(bytes(range(256)) * 4096 * 128)
    speech, tars, tiny, table = scratch / "speech", scratch / "tars", scratch / "tiny", scratch
    audio.make(speech)
    shards.make(tars / "400")
    small.make(tiny)
    columns.make_parquet(table / "rows.parquet")
    columns.make_hdf5(table / "images.h5")

    def read(workers: object, folder: object = files, *more: str) -> list[str]:
        return [*JOBS, "files", "--data", str(folder), "--workers", str(workers), *more]

    def images(workers: object, *more: str) -> list[str]:
        return [*EXAMPLE, "--workers", str(workers), *more]

    def with_data(name: str, folder: Path, workers: object, step_ms: object, *more: object) -> list[str]:
        return module(name, "--data", folder, "--workers", workers, "--step-ms", step_ms, *more)

    def objects(port: object, workers: object, step_ms: object = 40) -> list[str]:
        return module("objects", "train", "--port", port, "--workers", workers, "--step-ms", step_ms)

    def bound(command: list[str]) -> Callable[[Any], list[str]]:
        return lambda _: command

    def more_workers(command: Callable[[object], list[str]]) -> Callable[[Any, str], list[str]]:
        return lambda _, workers: command(workers)

    def two_ranks(data: Path, workers: object, *more: object) -> list[str]:
        return with_data("ranks", data, workers, 60, *more)

    cpu = ("--cpu-ms", "2", "--step-ms", "15")
    slow_tiny = 4
    return [
        # Faults.
        Setting(
            "few workers", "loader_workers", bound(read(1, files, *cpu)), more_workers(lambda w: read(w, files, *cpu))
        ),
        Setting(
            "no workers",
            "loader_workers",
            bound(images(0, "--step-ms", "40")),
            more_workers(lambda w: images(w, "--step-ms", "40")),
        ),
        Setting(
            "audio, one worker",
            "loader_workers",
            bound(with_data("audio", speech, 1, 8)),
            more_workers(lambda w: with_data("audio", speech, w, 8)),
        ),
        Setting(
            "tar shards, one worker",
            "loader_workers",
            bound(with_data("shards", tars, 1, 20)),
            more_workers(lambda w: with_data("shards", tars, w, 20)),
        ),
        Setting(
            "HDF5, one worker",
            "loader_workers",
            bound(with_data("columns", table, 1, 12, "--kind", "hdf5")),
            more_workers(lambda w: with_data("columns", table, w, 12, "--kind", "hdf5")),
        ),
        Setting(
            "threads, too few",
            "loader_workers",
            bound(module("pool", "--workers", 1, "--step-ms", 5)),
            more_workers(lambda w: module("pool", "--workers", w, "--step-ms", 5)),
        ),
        Setting(
            "bucket, few workers",
            "loader_workers",
            lambda port: objects(port, 2),
            objects,
            lambda: bucket(15),
            ready=5,
        ),
        Setting(
            "FUSE mount, small files",
            "loader_workers",
            lambda mount: with_data("small", mount, 2, 40),
            lambda mount, w: with_data("small", mount, w, 40),
            lambda: inject.slow_mount(tiny, scratch / "mount", slow_tiny),
            ready=5,
        ),
        Setting(
            "remote store, line full",
            "storage",
            lambda port: [
                *JOBS,
                "remote",
                "--data",
                str(big),
                "--port",
                str(port),
                "--workers",
                "4",
                "--step-ms",
                "40",
            ],
            lambda _, w: read(4, big, "--step-ms", "40"),
            lambda: inject.object_store(big, 1, 100e6),
            lifted=True,
            ready=3,
        ),
        Setting(
            "throttled disk",
            "storage",
            bound(read(2, big, "--step-ms", "60")),
            lambda _, w: read(2, big, "--step-ms", "60"),
            lambda: throttled(sorted(big.iterdir()), big, 25_000_000),
            lifted=True,
            ready=3,
        ),
        Setting(
            "throttled disk, memory map",
            "storage",
            bound([*JOBS, "tokens", "--data", str(tokens), "--workers", "2", "--step-ms", "30"]),
            lambda _, w: [*JOBS, "tokens", "--data", str(tokens), "--workers", "2", "--step-ms", "30"],
            lambda: throttled([tokens], tokens, 150_000_000),
            lifted=True,
            ready=3,
        ),
        Setting(
            "host work",
            "host",
            bound(images(1, "--step-ms", "60", "--host-ms", "60")),
            lambda _, w: images(1, "--step-ms", "60"),
        ),
        Setting(
            "checkpoints",
            "checkpoint",
            bound(images(1, "--step-ms", "60", "--save-every", "20", "--save-ms", "800", "--data", str(scratch))),
            lambda _, w: images(1, "--step-ms", "60", "--data", str(scratch)),
        ),
        Setting(
            "CPU quota",
            "preprocessing",
            bound(images(2, "--step-ms", "30")),
            lambda _, w: images(2, "--step-ms", "30"),
            lambda: inject.cpu_quota(0.5),
            lifted=True,
        ),
        Setting(
            "beside another program",
            "preprocessing",
            bound(images(2, "--step-ms", "15")),
            lambda _, w: images(2, "--step-ms", "15"),
            lambda: beside(1),
            lifted=True,
        ),
        Setting(
            "large images",
            "preprocessing",
            bound(images(2, "--step-ms", "10", "--image-size", "1200", "--images", "64")),
            lambda _, w: images(2, "--step-ms", "10", "--image-size", "256", "--images", "64"),
        ),
        Setting(
            "two ranks, few workers",
            "loader_workers",
            lambda mount: two_ranks(mount, 1),
            two_ranks,
            lambda: inject.slow_mount(tiny, scratch / "mount", slow_tiny),
            ready=5,
            gpus=2,
        ),
        Setting(
            "two ranks, one lags",
            "communication",
            bound(two_ranks(tiny, 1, "--lag-rank", 1, "--lag-ms", 40)),
            lambda _, w: two_ranks(tiny, 1),
            gpus=2,
        ),
        # Healthy, or harmless.
        Setting("healthy images", "gpu", bound(images(2, "--step-ms", "150")), ready=10),
        Setting("healthy, slow start", "gpu", bound(images(2, "--step-ms", "150", "--slow-start", "6")), ready=0),
        Setting("healthy, no workers", "gpu", bound(with_data("small", tiny, 0, 60)), ready=10),
        Setting("healthy audio", "gpu", bound(with_data("audio", speech, 2, 150)), ready=10),
        Setting("healthy shards", "gpu", bound(with_data("shards", tars, 2, 200)), ready=10),
        Setting("healthy parquet", "gpu", bound(with_data("columns", table, 2, 60)), ready=10),
        Setting("healthy HDF5", "gpu", bound(with_data("columns", table, 2, 250, "--kind", "hdf5")), ready=10),
        Setting("healthy threads", "gpu", bound(module("pool", "--workers", 2, "--step-ms", 60)), ready=10),
        Setting("healthy tokens", "gpu", bound([*JOBS, "tokens", "--data", str(tokens), "--step-ms", "50"]), ready=10),
        Setting("healthy bucket", "gpu", lambda port: objects(port, 16, 60), None, lambda: bucket(10), ready=10),
        Setting(
            "short epochs",
            "gpu",
            bound(read(2, files, "--step-ms", "60", "--epoch", "400", "--cpu-ms", "0.2")),
            ready=10,
        ),
        Setting(
            "evaluation in between",
            "gpu",
            bound(read(1, files, "--step-ms", "50", "--evaluate-every", "80")),
            ready=20,
        ),
        Setting(
            "rare saves", "gpu", bound(read(2, files, "--step-ms", "60", "--save-every", "150", "--save-ms", "200"))
        ),
        Setting("healthy ranks", "gpu", bound(two_ranks(tiny, 1)), ready=10, gpus=2),
        Setting("a rank lags a little", "gpu", bound(two_ranks(tiny, 1, "--lag-rank", 1, "--lag-ms", 2)), gpus=2),
        Setting("some host work", "gpu", bound(read(2, files, "--step-ms", "80", "--host-ms", "3"))),
    ]


@contextlib.contextmanager
def throttled(cold: list[Path], path: Path, bytes_per_s: int) -> Iterator[list[str]]:
    """Reads held to a rate, and none from the page cache."""
    with inject.cold(cold), inject.throttled_reads(path, bytes_per_s) as prefix:
        yield prefix


@contextlib.contextmanager
def beside(hogs: int) -> Iterator[None]:
    """Other programs that compute all the time."""
    with inject.cpu_hogs(hogs):
        yield


@contextlib.contextmanager
def bucket(latency_ms: float) -> Iterator[int]:
    """A bucket over HTTP that answers late. Gives its port."""
    command = module("objects", "serve", latency_ms)
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent)
    assert server.stdout is not None
    try:
        yield int(server.stdout.readline())
    finally:
        server.kill()
        server.wait()
