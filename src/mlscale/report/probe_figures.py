"""The parts of a trial -> figures with 90 % intervals. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone

from mlscale.measure import Measurement
from mlscale.probe.result import Part
from mlscale.report.clean import scrub
from mlscale.report.probe import Probe

ENOUGH = 0.95  # of the best rate: more readers or workers than that are not worth their memory
CORES_FULL = 0.90  # of the cores in use: they are the limit, not what was probed
# Student's t, 90 % two-sided, by the number of parts; for more, near the normal distribution's.
_T90 = {2: 6.31, 3: 2.92, 4: 2.35, 5: 2.13, 6: 2.02, 7: 1.94, 8: 1.89, 9: 1.86, 10: 1.83}
_Z90 = 1.645


def finished(probe: Probe) -> Probe:
    """Without figures that are no numbers, and without secrets."""
    finite = {name: m for name, m in probe.measurements.items() if all(map(math.isfinite, (m.value, m.low, m.high)))}
    return scrub(replace(probe, measurements=finite))


def timestamp(moment: datetime) -> str:
    """UTC, RFC 3339, to the second."""
    return moment.astimezone(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def count_of(part: Part) -> float:
    """Reads, batches or steps."""
    return part.count


def amount_of(part: Part) -> float:
    """Bytes, or samples."""
    return part.amount or 0.0


def cpu_of(part: Part) -> float:
    """CPU seconds; 0 where they are not known."""
    return part.cpu_s or 0.0


def elapsed_of(part: Part) -> float:
    """Seconds."""
    return part.elapsed_s


def rate_of(parts: Sequence[Part], of: Callable[[Part], float]) -> float:
    """Of all parts together, a second."""
    return sum(map(of, parts)) / max(1e-9, sum(map(elapsed_of, parts)))


def cpu_seconds(parts: Sequence[Part]) -> float | None:
    """Of all parts together; None where a part does not know it."""
    return None if any(part.cpu_s is None for part in parts) else sum(map(cpu_of, parts))


def cores_of(parts: Sequence[Part]) -> float:
    """Cores in use, at the mean."""
    return rate_of(parts, cpu_of)


def fewest(rates: Sequence[float]) -> int:
    """The first rate that is nearly the best."""
    return next(place for place, rate in enumerate(rates) if rate >= ENOUGH * max(rates))


def rate_figure(parts: Sequence[Part], of: Callable[[Part], float], unit: str, source: str) -> Measurement:
    """A rate, and the 90 % interval of its mean over the parts."""
    value = rate_of(parts, of)
    half = _half([of(part) / max(1e-9, part.elapsed_s) for part in parts])
    return Measurement(value, unit, max(0.0, value - half), value + half, _source(parts, source))


def ratio_figure(
    parts: Sequence[Part], above: Callable[[Part], float], below: Callable[[Part], float], unit: str, source: str
) -> Measurement:
    """A ratio of sums, and its 90 % interval over the parts."""
    value = sum(map(above, parts)) / max(1e-9, sum(map(below, parts)))
    half = _half([above(part) / below(part) for part in parts if below(part)])
    return Measurement(value, unit, max(0.0, value - half), value + half, _source(parts, source))


def mean_figure(values: Sequence[float], unit: str, source: str) -> Measurement:
    """The mean of looks at a fraction, and its 90 % interval."""
    value, half = statistics.fmean(values), _half(values)
    return Measurement(value, unit, max(0.0, value - half), min(1.0, value + half), source)


def _half(values: Sequence[float]) -> float:
    if len(values) < 2:
        return 0.0
    return _T90.get(len(values), _Z90 * 1.1) * statistics.stdev(values) / math.sqrt(len(values))


def _source(parts: Sequence[Part], source: str) -> str:
    return source if len(parts) > 1 else f"{source}; measured once, so that its spread is not known"


def median_figure(values: Sequence[float], source: str) -> Measurement:
    """The median of single reads, and the 90 % interval of it by ranks."""
    ordered = sorted(values)
    reach = math.ceil(_Z90 * math.sqrt(len(ordered)) / 2)
    middle = len(ordered) // 2
    low, high = ordered[max(0, middle - reach)], ordered[min(len(ordered) - 1, middle + reach)]
    return Measurement(statistics.median(ordered), "s", low, high, source)
