"""What a rung of the ladder is: a question, its thresholds, and a check. One rung is one file in `rungs/`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mlscale.ladder.case import Case
from mlscale.ladder.result import RungName, RungResult


@dataclass(frozen=True)
class Threshold:
    """A number that a decision rests on, and where it comes from."""

    name: str
    value: str
    source: str


@dataclass(frozen=True)
class Rung:
    """One rung. `check` judges a case; the rest is for people (`mlscale explain`)."""

    id: RungName
    title: str
    question: str
    why: str
    thresholds: tuple[Threshold, ...]
    advice: tuple[str, ...]
    citation: str
    check: Callable[[Case], RungResult]
