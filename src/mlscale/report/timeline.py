"""What the timeline of a diagnosis shows: the report's tracks, named and scaled for people. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mlscale.profile.series import Series, Shares, Track
from mlscale.report import words
from mlscale.report.charts import Lane, Part, Timeline, Values
from mlscale.report.report import Report
from mlscale.report.sentences import KEPT_PHASES

_SHOWN = 0.01  # of the time, for a part to get a colour of its own
_WORKER_NAMES = dict(words.WORKER_PARTS)
_STEPS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)  # round numbers for the top of a scale


def timeline(report: Report) -> Timeline | None:
    """The tracks of the watch; None where the report has none (it was made by an older mlscale)."""
    if report.series is None:
        return None
    lanes = tuple(_lanes(report, report.series))
    if not lanes:
        return None
    left_out = tuple((p.start_s, p.end_s, p.name) for p in report.window.phases if p.name not in KEPT_PHASES)
    said = [f"{lane.title}: {lane.note}" for lane in lanes]
    says = f"{words.seconds(report.window.observed_s)} of watching. {'; '.join(said)}."
    if left_out:
        says += f" Left out: {', '.join(name for _, _, name in left_out)}."
    return Timeline("Over the window", says, report.window.observed_s, lanes, left_out)


def _lanes(report: Report, series: Series) -> Iterable[Lane]:
    gpu = series.gpu_busy_fraction
    if gpu is not None:
        several = len(report.host.gpus) > 1 and series.gpu_busy_low is not None and series.gpu_busy_high is not None
        mean = words.percent(_mean(gpu.values))
        yield Lane(
            "GPUs busy" if several else "GPU busy",
            f"{mean} on average"
            + (f", {len(report.host.gpus)} GPUs, with the least and the most busy" if several else ""),
            gpu.bin_s,
            (Part("gpu", "busy", gpu.values, _mean(gpu.values), mean),),
            low=series.gpu_busy_low.values if several and series.gpu_busy_low is not None else (),
            high=series.gpu_busy_high.values if several and series.gpu_busy_high is not None else (),
        )
    if series.training is not None:
        inline = report.job.loader is not None and report.job.loader.worker_kind == "inline"
        names = {
            "data": words.INLINE_DATA if inline else words.DATA,
            "evaluation": "evaluates",
            **dict(words.TRAINING_PARTS),
        }
        ranks = len(report.job.ranks)
        yield _stacked(
            "Training threads" if ranks else "Training thread",
            series.training,
            names,
            f"mean of {ranks} ranks" if ranks else "",
        )
    if series.workers is not None:
        yield _stacked("Loader workers", series.workers, _WORKER_NAMES, "")
    if series.batches_per_s is not None:
        batch = report.job.loader.batch_size if report.job.loader is not None else None
        if batch:
            yield _line("Throughput", "throughput", _scaled(series.batches_per_s, batch), "samples/s")
        else:
            yield _line("Batches", "throughput", series.batches_per_s, "batches/s")
    if series.storage_read_bytes_per_s is not None:
        yield _line("Read from the store", "store", series.storage_read_bytes_per_s, "bytes/s")
    if series.cpu_used_cores is not None and report.cpu is not None:
        limit = report.cpu.limit_cores
        yield _line("CPU used", "cpu", series.cpu_used_cores, "cores", limit)


def _stacked(title: str, shares: Shares, names: dict[str, str], note: str) -> Lane:
    parts = []
    for field, values in shares.parts.items():
        mean = _mean(values)
        if mean >= _SHOWN:
            parts.append(Part(field, names.get(field, field), values, mean, words.percent(mean)))
    told = [f"{part.name} {part.label}" for part in sorted(parts, key=lambda part: -part.share)]
    return Lane(title, ", ".join([*told, *([note] if note else [])]), shares.bin_s, tuple(parts), stacked=True)


def _line(title: str, field: str, track: Track, unit: str, top: float | None = None) -> Lane:
    mean = _mean(track.values)
    highest = max((value for value in track.values if value is not None), default=0.0)
    scale = round_top(max(highest, top or 0.0))
    note = f"{words.quantity(mean, unit)} on average"
    if field == "store" and highest < 1:
        note = "nothing came from a device"
    if top is not None:
        note += f" of {words.quantity(top, unit)} allowed"
    part = Part(field, title, track.values, mean, words.quantity(mean, unit))
    return Lane(title, note, track.bin_s, (part,), scale, words.quantity(scale, unit))


def _scaled(track: Track, factor: float) -> Track:
    return Track(track.bin_s, tuple(None if value is None else value * factor for value in track.values))


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0


def round_top(value: float) -> float:
    """The next round number that is not below `value`: the top of a scale."""
    if value <= 0:
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
