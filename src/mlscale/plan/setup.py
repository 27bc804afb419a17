"""One way to run a job, what limits the choice, and the facts that a plan rests on. Plain data."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from mlscale.catalog.types import Catalog, FileSystem, Instance
from mlscale.ladder.result import RungName
from mlscale.model.accelerator import OtherGpuConstants
from mlscale.model.exchange import ExchangeConstants
from mlscale.model.feed import NodeRate
from mlscale.model.fetch import Fetch
from mlscale.model.memory import MemoryFit
from mlscale.model.storage_constants import StorageConstants
from mlscale.plan.job import PlannedJob
from mlscale.plan.result import Candidate, Goal

PurchaseChoice = Literal["on-demand", "spot", "any"]


@dataclass(frozen=True)
class Facts:
    """What is known of hardware and its behaviour."""

    catalog: Catalog
    storage: StorageConstants
    other_gpu: OtherGpuConstants
    exchange: ExchangeConstants
    today: date


@dataclass(frozen=True)
class Constraints:
    """What a candidate must be. Empty or None: anything goes. `workers` are of each GPU's process."""

    regions: tuple[str, ...] = ("us-east-1",)
    families: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()
    file_systems: tuple[FileSystem, ...] = ()
    workers: int | None = None
    nodes: int | None = None
    max_nodes: int = 16
    efa: bool = False
    purchase: PurchaseChoice = "on-demand"


@dataclass(frozen=True)
class Setup:
    """`workers`: loader workers of each GPU's process; None: as many as help. `hosts`: machines that prepare data too."""

    rung: RungName
    instance: Instance
    nodes: int
    file_system: FileSystem
    workers: int | None
    trimmed: bool = False
    hosts: int = 0
    host: Instance | None = None


@dataclass(frozen=True)
class Predicted:
    """A setup with its node's rate. `problem`: why it cannot be had; the rest is None then."""

    setup: Setup
    node: NodeRate | None
    fetch: Fetch | None
    fit: MemoryFit | None
    problem: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """The question: a job, a goal, what is allowed, and where it runs now (None: nowhere yet)."""

    job: PlannedJob
    goal: Goal
    constraints: Constraints
    facts: Facts
    start: Setup | None
    measured_samples_per_s: float | None = None
    measured_interval: tuple[float, float] | None = None
    own: bool = False  # the start is no EC2 type: which stores and helpers it could have is not known
    entry: bool = False  # the start is no machine that one has, but the cheapest to begin with


@dataclass(frozen=True)
class RungPlan:
    """All that was weighed on a rung. `rejected`: what could not be had, and why, by setup."""

    rung: RungName
    candidates: tuple[Candidate, ...]
    rejected: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """The answer: `pick`, `cheapest`, `fastest` index `candidates`; `rungs` in the ladder's order."""

    case: Case
    baseline: Candidate | None
    met_already: bool
    candidates: tuple[Candidate, ...]
    rungs: tuple[RungPlan, ...]
    pick: int | None
    cheapest: int | None
    fastest: int | None
