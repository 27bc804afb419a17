"""Jobs that nobody chose, and what they meet: a store, a quota, company, work in the loop. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

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


def without(drawn: Drawn) -> Drawn:
    """The same job that meets nothing: a bucket answers at once, a line's files are at hand."""
    if drawn.kind == "objects":
        return replace(drawn, amount=0.5)
    return replace(drawn, circumstance=NOTHING, amount=0.0)
