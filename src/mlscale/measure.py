"""A measured number: value, interval, unit and where it came from; or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Measurement:
    """One figure. `low` and `high` bound a 90 % interval in the same `unit`; `source` names how it was seen."""

    value: float
    unit: str
    low: float
    high: float
    source: str


@dataclass(frozen=True)
class Missing:
    """A figure that could not be had. Never treated as zero; `reason` is shown to the user."""

    reason: str


Measured: TypeAlias = Measurement | Missing


def value_of(measured: Measured | None) -> float | None:
    """The figure, or None where it is missing."""
    return measured.value if isinstance(measured, Measurement) else None


def exact(value: float, unit: str, source: str) -> Measurement:
    """A counted figure, whose interval is itself."""
    return Measurement(value, unit, value, value, source)
