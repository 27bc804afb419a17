"""What a plan says, as plain data: the goal, and each way to run the job with its rate, time and cost."""

from __future__ import annotations

import math
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
    """One way to run the job. `loader_workers` of each GPU's process; `limits`: what binds first, then what else is to say;
    `purchase` is on-demand, spot, or "" for a machine that is not bought."""

    rung: str
    instance_type: str
    nodes: int
    file_system: str
    loader_workers: int
    samples_per_second: Interval
    bottleneck: str
    hours: Interval
    cost_usd: Cost | None  # None: no price is known
    meets_goal: bool
    why: str
    accelerator: str = ""
    accelerators: float = 0.0
    region: str = ""
    purchase: str = "on-demand"
    limits: tuple[str, ...] = ()
    gpu_busy_fraction: float | None = None

    @property
    def total_usd(self) -> float:
        """Dollars to order by: a machine without a known price comes last."""
        return math.inf if self.cost_usd is None else self.cost_usd.total
