"""Plan -> Recommendation. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import mlscale
from mlscale.measure import Measurement
from mlscale.plan.job import WATCHED
from mlscale.plan.setup import Plan
from mlscale.plan.walk import ladder_of, next_step_of, verdict_of
from mlscale.report.clean import scrub
from mlscale.report.recommendation import Recommendation
from mlscale.report.report import Report, Tool
from mlscale.report.words import timestamp

MOST_CANDIDATES = 400  # a report that holds more is read by nobody; the index fields always point into it


def recommendation_of(
    plan: Plan,
    made_at: datetime,
    *,
    watched: Report | None = None,
    measurements: Mapping[str, Measurement] | None = None,
    warnings: tuple[str, ...] = (),
) -> Recommendation:
    """The report of a plan. `watched`: the diagnosis that it continues. `measurements`: what it rests on."""
    kept, places = _kept(plan)
    return scrub(
        Recommendation(
            tool=Tool("mlscale", mlscale.__version__),
            created_at=timestamp(made_at),
            host=watched.host if watched else None,
            job=watched.job if watched else None,
            window=watched.window if watched else None,
            measurements=measurements or {},
            verdict=verdict_of(plan),
            ladder=ladder_of(plan),
            next_step=next_step_of(plan),
            goal=plan.case.goal,
            baseline=plan.baseline,
            candidates=tuple(plan.candidates[number] for number in kept),
            pick=places.get(plan.pick) if plan.pick is not None else None,
            cheapest=places.get(plan.cheapest) if plan.cheapest is not None else None,
            fastest=places.get(plan.fastest) if plan.fastest is not None else None,
            warnings=tuple(dict.fromkeys((*plan.case.job.warnings, *warnings))),
            workload="" if plan.case.job.workload.name == WATCHED else plan.case.job.workload.name,
            rejected=tuple(f"{rung.rung}: {reason}" for rung in plan.rungs for reason in rung.rejected),
        )
    )


def _kept(plan: Plan) -> tuple[list[int], dict[int, int]]:
    """The candidates that are shown, rung by rung, the best of each first; and where each went."""
    named = {index for index in (plan.pick, plan.cheapest, plan.fastest) if index is not None}
    chosen: set[int] = set(named)
    start = 0
    share = max(1, MOST_CANDIDATES // max(1, len(plan.rungs)))
    for rung in plan.rungs:
        chosen.update(range(start, start + min(share, len(rung.candidates))))
        start += len(rung.candidates)
    kept = sorted(chosen)
    return kept, {number: place for place, number in enumerate(kept)}
