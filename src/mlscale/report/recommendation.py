"""The report of `mlscale recommend`: what the contract's JSON holds for kind "recommendation", as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mlscale.ladder.result import NextStep, RungResult, Verdict
from mlscale.measure import Measurement
from mlscale.plan.result import Candidate, Cost, Goal, Interval
from mlscale.profile.job import Job
from mlscale.report.report import Host, Tool, Window

__all__ = ["Candidate", "Cost", "Goal", "Interval", "Recommendation"]


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
    rejected: tuple[str, ...] = ()  # "rung: what could not be had: why", the same reason once a rung
