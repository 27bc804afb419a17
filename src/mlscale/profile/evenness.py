"""How evenly the machine works: the CPU time of a batch, from one part of the watch to the next. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from mlscale.profile.timeline import Progress, Span, gained, length

PARTS, FEWEST_PARTS = 8, 3  # of the watch; fewer tell no spread
BATCHES_A_PART = 12  # one more or less at either end is within a tenth
CPU_S_A_PART = 0.5  # the kernel counts in hundredths of a second


def cpu_swing_of(
    cores: Callable[[Sequence[Span]], float | None], progress: Sequence[Progress], spans: Sequence[Span]
) -> float | None:
    """Relative standard error of the CPU time of a batch: what its parts' spread leaves open of their mean. None where too
    few batches, or too little CPU time, tell a spread.

    `cores`: that those who prepare the data used over some spans; `progress`: one for each rank.

    A virtual machine shares its host with others: the same work took 5 to 13 % more or less CPU time from one two seconds to the
    next (docs/model.md, benchmarks/steady.py).
    """
    used, batches = cores(spans), _batches(progress, spans)
    if not used:
        return None
    count = int(min(PARTS, batches / BATCHES_A_PART, used * length(spans) / CPU_S_A_PART))
    if count < FEWEST_PARTS:
        return None
    costs = []
    for part in parts_of(spans, count):
        used_then, given = cores(part), _batches(progress, part)
        if used_then and given:  # a part without a reading is unknown, and costs not nothing
            costs.append(used_then * length(part) / given)
    if len(costs) < FEWEST_PARTS:
        return None
    return statistics.stdev(costs) / statistics.fmean(costs) / math.sqrt(len(costs))


def parts_of(spans: Sequence[Span], count: int) -> list[list[Span]]:
    """The spans in `count` parts of equal length, in order; a part that goes over a hole has several pieces."""
    whole = length(spans)
    found = []
    for number in range(count):
        low, high, so_far = whole * number / count, whole * (number + 1) / count, 0.0
        pieces = []
        for start, end in spans:
            first, last = max(low - so_far, 0.0), min(high - so_far, end - start)
            if last > first:
                pieces.append((start + first, start + last))
            so_far += end - start
        found.append(pieces)
    return found


def _batches(progress: Sequence[Progress], spans: Sequence[Span]) -> float:
    return sum(gained(one.points, spans) or 0.0 for one in progress)
