"""What a drawn job means in commands, in files, and in what is done to it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.drawn import Drawn
from benchmarks.jobs import audio, columns, shards, small
from benchmarks.settings import beside, bucket, module, throttled
from tests.faults import inject
from tests.running import EXAMPLE, JOBS


@dataclass(frozen=True)
class Data:
    """Where the jobs' data lies; made once."""

    folder: Path

    def make(self) -> None:
        """For all kinds."""
        for name, count, size in (("files", 64, 20_000), ("blobs", 64, 1 << 20)):
            (self.folder / name).mkdir()
            for number in range(count):
                (self.folder / name / f"{number:03}.bin").write_bytes(bytes(range(256)) * (size // 256))
        (self.folder / "tokens").write_bytes(bytes(range(256)) * 4096 * 128)
        audio.make(self.folder / "audio")
        shards.make(self.folder / "shards/400")
        small.make(self.folder / "small")
        columns.make_parquet(self.folder / "rows.parquet")
        columns.make_hdf5(self.folder / "images.h5")


def command(drawn: Drawn, data: Data, place: Any) -> list[str]:
    """The job. `place`: what its circumstance gave, a port or a mount."""
    folder, kind = data.folder, drawn.kind
    common = ["--workers", str(drawn.workers), "--step-ms", str(drawn.step_ms)]
    if drawn.circumstance == "host work":
        common += ["--host-ms", str(drawn.amount)]
    if drawn.circumstance == "saves":
        common += ["--save-every", "30", "--save-ms", str(drawn.amount)]
    if kind in ("files", "blobs") or (kind == "remote" and not isinstance(place, int)):
        where = kind if kind != "remote" else "blobs"
        return [*JOBS, "files", "--data", str(folder / where), "--cpu-ms", str(drawn.prepare), *common]
    if kind == "remote":
        return [*JOBS, "remote", "--data", str(folder / "blobs"), "--port", str(place), *common]
    if kind == "tokens":
        return [*JOBS, "tokens", "--data", str(folder / "tokens"), *common]
    if kind == "images":
        return [*EXAMPLE, "--image-size", f"{drawn.prepare:g}", "--images", "64", "--data", str(folder), *common]
    if kind == "shards":
        size = ("--size", int(drawn.prepare)) if drawn.prepare else ()
        return module("shards", "--data", folder / kind, *size, *common)
    if kind in ("hdf5", "parquet"):
        return module("columns", "--data", folder, "--kind", kind, *common)
    if kind == "objects":
        return module("objects", "train", "--port", place, *common)
    if kind in ("small", "ranks"):
        lag = ("--lag-rank", 1, "--lag-ms", drawn.amount) if drawn.circumstance == "a rank that lags" else ()
        return module(kind, "--data", place if isinstance(place, Path) else folder / "small", *lag, *common)
    return module(kind, "--data", folder / kind, *common)


def meet(drawn: Drawn, data: Data) -> AbstractContextManager[Any]:
    """What the job meets. Gives what its command needs: a port, a mount, or a list that is the command's prefix."""
    folder, amount = data.folder, drawn.amount
    by_name: dict[str, Callable[[], AbstractContextManager[Any]]] = {
        "quota": lambda: inject.cpu_quota(amount),
        "company": lambda: beside(int(amount)),
        "late mount": lambda: inject.slow_mount(folder / "small", folder / "mount", amount),
        "slow disk": lambda: _slow_disk(folder / drawn.kind, amount),
        "late bucket": lambda: bucket(amount),
        "narrow line": lambda: inject.object_store(folder / "blobs", 1, amount * 1e6),
    }
    return by_name.get(drawn.circumstance, contextlib.nullcontext)()


@contextlib.contextmanager
def _slow_disk(data: Path, megabytes_per_s: float) -> Iterator[list[str]]:
    files = sorted(data.iterdir()) if data.is_dir() else [data]
    with throttled(files, data, int(megabytes_per_s * 1e6)) as prefix:
        yield prefix
