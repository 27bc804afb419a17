"""Charts as inline SVG with their words beside them in HTML, so that pictures stretch with the page and words do not.

Each picture has a name that says what it shows. Colours come from the page's style, by class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape

from mlscale.report import words
from mlscale.report.charts import Bar, Bars, Chart, Frontier, Lane, Part, Range, Ranges, Timeline, Values

_NEAR = 3.0  # times the range of the points, within which a goal is drawn
_MOST_TICKS = 6
_ROUND_HOURS = (
    *(m / 60 for m in (1, 2, 5, 10, 20, 30)),
    1,
    2,
    4,
    8,
    12,
    *(24 * d for d in (1, 2, 4, 7, 14, 30, 60, 120, 360)),
)
_ROUND_USD = tuple(digit * 10.0**power for power in range(-2, 8) for digit in (1, 2, 5))
_W, _H = 1000, 100  # of a picture's own units; it is stretched to its place
_FIELDS = frozenset(
    "step compute gpu data io_wait receive host gil_wait save communication hand_over run_queue idle other evaluation "
    "throughput store cpu".split()
)


def figure(chart: Chart) -> Iterable[str]:
    """The chart as an HTML figure."""
    yield "<figure>"
    if isinstance(chart, Timeline):
        yield from _timeline(chart)
    elif isinstance(chart, Bars):
        for bar in chart.bars:
            yield from _bar(bar)
    elif isinstance(chart, Ranges):
        yield from _ranges(chart)
    else:
        yield from _frontier(chart)
    yield "</figure>"


def _svg(name: str, shapes: Iterable[str], height: int = _H) -> str:
    return (
        f'<svg role="img" aria-label="{escape(name)}" viewBox="0 0 {_W} {height}" preserveAspectRatio="none">'
        f"{''.join(shapes)}</svg>"
    )


def _field(field: str) -> str:
    """The class that colours a part; a part that is not known is "other"."""
    return f"f-{field}" if field in _FIELDS else "f-other"


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _timeline(chart: Timeline) -> Iterable[str]:
    for lane in chart.lanes:
        shapes = [*_lane(lane, chart.length_s), *_left_out(chart)]
        name = f"{lane.title} over {words.seconds(chart.length_s)}: {lane.note}"
        yield f'<div class="lane{" stack" if lane.stacked else ""}">'
        note = "" if lane.stacked else f"<small>{escape(lane.note)}</small>"
        yield f'<div class="what">{escape(lane.title)}{note}</div>'
        yield _svg(name, shapes)
        yield f'<div class="top">{escape(lane.top_label)}</div>'
        if lane.stacked:
            yield _legend(lane.parts)
        yield "</div>"
    left_out = ", ".join(dict.fromkeys(name for _, _, name in chart.left_out))
    middle = f"<i>shaded: {escape(left_out)}, left out</i>" if left_out else ""
    yield f'<div class="axis"><span><i>0 s</i>{middle}<i>{words.seconds(chart.length_s)}</i></span></div>'


def _left_out(chart: Timeline) -> Iterable[str]:
    for start, end, _ in chart.left_out:
        x0, x1 = (_W * t / chart.length_s for t in (start, end))
        yield f'<rect class="out" x="{_n(x0)}" y="0" width="{_n(max(2.0, x1 - x0))}" height="{_H}"/>'


def _lane(lane: Lane, length_s: float) -> Iterable[str]:
    def x(place: int) -> float:
        return min(float(_W), _W * place * lane.bin_s / length_s)

    if lane.stacked:
        base: Values = tuple(0.0 for _ in (lane.parts[0].values if lane.parts else ()))
        for part in lane.parts:
            top = tuple(
                None if low is None or value is None else min(1.0, low + value)
                for low, value in zip(base, part.values, strict=False)
            )
            yield f'<path class="area {_field(part.field)}" d="{_between(base, top, 1.0, x)}"/>'
            base = top
        return
    for part in lane.parts:
        if lane.low and lane.high:
            yield f'<path class="spread {_field(part.field)}" d="{_between(lane.low, lane.high, lane.top, x)}"/>'
        floor = tuple(0.0 for _ in part.values)
        yield f'<path class="area single {_field(part.field)}" d="{_between(floor, part.values, lane.top, x)}"/>'
        yield f'<path class="stroke {_field(part.field)}" d="{_edge(part.values, lane.top, x)}"/>'


def _y(value: float, top: float) -> str:
    return _n(_H * (1 - min(1.0, max(0.0, value / top if top > 0 else 0.0))))


def _runs(*tracks: Values) -> Iterable[tuple[int, int]]:
    """Stretches of bins in which all tracks have a value: [first, last)."""
    first = None
    size = min(map(len, tracks), default=0)
    for place in range(size + 1):
        known = place < size and all(track[place] is not None for track in tracks)
        if known and first is None:
            first = place
        elif not known and first is not None:
            yield first, place
            first = None


def _between(low: Values, high: Values, top: float, x: Callable[[int], float]) -> str:
    """The area between two tracks, flat within each bin: a mean says nothing of what goes on inside its bin."""
    found = []
    for first, last in _runs(low, high):
        found.append(f"M{_n(x(first))} {_y(high[first] or 0.0, top)}")
        found += [f"V{_y(high[place] or 0.0, top)}H{_n(x(place + 1))}" for place in range(first, last)]
        found += [f"V{_y(low[place] or 0.0, top)}H{_n(x(place))}" for place in range(last - 1, first - 1, -1)]
        found.append("Z")
    return "".join(found)


def _edge(values: Values, top: float, x: Callable[[int], float]) -> str:
    found = []
    for first, last in _runs(values):
        found.append(f"M{_n(x(first))} {_y(values[first] or 0.0, top)}")
        found += [f"V{_y(values[place] or 0.0, top)}H{_n(x(place + 1))}" for place in range(first, last)]
    return "".join(found)


def _legend(parts: Sequence[Part]) -> str:
    items = "".join(
        f'<li><svg viewBox="0 0 1 1" aria-hidden="true"><rect class="area {_field(part.field)}" width="1" height="1"/></svg>'
        f"{escape(part.name)} <span>{escape(part.label)}</span></li>"
        for part in parts
        if part.label
    )
    return f'<ul class="legend">{items}</ul>'


def _bar(bar: Bar) -> Iterable[str]:
    yield '<div class="bar">'
    told = " · ".join(filter(None, [bar.total, bar.note]))
    yield f"<h3>{escape(bar.title)}{f' <span>{escape(told)}</span>' if told else ''}</h3>"
    shapes, x, whole = [], 0.0, sum(part.share for part in bar.parts) or 1.0
    for part in bar.parts:
        wide = _W * bar.length * part.share / whole
        shapes.append(
            f'<rect class="area {_field(part.field)}" x="{_n(x)}" width="{_n(max(1.0, wide - 2))}" height="{_H}"/>'
        )
        x += wide
    name = f"{bar.title}: {', '.join(f'{part.name} {part.label}' for part in bar.parts)}"
    yield _svg(name, shapes)
    yield _legend(bar.parts)
    yield "</div>"


def _ranges(chart: Ranges) -> Iterable[str]:
    for row in chart.rows:
        yield f'<div class="range {row.tone if row.tone in ("now", "next", "real") else ""}">'
        note = f"<small>{escape(row.note)}</small>" if row.note else ""
        yield f'<div class="name">{escape(row.name)}{note}</div>'
        low, high = (words.quantity(value, chart.unit) for value in (row.low, row.high))
        yield _svg(f"{row.name}: {row.label}, 90% interval {low} to {high}", _whiskers(row, chart.top))
        yield f'<div class="value">{escape(row.label)}</div>'
        yield "</div>"
    end = words.quantity(chart.top, chart.unit)
    yield f'<div class="range" aria-hidden="true"><div class="axis-line"><span>0</span><span>{escape(end)}</span></div></div>'


def _whiskers(row: Range, top: float) -> Iterable[str]:
    low, value, high = (
        _n(_W * min(1.0, max(0.0, v / top if top > 0 else 0.0))) for v in (row.low, row.value, row.high)
    )
    yield f'<path class="mesh" d="M0 50H{_W}"/>'
    yield f'<path class="whisker" d="M{low} 50H{high}M{low} 25V75M{high} 25V75"/>'
    yield f'<path class="knob" d="M{value} 50h0"/>'


def _frontier(chart: Frontier) -> Iterable[str]:
    if not chart.points:
        return
    x = _Axis([p.hours for p in chart.points], chart.deadline_hours, _ROUND_HOURS)
    y = _Axis([p.usd for p in chart.points], chart.budget_usd, _ROUND_USD)
    yield '<div class="plot">'
    shapes = [f'<path class="mesh" d="M{_n(_W * x(t))} 0V{_H}"/>' for t in x.ticks]
    shapes += [f'<path class="mesh" d="M0 {_n(_H - _H * y(t))}H{_W}"/>' for t in y.ticks]
    if x.goal is not None:
        shapes.append(f'<path class="goal" d="M{_n(_W * x(x.goal))} 0V{_H}"/>')
    if y.goal is not None:
        shapes.append(f'<path class="goal" d="M0 {_n(_H - _H * y(y.goal))}H{_W}"/>')
    front = sorted((p for p in chart.points if p.frontier), key=lambda p: p.hours)
    if len(front) > 1:
        steps = "".join(f"L{_n(_W * x(p.hours))} {_n(_H - _H * y(p.usd))}" for p in front)
        shapes.append(f'<path class="front" d="M{steps[1:]}"/>')
    order = {tone: place for place, tone in enumerate(("", "good", "fastest", "cheapest", "pick"))}
    for point in sorted(chart.points, key=lambda p: order.get(p.tone, 0)):
        tone = point.tone if point.tone in order else ""
        told = escape(f"{point.name}: {words.hours(point.hours)}, {words.usd(point.usd)}")
        shapes.append(
            f'<path class="p {tone}" d="M{_n(_W * x(point.hours))} {_n(_H - _H * y(point.usd))}h0"><title>{told}</title></path>'
        )
    yield _svg(chart.says, shapes)
    yield from (f'<span class="tick x" style="left:{100 * x(t):.1f}%">{words.hours(t)}</span>' for t in x.ticks)
    yield from (f'<span class="tick y" style="top:{100 - 100 * y(t):.1f}%">{words.usd(t)}</span>' for t in y.ticks)
    yield from _tags(chart, x, y)
    yield "</div>"
    yield _points_key(chart)


def _tags(chart: Frontier, x: _Axis, y: _Axis) -> Iterable[str]:
    if x.goal is not None:
        yield f'<span class="tag goal-x" style="left:{100 * x(x.goal):.1f}%">deadline {words.hours(x.goal)}</span>'
    if y.goal is not None:
        yield f'<span class="tag goal-y" style="top:{100 - 100 * y(y.goal):.1f}%">budget {words.usd(y.goal)}</span>'
    for point in chart.points:
        if point.tone == "pick":
            left, top = 100 * x(point.hours), 100 - 100 * y(point.usd)
            side = "translate(calc(-100% - 0.7rem), -50%)" if left > 45 else "translate(0.7rem, -50%)"
            yield f'<span class="tag pick" style="left:{left:.1f}%;top:{top:.1f}%;transform:{side}">{escape(point.name)}</span>'


def _points_key(chart: Frontier) -> str:
    told = [
        ("pick", "the pick"),
        ("cheapest", "cheapest"),
        ("fastest", "fastest"),
        ("good", "meets the goal"),
        ("", "does not"),
    ]
    items = []
    for tone, name in told:
        found = [point for point in chart.points if point.tone == tone]
        if not found:
            continue
        point = found[0]
        which = (
            ""
            if tone in ("good", "")
            else f" <span>{escape(point.name)}: {words.hours(point.hours)}, {words.usd(point.usd)}</span>"
        )
        dot = f'<svg class="p-key" viewBox="0 0 1 1" aria-hidden="true"><path class="p {tone}" d="M0.5 0.5h0"/></svg>'
        items.append(f"<li>{dot}{name}{which}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'


class _Axis:
    """Values to 0..1, on a scale of equal ratios where they span more than three to one. `ticks` are of `round_ones`."""

    def __init__(self, values: Sequence[float], goal: float | None, round_ones: Sequence[float]) -> None:
        known = [value for value in values if value > 0] or [1.0]
        low, high = min(known), max(known)
        # A goal that lies far from everything would squeeze the points into a corner.
        self.goal = goal if goal and low / _NEAR <= goal <= high * _NEAR else None
        if self.goal is not None:
            low, high = min(low, self.goal), max(high, self.goal)
        self._log = high > 3 * low
        if self._log:
            self._low, self._high = math.log(low / 1.2), math.log(high * 1.2)
        else:
            room = 0.1 * (high - low) or 0.1 * high
            self._low, self._high = max(0.0, low - room), high + room
        found = [tick for tick in round_ones if 0 <= self._place(tick) <= 1]
        every = -(-len(found) // _MOST_TICKS)
        self.ticks = found[:: max(1, every)] if len(found) > 1 else sorted({low, high})

    def __call__(self, value: float) -> float:
        return min(1.0, max(0.0, self._place(value)))

    def _place(self, value: float) -> float:
        at = (math.log(value) if value > 0 else self._low) if self._log else value
        return (at - self._low) / (self._high - self._low)
