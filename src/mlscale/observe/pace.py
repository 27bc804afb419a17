"""How far apart looks lie: as asked for, or further where they cost much, or where the job has no core to spare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlscale.observe import machine

BUDGET_CORES = 0.008  # own CPU use, above which looks come further apart
FULL_BUDGET_CORES = 0.006  # the same while no core is free: what looks take then, the job loses
ROOM = 0.85  # of a budget: below it, looks come closer again
SLOWEST = 2.0  # times the asked-for distance of two looks
NO_CORE_FREE = 0.9  # of the machine's cores that are in use


def next_pace(pace: float, used_cores: float, *, full: bool) -> float:
    """How many times the asked-for distance looks lie apart in the next second, after one that used so many cores."""
    budget = FULL_BUDGET_CORES if full else BUDGET_CORES
    if used_cores > budget:
        return min(pace * 1.15, SLOWEST)
    if used_cores < ROOM * budget:
        return max(pace / 1.1, 1.0)
    return pace


def is_full(before: Mapping[str, Any], now: Mapping[str, Any], seconds: float) -> bool:
    """Whether the job had all the cores that it can have between two samples of the machine, by their counters.

    A quota that held the job back counts, too: in its container, a look is paid from the same quota.
    """
    if now.get("throttled_s", 0.0) > before.get("throttled_s", 0.0):
        return True
    if "cpu_s" not in now or "cpu_s" not in before or seconds <= 0:
        return False
    return bool((now["cpu_s"] - before["cpu_s"]) / seconds >= NO_CORE_FREE * machine.logical_cpus())
