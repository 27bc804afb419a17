"""One prediction beside the published truth, and a summary of many."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """`truth`, `predicted`, `low`, `high` and `naive` share one unit (samples/s, seconds, ...). `group` is what was left
    out of every fit that made the prediction: a model, a cluster, a file system."""

    table: str
    group: str
    what: str
    truth: float
    predicted: float
    low: float
    high: float
    naive: float

    @property
    def error(self) -> float:
        """Relative, signed: predicted over truth, minus one."""
        return self.predicted / self.truth - 1

    @property
    def naive_error(self) -> float:
        """The same of the naive guess."""
        return self.naive / self.truth - 1

    @property
    def inside(self) -> bool:
        """Whether the truth lies in the 90 % interval."""
        return self.low <= self.truth <= self.high


def summary(outcomes: Sequence[Outcome]) -> dict[str, float | int | None]:
    """The figures of one class: count, median and 90th-percentile absolute error, coverage, the naive guess's median."""
    if not outcomes:
        return dict.fromkeys(
            ("median_abs_error", "p90_abs_error", "interval_coverage", "naive_median_abs_error"), None
        ) | {"n": 0}
    errors = sorted(abs(outcome.error) for outcome in outcomes)
    return {
        "n": len(outcomes),
        "median_abs_error": round(statistics.median(errors), 4),
        "p90_abs_error": round(errors[min(len(errors) - 1, int(0.9 * len(errors)))], 4),
        "interval_coverage": round(sum(outcome.inside for outcome in outcomes) / len(outcomes), 4),
        "naive_median_abs_error": round(statistics.median(abs(outcome.naive_error) for outcome in outcomes), 4),
    }
