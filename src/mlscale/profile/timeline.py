"""Counters over time, and the part of the watch in which training was steady. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mlscale.recording import Counter, Fact, Recording

Span = tuple[float, float]

WARM_BATCHES_PER_WORKER = 2  # each worker's first batches find an empty page cache, cold imports and a full CPU
RATE_STEP = 0.25  # a rate that differs by more than this from the rest of the window is not yet the steady one
SETTLE_S = 3.0  # length of the stretch compared
FEW_BATCHES = 100  # from here on, one batch more or less at either end is within a hundredth
MIN_BATCHES = 5  # fewer tell no rate


@dataclass(frozen=True)
class Progress:
    """Batches given to one training loop: (time, running total) at each change that was seen."""

    pid: int
    points: tuple[tuple[float, float], ...]
    first_value: float  # of the counter, when it was first seen: how far the job was
    resets: tuple[float, ...]  # times at which a new epoch began


@dataclass(frozen=True)
class Rate:
    """Events per second with a 90 % interval."""

    value: float
    low: float
    high: float
    events: int


def progress_of(recording: Recording, pid: int) -> Progress | None:
    """The progress of the training loader of one process: of the data set that gave it the most batches."""
    dataset_of: dict[str, object] = {}
    for event in recording.events:
        if isinstance(event, Fact) and event.name == "iterator" and event.values.get("pid") == pid:
            dataset_of[f"yielded#{event.values['number']}"] = event.values.get("dataset")
    series: dict[object, list[tuple[float, float]]] = {}
    totals: dict[object, float] = {}
    last: dict[str, float] = {}
    first: dict[object, float] = {}
    resets: dict[object, list[float]] = {}
    latest: dict[object, float] = {}
    current: dict[object, str] = {}  # the counter that was seen last
    seen_at: dict[object, float] = {}
    within: dict[object, tuple[float, float]] = {}  # batches and seconds between two looks at the same epoch
    epoch = _epoch_lengths(recording, pid, dataset_of)
    for event in recording.events:
        if not isinstance(event, Counter) or event.pid != pid or not event.name.startswith("yielded#"):
            continue
        dataset = dataset_of.get(event.name, event.name)
        before = last.get(event.name)
        last[event.name] = event.value
        if dataset not in totals:
            totals[dataset], first[dataset] = 0.0, event.value
            series[dataset], resets[dataset] = [(event.t, 0.0)], []
            latest[dataset], seen_at[dataset], current[dataset] = event.value, event.t, event.name
            continue
        gone_s = event.t - seen_at[dataset]
        usual = _pace(*within.get(dataset, (0.0, 0.0))) * gone_s
        goes_on = None if before is None or event.value < before else event.value - before
        if goes_on is not None and current[dataset] == event.name:
            batches, seconds = within.get(dataset, (0.0, 0.0))
            within[dataset] = (batches + goes_on, seconds + gone_s)
            gained = goes_on
        else:
            # The last batches of the epoch went by between two looks at the counter; its other epochs tell its length.
            short = max(0.0, epoch.get(dataset, 0.0) - latest[dataset])
            so_far = totals[dataset] / max(seen_at[dataset] - series[dataset][0][0], 1e-3)
            anew = event.value + (short if short <= 1 + so_far * gone_s else 0.0)
            # Or this epoch's iterator was first taken for the last one's, whose memory it has; or two take turns. At the pace of
            # single epochs it is known which: an iterator's memory is used again, by one that is any number of batches on.
            same_epoch = event.value - latest[dataset]
            gained = anew if goes_on is None else goes_on
            if usual > 0:
                likely = [gain for gain in (anew, same_epoch, goes_on) if gain is not None and gain >= 0]
                gained = min(likely, key=lambda gain: abs(gain - usual))
            if gained == anew:
                resets[dataset].append(event.t)
        latest[dataset], seen_at[dataset], current[dataset] = event.value, event.t, event.name
        if gained > 0:
            totals[dataset] += gained
            series[dataset].append((event.t, totals[dataset]))
    if not totals:
        return None
    best = max(totals, key=lambda dataset: totals[dataset])
    return Progress(pid, tuple(series[best]), first[best], tuple(resets[best]))


def _pace(batches: float, seconds: float) -> float:
    return batches / seconds if seconds > 0 else 0.0


def _epoch_lengths(recording: Recording, pid: int, dataset_of: Mapping[str, object]) -> dict[object, float]:
    """Batches in an epoch of each data set: the highest count that an epoch which ended was seen at.

    One that was seen once only counts where there is no other: an iterator that was just found may have been read too late.
    """
    found: dict[object, float] = {}
    once: dict[object, float] = {}
    latest: dict[object, float] = {}
    seen: dict[object, int] = {}
    for event in recording.events:
        if isinstance(event, Counter) and event.pid == pid and event.name.startswith("yielded#"):
            dataset = dataset_of.get(event.name, event.name)
            if event.value < latest.get(dataset, 0.0):
                kept = found if seen[dataset] > 1 else once
                kept[dataset] = max(kept.get(dataset, 0.0), latest[dataset])
                seen[dataset] = 0
            latest[dataset] = event.value
            seen[dataset] = seen.get(dataset, 0) + 1
    return {**once, **found}


def steady_span(progress: Progress | None, began_s: float, ended_s: float, workers: int) -> Span | None:
    """From when on the loop runs at its own pace; None where it hardly ran."""
    if progress is None:
        return (began_s, ended_s) if ended_s > began_s else None
    changes = progress.points[1:]
    warm = WARM_BATCHES_PER_WORKER * max(workers, 1) + 1
    if len(changes) < 2:
        # A loop that was far on when its counter was found, late, ran before: then the counter's silence tells nothing.
        found_late = progress.points[0][0] > (began_s + ended_s) / 2
        return (began_s, ended_s) if found_late and progress.first_value >= warm else None
    start = began_s
    if progress.first_value < warm:
        # Seen from its beginning: the first batches of each worker are left out, unless that leaves nearly nothing.
        skipped = [t for t, total in changes if total + progress.first_value >= warm]
        start = skipped[0] if skipped and ended_s - skipped[0] > (ended_s - changes[0][0]) / 2 else changes[0][0]
    middle = start + (ended_s - start) / 2
    for t, _ in changes:
        if t < start:
            continue
        if t > middle:
            break
        early, rest = rate(progress, [(t, t + SETTLE_S)]), rate(progress, [(t + SETTLE_S, ended_s)])
        if early is None or rest is None or early.events < MIN_BATCHES:
            break
        if abs(early.value / rest.value - 1) <= RATE_STEP:
            start = t if t - start > SETTLE_S else start
            break
    return (start, ended_s)


def rate(progress: Progress, spans: Sequence[Span]) -> Rate | None:
    """Batches per second within spans, from the first change to the last in each. None where fewer than two changes."""
    total = seconds = 0.0
    count = 0
    per_block: list[float] = []
    for start, end in spans:
        inside = [point for point in progress.points if start <= point[0] <= end]
        if len(inside) < 2:
            continue
        gained, passed = _smooth_growth(inside)
        total += gained
        seconds += passed
        count += int(inside[-1][1] - inside[0][1])
        per_block += _blocks(inside)
    if seconds <= 0 or total <= 0:
        return None
    value = total / seconds
    # Two sources of error: when the first and last change were seen, and how much the rate itself swings.
    dating = 0.07 / seconds + 0.3 / count
    swing = (
        statistics.stdev(per_block) / statistics.fmean(per_block) / math.sqrt(len(per_block))
        if len(per_block) > 2
        else 0.0
    )
    half = 1.645 * math.hypot(dating, swing)
    return Rate(value, value * (1 - half), value * (1 + half), count)


def _smooth_growth(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Growth and seconds from the first changes to the last, the mean over several pairs of ends.

    Batches come in bursts, one from each worker; a single pair of ends may lie at different places of a burst.
    """
    if points[-1][1] - points[0][1] >= FEW_BATCHES:
        return points[-1][1] - points[0][1], points[-1][0] - points[0][0]
    pairs = min(8, max(1, len(points) // 4))
    ends = points[len(points) - pairs :]
    gains = [(n1 - n0, t1 - t0) for (t0, n0), (t1, n1) in zip(points[:pairs], ends, strict=True)]
    return sum(g for g, _ in gains) / pairs, sum(s for _, s in gains) / pairs


def _blocks(points: list[tuple[float, float]], count: int = 10) -> list[float]:
    """Rates of about `count` blocks of equal numbers of changes."""
    size = max(1, len(points) // count)
    edges = points[::size]
    return [(n1 - n0) / (t1 - t0) for (t0, n0), (t1, n1) in zip(edges, edges[1:], strict=False) if t1 > t0]


def length(spans: Iterable[Span]) -> float:
    """Total seconds."""
    return sum(end - start for start, end in spans)


def without(spans: Sequence[Span], holes: Sequence[Span]) -> list[Span]:
    """Spans minus holes."""
    found = list(spans)
    for low, high in holes:
        cut: list[Span] = []
        for start, end in found:
            if high <= start or low >= end:
                cut.append((start, end))
                continue
            if start < low:
                cut.append((start, low))
            if high < end:
                cut.append((high, end))
        found = cut
    return found


def inside(t: float, spans: Sequence[Span]) -> bool:
    """Whether a time lies in one of the spans."""
    return any(start <= t <= end for start, end in spans)


def gained(points: Sequence[tuple[float, float]], spans: Sequence[Span]) -> float | None:
    """Growth of a running total within spans, read off between samples by straight lines."""
    if len(points) < 2:
        return None
    total = 0.0
    for start, end in spans:
        low, high = _at(points, start), _at(points, end)
        total += max(0.0, high - low)
    return total


def _at(points: Sequence[tuple[float, float]], t: float) -> float:
    if t <= points[0][0]:
        # Before the first look: on with the slope of the first stretch, for counters were running already.
        (t0, v0), (t1, v1) = points[0], points[1]
        return v0 - (v1 - v0) * (t0 - t) / (t1 - t0) if t1 > t0 else v0
    for (t0, v0), (t1, v1) in zip(points, points[1:], strict=False):
        if t <= t1:
            return v0 + (v1 - v0) * (t - t0) / (t1 - t0) if t1 > t0 else v1
    (t0, v0), (t1, v1) = points[-2], points[-1]
    return v1 + (v1 - v0) * (t - t1) / (t1 - t0) if t1 > t0 else v1


def runs(times: Sequence[float], flags: Sequence[bool], shortest_s: float) -> list[Span]:
    """Stretches of time in which (nearly) all looks have the flag; gaps under `shortest_s` are bridged."""
    found: list[list[float]] = []
    for t, flag in zip(times, flags, strict=True):
        if not flag:
            continue
        if found and t - found[-1][1] < shortest_s:
            found[-1][1] = t
        else:
            found.append([t, t])
    return [(start, end) for start, end in found if end - start >= shortest_s]
