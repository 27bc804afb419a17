"""What the timeline of a diagnosis shows: the report's tracks, named and scaled for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from mlscale.profile.series import MOST_BINS, Series, Shares, Track
from mlscale.report import words
from mlscale.report.charts import Lane, Part, Timeline, Values
from mlscale.report.report import Report
from mlscale.report.sentences import KEPT_PHASES

_SHOWN = 0.01  # of the time, for a part to get a colour of its own
_STEPS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)  # round numbers for the top of a scale


def timeline(report: Report) -> Timeline | None:
    """The tracks of the watch; None where the report has none (it was made by an older mlscale)."""
    if report.series is None or report.window.observed_s <= 0:
        return None
    lanes = tuple(_lanes(report, report.series))
    if not lanes:
        return None
    left_out = _left_out(report)
    said = [f"{lane.title}: {lane.note}" for lane in lanes]
    says = f"{words.seconds(report.window.observed_s)} of watching. {'; '.join(said)}."
    if left_out:
        says += f" Left out: {', '.join(name for _, _, name in left_out)}."
    return Timeline("Over the window", says, report.window.observed_s, lanes, left_out)


def _left_out(report: Report) -> tuple[tuple[float, float, str], ...]:
    return tuple((p.start_s, p.end_s, p.name) for p in report.window.phases if p.name not in KEPT_PHASES)


def _lanes(report: Report, series: Series) -> Iterable[Lane]:
    return map(_capped, _all_lanes(report, series))


def _capped(lane: Lane) -> Lane:
    """A lane of at most MOST_BINS bins: files that others wrote may hold any number."""
    size = max((len(part.values) for part in lane.parts), default=0)
    if size <= MOST_BINS:
        return lane
    parts = tuple(replace(part, values=resampled(part.values, MOST_BINS)) for part in lane.parts)
    low, high = (resampled(values, MOST_BINS) if values else () for values in (lane.low, lane.high))
    return replace(lane, bin_s=lane.bin_s * size / MOST_BINS, parts=parts, low=low, high=high)


def _all_lanes(report: Report, series: Series) -> Iterable[Lane]:
    gpu = series.gpu_busy_fraction
    if gpu is not None:
        low, high = series.gpu_busy_low, series.gpu_busy_high
        mean = _mean(report, gpu)
        note = f"{words.percent(mean)} on average"
        if low is not None and high is not None:
            note += f" of {len(report.host.gpus)}; the band: the least and the most busy"
        yield Lane(
            "GPU busy" if low is None else "GPUs busy",
            note,
            gpu.bin_s,
            (Part("gpu", "busy", gpu.values, mean, words.percent(mean)),),
            low=low.values if low is not None else (),
            high=high.values if high is not None else (),
        )
    if series.training is not None:
        loader = report.job.loader
        inline = loader is not None and loader.worker_kind == "inline"
        names = {"data": words.INLINE_DATA if inline else words.DATA, "evaluation": "evaluates"}
        ranks = len(report.job.ranks)
        title = f"Training threads, mean of {ranks}" if ranks else "Training thread"
        yield _stacked(report, title, series.training, {**dict(words.TRAINING_PARTS), **names})
    if series.workers is not None:
        yield _stacked(report, "Loader workers", series.workers, dict(words.WORKER_PARTS))
    if series.batches_per_s is not None:
        batch = report.job.loader.batch_size if report.job.loader is not None else None
        if batch:
            yield _line(report, "Throughput", "throughput", _scaled(series.batches_per_s, batch), "samples/s")
        else:
            yield _line(report, "Batches", "throughput", series.batches_per_s, "batches/s")
    if series.storage_read_bytes_per_s is not None:
        yield _line(report, "Read from the store", "store", series.storage_read_bytes_per_s, "bytes/s")
    if series.cpu_used_cores is not None and report.cpu is not None:
        yield _line(report, "CPU used", "cpu", series.cpu_used_cores, "cores", report.cpu.limit_cores)


def _stacked(report: Report, title: str, shares: Shares, names: Mapping[str, str]) -> Lane:
    parts = []
    for field, values in shares.parts.items():
        mean = _mean(report, Track(shares.bin_s, values))
        label = words.percent(mean) if mean >= _SHOWN else ""
        parts.append(Part(field, names.get(field, field), values, mean, label))
    told = [f"{part.name} {part.label}" for part in sorted(parts, key=lambda part: -part.share) if part.label]
    return Lane(title, ", ".join(told), shares.bin_s, tuple(parts), stacked=True)


def _line(report: Report, title: str, field: str, track: Track, unit: str, allowed: float | None = None) -> Lane:
    mean = _mean(report, track)
    highest = max((value for value in track.values if value is not None), default=0.0)
    scale = round_top(max(highest, allowed or 0.0))
    note = f"{words.quantity(mean, unit)} on average"
    if field == "store" and highest < 1:
        note = "nothing came from a device"
    if allowed is not None:
        note = f"{words.quantity(mean, '')} of {words.quantity(allowed, unit)} on average"
    part = Part(field, title, track.values, mean, words.quantity(mean, unit))
    return Lane(title, note, track.bin_s, (part,), scale, words.quantity(scale, unit))


def _mean(report: Report, track: Track) -> float:
    """Over what was not left out, as the report's own figures are; over everything where nothing else is there."""
    holes = [(start, end) for start, end, _ in _left_out(report)]
    places = [place for place, value in enumerate(track.values) if value is not None]
    steady = [place for place in places if not any(start <= (place + 0.5) * track.bin_s <= end for start, end in holes)]
    known = [value for place in steady or places if (value := track.values[place]) is not None]
    return sum(known) / len(known) if known else 0.0


def _scaled(track: Track, factor: float) -> Track:
    return Track(track.bin_s, tuple(None if value is None else value * factor for value in track.values))


def round_top(value: float) -> float:
    """The next round number that is not below `value`: the top of a scale."""
    if value < 1e-9:
        return 1.0
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value:
        power /= 10
    return next(step * power for step in _STEPS if step * power >= value * 0.999)


def resampled(values: Values, columns: int) -> Values:
    """The values at `columns` equal places: means where bins are narrower, the bin's own where they are wider."""
    found: list[float | None] = []
    for column in range(columns):
        first = column * len(values) // columns
        last = max(first + 1, (column + 1) * len(values) // columns)
        known = [value for value in values[first:last] if value is not None]
        found.append(sum(known) / len(known) if known else None)
    return tuple(found)
