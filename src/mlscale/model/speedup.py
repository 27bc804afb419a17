"""What a step brings. Plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SpeedUp:
    """Throughput after a step over throughput now, with a 90 % interval."""

    value: float
    low: float
    high: float
