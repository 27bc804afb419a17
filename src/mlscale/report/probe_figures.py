"""The parts of a trial -> figures with 90 % intervals. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

from mlscale.measure import Measurement
from mlscale.probe.result import Part
from mlscale.report.clean import scrub
from mlscale.report.probe import Probe

ENOUGH = 0.95  # of the best rate: more readers or workers than that are not worth their memory
CORES_FULL = 0.90  # of the cores in use: they are the limit, not what was probed
_Z90 = statistics.NormalDist().inv_cdf(0.95)  # 90 %, two-sided
_T90 = {2: 6.31, 3: 2.92, 4: 2.35}  # Student's t, 90 % two-sided, by the number of values; for more, its expansion


def finished(probe: Probe) -> Probe:
    """Without figures that are no numbers, and without secrets."""
    finite = {name: m for name, m in probe.measurements.items() if all(map(math.isfinite, (m.value, m.low, m.high)))}
    return scrub(replace(probe, measurements=finite))


def count_of(part: Part) -> float:
    """Reads, batches or steps."""
    return part.count


def amount_of(part: Part) -> float:
    """Bytes, or samples."""
    return part.amount or 0.0


def cpu_of(part: Part) -> float:
    """CPU seconds."""
    return part.cpu_s


def elapsed_of(part: Part) -> float:
    """Seconds."""
    return part.elapsed_s


def rate_of(parts: Sequence[Part], of: Callable[[Part], float]) -> float:
    """Of all parts together, a second."""
    return sum(map(of, parts)) / max(1e-9, sum(map(elapsed_of, parts)))


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


def product_figure(one: Measurement, other: Measurement, unit: str, source: str) -> Measurement:
    """A product of two that were measured apart: relative errors add in squares."""
    value = one.value * other.value
    errors = [(m.high - m.low) / 2 / m.value for m in (one, other) if m.value]
    half = value * math.hypot(*errors)
    return Measurement(value, unit, max(0.0, value - half), value + half, source)


def _half(values: Sequence[float]) -> float:
    """Half the 90 % interval of their mean; 0 for a single one, whose source says so."""
    if len(values) < 2:
        return 0.0
    return t90(len(values)) * statistics.stdev(values) / math.sqrt(len(values))


def t90(count: int) -> float:
    """Student's t, 90 % two-sided, for the mean of so many values (Abramowitz and Stegun, 26.7.5, two terms)."""
    z, freedom = _Z90, count - 1
    expanded = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return _T90.get(count, expanded)


def _source(parts: Sequence[Part], source: str) -> str:
    return source if len(parts) > 1 else f"{source}; measured once, so that its spread is not known"


def median_figure(values: Sequence[float], source: str) -> Measurement:
    """The median of single reads, and the 90 % interval of it by ranks."""
    ordered = sorted(values)
    reach = math.ceil(_Z90 * math.sqrt(len(ordered)) / 2)
    middle = len(ordered) // 2
    low, high = ordered[max(0, middle - reach)], ordered[min(len(ordered) - 1, middle + reach)]
    return Measurement(statistics.median(ordered), "s", low, high, source)
