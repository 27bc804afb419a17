"""What a job loses while the command runs, by its own log."""

from __future__ import annotations

import bisect
import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from tests.running import rows_of

ALONE_S = 4.0  # before and after the command, in which the job is left alone
FEWEST_STEPS = 20  # in those, from which they tell a rate


def slowdown(log: Path, began: float, ended: float) -> float | None:
    """How much slower the job was while the command ran than before and after it. None where it did too few steps."""
    rows = rows_of(log)
    times = [row["t"] for row in rows]
    first, last = began - ALONE_S, ended + ALONE_S
    if len(rows) < 2 or times[0] > first or times[-1] < last:
        return None

    def rate(start: float, end: float) -> float:
        # Between two steps the count grows evenly: whole steps alone would favour short windows where batches come in pairs.
        return (_count_at(rows, times, end) - _count_at(rows, times, start)) / (end - start)

    alone = (rate(first, began) + rate(ended, last)) / 2
    steps = sum(first <= t <= began or ended <= t <= last for t in times)
    return 1 - rate(began, ended) / alone if steps >= FEWEST_STEPS else None


def _count_at(rows: Sequence[dict[str, float]], times: Sequence[float], t: float) -> float:
    """Samples by a time within the log, between its rows."""
    after = bisect.bisect_left(times, t)
    before = max(0, after - 1)
    if after == before:
        return rows[after]["samples"]
    part = (t - times[before]) / max(times[after] - times[before], 1e-9)
    return rows[before]["samples"] + part * (rows[after]["samples"] - rows[before]["samples"])


def median_with_interval(values: Sequence[float]) -> str:
    """The median of sorted values, with its 95 % interval by order statistics (the binomial's normal approximation)."""
    count, half = len(values), 0.98 * math.sqrt(len(values))
    low, high = max(0, math.floor(count / 2 - half)), min(count - 1, math.ceil(count / 2 + half))
    return f"{statistics.median(values):+.2%} (95 %: {values[low]:+.2%} to {values[high]:+.2%}, {count} runs)"
