"""Which verdicts and steps are right, by what a job counted and what trying showed. Pure."""

from __future__ import annotations

import re
from typing import Any

from benchmarks.drawn import CIRCUMSTANCES, Drawn

BOUND, EITHER = 0.10, 0.05
COMPANY, SMALLER = "Move the other programs", re.compile(r"Store the images at (\d+)x")


def advised(report: dict[str, Any]) -> str:
    """The number of workers in the advice; 2 where it has none."""
    found = re.search(r"(?:num_workers=|in )(\d+)(?: threads| worker|,|\))", " ".join(report["next_step"]["actions"]))
    return found[1] if found else "2"


def acceptable(wait: float, rest: float, gains: dict[str, float], ranks: bool = False) -> set[str]:
    """The verdicts that are right: for the shares of the time that the job waited for data, and spent on neither data nor the
    step, and what the remedy of each brought."""
    found = {verdict for verdict, gain in gains.items() if gain >= 1 + BOUND - EITHER}
    best = max(gains.values(), default=1.0)
    if best < 1 + BOUND + EITHER:
        if wait >= BOUND - EITHER:
            found |= {"preprocessing", "host"}  # batches that are dear to take over are the loop's own work
        if rest >= BOUND - EITHER:
            found |= {"host", "communication"} if ranks else {"host"}
        if max(wait, rest) <= BOUND + EITHER:
            found.add("gpu")
    return found


def step_taken(drawn: Drawn, report: dict[str, Any]) -> str | None:
    """Which remedy is the advised step, if one can be tried: the first action, whose promise it is."""
    verdict, lead = report["verdict"]["bottleneck"], "".join(report["next_step"]["actions"][:1])
    met = CIRCUMSTANCES.get(drawn.circumstance)
    if report["next_step"]["expected_speedup"] is None:
        return None
    if verdict == "loader_workers":
        return f"{advised(report)} workers"
    if verdict == "preprocessing":
        if COMPANY in lead or "quota" in lead:
            return "without it" if drawn.circumstance in ("company", "quota") else None
        smaller = SMALLER.search(lead)
        return f"{smaller[1]} pixels" if smaller else None
    if drawn.circumstance == "late bucket":
        return None  # no other store of the same objects is at hand
    return "without it" if met is not None and met.cause == verdict else None
