"""Charts as lines of text, for formats in which no picture can go. Only characters that stand one column wide."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from mlscale.report import words
from mlscale.report.charts import Bars, Chart, Frontier, Lane, Part, Point, Range, Ranges, Timeline, Values
from mlscale.report.timeline import resampled

_LEVELS = " ▁▂▃▄▅▆▇█"
_HIGH = 14  # lines of the cost/time chart
_POINTS = {"pick": "◆", "cheapest": "$", "fastest": "»", "front": "○", "good": "●", "": "·"}
_SHOWN_PART = 0.02  # of the time


def chart_lines(chart: Chart, width: int) -> list[str]:
    """The chart in at most `width` columns, without spaces at the ends of lines."""
    if isinstance(chart, Timeline):
        lines = _timeline(chart, width)
    elif isinstance(chart, Bars):
        lines = _bars(chart, width)
    elif isinstance(chart, Ranges):
        lines = _ranges(chart, width)
    else:
        lines = _frontier(chart, width)
    return [line.rstrip() for line in lines]


def _timeline(chart: Timeline, width: int) -> Iterable[str]:
    rows: list[tuple[str, str, str]] = []
    names = [name for lane in chart.lanes for name in _names(lane)]
    left = max([*map(len, names), 10]) + 2
    right = max([len(label) for lane in chart.lanes for label in _labels(lane)], default=0) + 2
    columns = max(20, width - left - right)
    for lane in chart.lanes:
        shown = _shown(lane)
        if lane.stacked:
            rows.append((lane.title, "", ""))
            rows += [(f"  {part.name}", _spark(part.values, 1.0, columns), part.label) for part in shown]
        else:
            rows += [(lane.title, _spark(part.values, lane.top, columns), part.label) for part in shown]
    if chart.left_out:
        marks = [" "] * columns
        for began, ended, _ in chart.left_out:
            first = int(began / chart.length_s * columns)
            last = max(first + 1, round(ended / chart.length_s * columns))
            marks[first:last] = "░" * (min(last, columns) - first)
        told = ", ".join(dict.fromkeys(name for _, _, name in chart.left_out))
        rows.append(("left out", "".join(marks), told))
    end = words.seconds(chart.length_s)
    rows.append(("", f"0 s{end:>{columns - 3}}", ""))
    return [f"{name:<{left}}{spark:<{columns}}  {label}" for name, spark, label in rows]


def _names(lane: Lane) -> list[str]:
    return [lane.title, *(f"  {part.name}" for part in _shown(lane))] if lane.stacked else [lane.title]


def _labels(lane: Lane) -> list[str]:
    return [part.label for part in _shown(lane)]


def _shown(lane: Lane) -> list[Part]:
    return [part for part in lane.parts if part.share >= _SHOWN_PART] if lane.stacked else list(lane.parts)


def _spark(values: Values, top: float, columns: int) -> str:
    """One character a column; a blank is nought or unseen."""
    marks = []
    for value in resampled(values, columns):
        level = 0 if value is None or top <= 0 else min(1.0, value / top) * (len(_LEVELS) - 1)
        marks.append(_LEVELS[max(1, round(level)) if level > 0.05 else 0])
    return "".join(marks)


def _bars(chart: Bars, width: int) -> Iterable[str]:
    left = max((len(part.name) for bar in chart.bars for part in bar.parts), default=0) + 4
    right = max((len(part.label) for bar in chart.bars for part in bar.parts), default=0) + 2
    columns = max(10, width - left - right)
    for place, bar in enumerate(chart.bars):
        if place:
            yield ""
        yield ": ".join(filter(None, [bar.title, bar.total])) + (f" ({bar.note})" if bar.note else "")
        for part in bar.parts:
            yield f"  {part.name:<{left - 2}}{part.label:<{right}}{_bar(part.share, columns)}"


def _bar(share: float, columns: int) -> str:
    halves = max(1, round(min(1.0, share) * columns * 2))
    full, half = divmod(halves, 2)
    return "█" * full + "▌" * half


def _ranges(chart: Ranges, width: int) -> Iterable[str]:
    left = max(len(row.name) for row in chart.rows) + 4
    right = max(len(row.label) for row in chart.rows) + 2
    columns = max(16, width - left - right)
    for row in chart.rows:
        mark = "▶ " if row.tone == "next" else "  "
        yield f"{mark + row.name:<{left}}{_whiskers(row, chart.top, columns)}  {row.label}"
    yield f"{'':<{left}}0{words.quantity(chart.top, chart.unit):>{columns - 1}}"


def _whiskers(row: Range, top: float, columns: int) -> str:
    def place(value: float) -> int:
        return min(columns - 1, max(0, round(value / top * (columns - 1))))

    marks = [" "] * columns
    low, high = place(row.low), place(row.high)
    marks[low : high + 1] = "─" * (high - low + 1)
    if high > low:
        marks[low], marks[high] = "├", "┤"
    marks[place(row.value)] = "●"
    return "".join(marks)


def _frontier(chart: Frontier, width: int) -> Iterable[str]:
    """Cost upwards, time to the right, both on scales of equal ratios where they span more than three to one."""
    if not chart.points:
        return
    left = 10
    columns = max(20, min(width - left, 72))
    xs, ys = _scale([p.hours for p in chart.points], columns), _scale([p.usd for p in chart.points], _HIGH)
    grid = [[" "] * columns for _ in range(_HIGH)]
    if chart.deadline_hours is not None and xs.holds(chart.deadline_hours):
        for row in grid:
            row[xs(chart.deadline_hours)] = "┊"
    order = {tone: place for place, tone in enumerate(("", "good", "front", "fastest", "cheapest", "pick"))}
    marks = [(_mark(point), point) for point in chart.points]
    for mark, point in sorted(marks, key=lambda pair: order[pair[0]]):
        grid[_HIGH - 1 - ys(point.usd)][xs(point.hours)] = _POINTS[mark]
    dearest, least = max(p.usd for p in chart.points), min(p.usd for p in chart.points)
    for place, row in enumerate(grid):
        label = words.usd(dearest) if place == 0 else words.usd(least) if place == _HIGH - 1 else ""
        yield f"{label:>{left - 2}} │{''.join(row)}"
    slowest, quickest = max(p.hours for p in chart.points), min(p.hours for p in chart.points)
    start = words.hours(quickest)
    yield f"{'':>{left - 2}} └{'─' * (columns - 1)}"
    yield f"{'':<{left}}{start}{words.hours(slowest):>{columns - len(start)}}"
    meanings = [
        ("pick", "the pick"),
        ("cheapest", "cheapest"),
        ("fastest", "fastest"),
        ("front", "nothing is both faster and cheaper"),
        ("good", "meets the goal"),
        ("", "other"),
    ]
    told = [f"{_POINTS[mark]} {name}" for mark, name in meanings if any(found == mark for found, _ in marks)]
    if any("┊" in row for row in grid):
        told.append("┊ deadline")
    line = ""
    for piece in told:  # wrapped: the chart may be narrow
        if line and len(line) + 2 + len(piece) > width - left:
            yield f"{'':<{left}}{line}"
            line = piece
        else:
            line = f"{line}, {piece}" if line else piece
    yield f"{'':<{left}}{line}"


def _mark(point: Point) -> str:
    if point.tone in ("pick", "cheapest", "fastest"):
        return point.tone
    return "front" if point.frontier else "good" if point.tone == "good" else ""


class _Scale:
    """Values to places 0 .. size - 1."""

    def __init__(self, values: Sequence[float], size: int) -> None:
        low, high = min(values), max(values)
        self._log = low > 0 and high > 3 * low
        self._of = math.log if self._log else float
        self._low, self._high, self._size = self._of(low), self._of(high), size

    def holds(self, value: float) -> bool:
        """Whether a value lies within."""
        return value > 0 and self._low <= self._of(value) <= self._high

    def __call__(self, value: float) -> int:
        if self._high <= self._low:
            return self._size // 2
        return round((self._of(value) - self._low) / (self._high - self._low) * (self._size - 1))


def _scale(values: Sequence[float], size: int) -> _Scale:
    return _Scale(values, size)
