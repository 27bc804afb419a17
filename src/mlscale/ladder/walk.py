"""Walks the ladder: JobProfile -> Diagnosis. Pure."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from mlscale.errors import UsageProblem
from mlscale.ladder import headline
from mlscale.ladder.case import case_of
from mlscale.ladder.result import Diagnosis, Verdict
from mlscale.ladder.rules import RULES, Rule
from mlscale.ladder.rung import Rung
from mlscale.ladder.rungs import RUNGS
from mlscale.ladder.verdict import bottleneck_of, confidence_of
from mlscale.profile.job import JobProfile


def diagnose(profile: JobProfile) -> Diagnosis:
    """The verdict, every rung judged, and the next step."""
    case = case_of(profile)
    bottleneck = bottleneck_of(case)
    case = dataclasses.replace(case, bottleneck=bottleneck)
    ladder = tuple(rung.check(case) for rung in RUNGS)
    verdict = Verdict(
        bottleneck,
        headline.headline(case, bottleneck),
        confidence_of(case, bottleneck),
        headline.because(case, bottleneck),
    )
    return Diagnosis(verdict, ladder, headline.next_step(case, bottleneck, ladder))


@dataclass(frozen=True)
class Explanation:
    """What a rung or a rule checks, for `mlscale explain`. `thresholds` are (name, value, source)."""

    name: str
    title: str
    question: str
    why: str
    thresholds: tuple[tuple[str, str, str], ...]
    citation: str
    advice: tuple[str, ...]


EXPLAINABLE: tuple[str, ...] = tuple(rung.id for rung in RUNGS) + tuple(rule.id for rule in RULES)


def explain(name: str) -> Explanation:
    """The explanation of a rung or rule. Raises UsageProblem with the nearest names for an unknown one."""
    items: tuple[Rung | Rule, ...] = (*RUNGS, *RULES)
    for item in items:
        if item.id == name:
            thresholds = tuple((t.name, t.value, t.source) for t in item.thresholds)
            return Explanation(item.id, item.title, item.question, item.why, thresholds, item.citation, item.advice)
    import difflib

    near = difflib.get_close_matches(name, EXPLAINABLE, 3, 0.4)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(EXPLAINABLE)}."
    raise UsageProblem(f"There is no rung or rule {name!r}. {hint}")
