"""The report of a probe: what the store, the preparation or the step can do alone. Plain data, beside the contract's report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mlscale.measure import Measurement
from mlscale.report.report import Host, Tool


@dataclass(frozen=True)
class Trial:
    """One setting that was tried, such as "8 readers", and its figures. `chosen`: the measurements of the report are its."""

    setting: str
    measurements: Mapping[str, Measurement]
    chosen: bool = False


@dataclass(frozen=True)
class Probe:
    """What was measured alone. `limited`: whether the figures are the limit of what was probed, or a lower bound of it."""

    schema_version: Literal["1"] = field(default="1", kw_only=True)
    tool: Tool
    created_at: str
    kind: Literal["probe"] = field(default="probe", kw_only=True)
    of: Literal["storage", "loader", "step"]
    target: str
    host: Host
    headline: str
    because: tuple[str, ...]
    measurements: Mapping[str, Measurement]
    trials: tuple[Trial, ...]
    limited: bool = True
    warnings: tuple[str, ...] = ()
    ended: str = "duration"
