"""What a plan says, as plain data: the goal, and each way to run the job with its rate, time and cost."""

from __future__ import annotations

from dataclasses import dataclass


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
