"""Jobs that nobody chose, and what they meet: a store, a quota, company, work in the loop. What a draw means in commands."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.jobs import audio, columns, shards, small
from benchmarks.settings import beside, bucket, module, throttled
from tests.faults import inject
from tests.running import EXAMPLE, JOBS

STEPS_MS = (6.0, 120.0)
CPU_MS = (0.3, 4.0)
MOST_WORKERS = 4
NOTHING = "nothing"


@dataclass(frozen=True)
class Circumstance:
    """What may be wrong around a job: how much of it is drawn, and the verdict where it is the limit."""

    amounts: tuple[float, float]
    unit: str
    cause: str


CIRCUMSTANCES = {
    "quota": Circumstance((0.4, 1.6), "cores", "preprocessing"),
    "company": Circumstance((0.6, 3.4), "programs", "preprocessing"),
    "host work": Circumstance((2, 100), "ms", "host"),
    "saves": Circumstance((50, 1500), "ms each 30 steps", "checkpoint"),
    "late mount": Circumstance((0.3, 15), "ms a read", "storage"),
    "slow disk": Circumstance((15, 400), "MB/s", "storage"),
    "late bucket": Circumstance((3, 150), "ms an object", "storage"),
    "narrow line": Circumstance((20, 600), "MB/s", "storage"),
    "a rank that lags": Circumstance((2, 60), "ms", "communication"),
}
CORES = ("quota", "company")
# What each kind of job may meet. "nothing" is drawn as often as all others together.
KINDS: dict[str, tuple[str, ...]] = {
    "files": (*CORES, "host work", "saves"),
    "images": (*CORES, "host work", "saves"),
    "audio": CORES,
    "shards": CORES,
    "hdf5": CORES,
    "parquet": CORES,
    "pool": CORES,
    "small": (*CORES, "late mount"),
    "tokens": ("slow disk",),
    "blobs": ("slow disk",),
    "objects": ("late bucket",),
    "remote": ("narrow line",),
    "ranks": ("a rank that lags", "late mount"),
}
ALWAYS = ("objects", "remote")  # a store far away is never at hand


@dataclass(frozen=True)
class Drawn:
    """One job: its kind, what a step takes, what preparation takes (CPU ms of a sample, or pixels; 0: as it is), its workers,
    and what it meets."""

    kind: str
    step_ms: float
    prepare: float
    workers: int
    circumstance: str = NOTHING
    amount: float = 0.0

    @property
    def name(self) -> str:
        """For people."""
        prepare = f", {self.prepare:g}" if self.prepare else ""
        met = CIRCUMSTANCES.get(self.circumstance)
        beside = f"; {self.circumstance}, {self.amount:g} {met.unit}" if met else ""
        return f"{self.kind}{prepare}, step {self.step_ms:g} ms, {self.workers} workers{beside}"

    @property
    def gpus(self) -> int:
        """That it trains on."""
        return 2 if self.kind == "ranks" else 1


def draw(chance: random.Random) -> Drawn:
    """The next job."""
    kind = chance.choice(list(KINDS))
    prepare = 0.0
    if kind in ("files", "blobs"):
        prepare = round(log_uniform(chance, CPU_MS), 2)
    elif kind == "images":
        prepare = chance.choice((224, 320, 480, 800))
    least = 1 if kind in ("pool", "ranks") else 0
    drawn = Drawn(kind, round(log_uniform(chance, STEPS_MS), 1), prepare, chance.randint(least, MOST_WORKERS))
    if kind not in ALWAYS and chance.random() < 0.5:
        return drawn
    name = chance.choice(KINDS[kind])
    amount = log_uniform(chance, CIRCUMSTANCES[name].amounts)
    return replace(drawn, circumstance=name, amount=round(amount) if name == "company" else float(f"{amount:.2g}"))


def log_uniform(chance: random.Random, bounds: tuple[float, float]) -> float:
    """Between the bounds, each factor as likely as the next."""
    low, high = bounds
    return float(low * (high / low) ** chance.random())


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


def without(drawn: Drawn) -> Drawn:
    """The same job that meets nothing: a bucket answers at once, a line's files are at hand."""
    if drawn.kind == "objects":
        return replace(drawn, amount=0.5)
    return replace(drawn, circumstance=NOTHING, amount=0.0)
