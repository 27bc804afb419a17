"""The report of `mlscale recommend`: what the contract's JSON holds for kind "recommendation", as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mlscale.ladder.result import NextStep, RungResult, Verdict
from mlscale.measure import Measurement
from mlscale.profile.job import Job
from mlscale.report.report import Host, Tool, Window


@dataclass(frozen=True)
class Interval:
    """A predicted figure with its 90 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Cost:
    """US dollars for the whole run."""

    compute: float
    storage: float
    total: float


@dataclass(frozen=True)
class Goal:
    """What is asked for; None where nothing is. `samples` is what the whole run reads: data set times epochs."""

    deadline_hours: float | None
    budget_usd: float | None
    samples_per_second: float | None
    region: str
    samples: float
    epochs: float


@dataclass(frozen=True)
class Candidate:
    """One way to run the job. `limits` says what binds, in the order of how much; `shares` the time of one sample by
    stage, as fractions; `purchase` is on-demand or spot."""

    rung: str
    instance_type: str
    nodes: int
    file_system: str
    loader_workers: int
    samples_per_second: Interval
    bottleneck: str
    hours: Interval
    cost_usd: Cost
    meets_goal: bool
    why: str
    accelerator: str = ""
    accelerators: float = 0.0
    region: str = ""
    purchase: str = "on-demand"
    limits: tuple[str, ...] = ()
    gpu_busy_fraction: float | None = None


@dataclass(frozen=True)
class Recommendation:
    """A plan that can be shown to someone who was not there. `pick`, `cheapest`, `fastest` index `candidates`."""

    schema_version: Literal["1"] = field(default="1", kw_only=True)
    tool: Tool
    created_at: str
    kind: Literal["recommendation"] = field(default="recommendation", kw_only=True)
    host: Host | None
    job: Job | None
    window: Window | None
    measurements: Mapping[str, Measurement]
    verdict: Verdict
    ladder: tuple[RungResult, ...]
    next_step: NextStep
    goal: Goal
    baseline: Candidate | None
    candidates: tuple[Candidate, ...]
    pick: int | None
    cheapest: int | None
    fastest: int | None
    warnings: tuple[str, ...] = ()
    workload: str = ""
