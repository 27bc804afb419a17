"""What a probe found -> its report. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone

import mlscale
from mlscale.measure import Measurement
from mlscale.probe.result import CodeFound, LoaderTrial, Part, StepTrial, StoreFound, StoreTrial
from mlscale.report import words
from mlscale.report.clean import scrub
from mlscale.report.probe import Probe, Trial
from mlscale.report.report import Host, Tool

ENOUGH = 0.95  # of the best rate: more readers or workers than that are not worth their memory
STILL_RISING = 1.10  # from the last but one number of readers to the last: no limit is reached
CORES_FULL = 0.90  # of the cores in use: they are the limit, not what was probed
FROM_DISK = 0.90  # of the bytes, from the disk itself: less means that some were in memory
KEPT = 1.5  # times as fast when read again: the page cache helps
_DISKS = ("block", "overlay")
# Student's t, 90 % two-sided, by the number of parts; for more, near the normal distribution's.
_T90 = {2: 6.31, 3: 2.92, 4: 2.35, 5: 2.13, 6: 2.02, 7: 1.94, 8: 1.89, 9: 1.86, 10: 1.83}
_Z90 = 1.645


def probe_of_store(found: StoreFound, host: Host, limit_cores: float, ended_at: datetime) -> Probe:
    """The report of a store."""
    rates = [_rate(trial.parts, _bytes) for trial in found.trials]
    place = _fewest(rates)
    best, alone = found.trials[place], found.trials[0]
    how = f"{words.count(best.readers, 'reader')}, {_way(found)}"
    rate = _figure(best.parts, _bytes, "bytes/s", how)
    figures = {
        "store_bytes_per_s": rate,
        "store_reads_per_s": _figure(best.parts, _count, "1/s", how),
        "store_read_s": _median(alone.read_s, f"{words.count(alone.readers, 'reader')}, {_way(found)}"),
        "store_readers": Measurement(
            best.readers, "readers", best.readers, best.readers, "the fewest within 5% of the best"
        ),
    }
    if found.cached is not None:
        source = f"{words.count(found.cached.readers, 'reader')}, read a second time"
        figures["page_cache_bytes_per_s"] = _figure(found.cached.parts, _bytes, "bytes/s", source)
    full = _cores(best.parts) > CORES_FULL * limit_cores
    rising = place == len(rates) - 1 > 0 and rates[-1] > STILL_RISING * rates[-2]
    trials = tuple(
        Trial(words.count(trial.readers, "reader"), _store_figures(trial, found), trial is best)
        for trial in found.trials
    )
    return _probe(
        Probe(
            tool=Tool("mlscale", mlscale.__version__),
            created_at=_time(ended_at),
            of="storage",
            target=found.path,
            host=host,
            headline=_store_headline(found, best, rates, place, full, rising),
            because=tuple(_store_evidence(found, best, rates[place])),
            measurements=figures,
            trials=trials,
            limited=not (full or rising),
            warnings=tuple(_store_warnings(found, full, limit_cores)),
            ended=found.ended,
        )
    )


def _store_headline(
    found: StoreFound, best: StoreTrial, rates: Sequence[float], place: int, full: bool, rising: bool
) -> str:
    reads = words.quantity(_rate(best.parts, _count), "reads/s")
    gives = f"{words.quantity(rates[place], 'bytes/s')} ({reads}) to {words.count(best.readers, 'reader')}"
    alone = f"; one alone gets {words.quantity(rates[0], 'bytes/s')}" if best is not found.trials[0] else ""
    if full:
        return f"The store gives at least {gives}{alone}. The cores here read no faster."
    if rising:
        return f"The store gives {gives}, and more to more of them{alone}."
    return (
        f"The store gives {gives}, and no more to more of them{alone}."
        if len(rates) > 1
        else f"The store gives {gives}."
    )


def _way(found: StoreFound) -> str:
    what = "whole files" if found.whole_files else f"blocks of {words.quantity(found.read_bytes, 'bytes')}"
    return f"{what} in random order{', page cache dropped' if found.dropped else ''}"


def _store_evidence(found: StoreFound, best: StoreTrial, rate: float) -> list[str]:
    store = " ".join(part for part in (found.file_system, f"on {found.device}" if found.device else "") if part)
    told = [
        f"{words.count(found.files, 'file')}, {words.quantity(found.file_bytes, 'bytes')} in all, on {store}. Read: "
        f"{_way(found)}, {words.quantity(found.read_bytes, 'bytes')} each at the median."
    ]
    alone = found.trials[0]
    if best is not alone:
        gain = rate / max(1e-9, _rate(alone.parts, _bytes))
        told.append(
            f"A read takes {words.quantity(statistics.median(alone.read_s), 's')} alone, and "
            f"{words.quantity(statistics.median(best.read_s), 's')} among {best.readers}: waits overlap, "
            f"{best.readers} readers get {gain:.2g} times what one gets."
        )
    told.append(
        "A loader worker reads one file at a time, so that so many workers get no more than so many readers do here."
    )
    if found.cached is not None:
        cached = _rate(found.cached.parts, _bytes)
        again = f"Read a second time, the same files come at {words.quantity(cached, 'bytes/s')}"
        if cached > KEPT * rate:
            told.append(
                f"{again}, {cached / rate:.2g} times as fast, from the page cache: what a data set that fits into memory "
                "gives from its second epoch on."
            )
        else:
            told.append(
                f"{again}: this file system leaves little in the page cache, or the store is as fast as memory."
            )
    return told


def _store_warnings(found: StoreFound, full: bool, limit_cores: float) -> list[str]:
    told = list(found.notes)
    if full:
        told.append(f"Reading filled the {limit_cores:g} cores here: the store may give more than that.")
    if not found.dropped and found.kind != "memory":
        told.append("Nothing was dropped from the page cache (--cached): what was in it came from memory.")
    elif found.kind in _DISKS:
        read = sum(part.amount or 0 for trial in found.trials for part in trial.parts)
        counted = [trial.device_bytes for trial in found.trials if trial.device_bytes is not None]
        if len(counted) == len(found.trials) and sum(counted) < FROM_DISK * read:
            told.append(
                f"Only {words.percent(sum(counted) / read)} of the bytes came from the disk itself: the rest could not be "
                "dropped from the page cache (being mapped, or not yet written)."
            )
    elif found.kind != "memory":
        told.append("Whether the server had the files in its own memory cannot be seen from here.")
    failed = sum(trial.failed for trial in found.trials)
    if failed:
        told.append(f"{words.count(failed, 'read')} failed, and count for nothing.")
    return told


def _store_figures(trial: StoreTrial, found: StoreFound) -> dict[str, Measurement]:
    source = _way(found)
    return {
        "store_bytes_per_s": _figure(trial.parts, _bytes, "bytes/s", source),
        "store_reads_per_s": _figure(trial.parts, _count, "1/s", source),
        "store_read_s": _median(trial.read_s, source),
    }


def probe_of_loader(found: CodeFound, host: Host, limit_cores: float, ended_at: datetime) -> Probe:
    """The report of a loader. The figures are of the fewest workers that give nearly the most."""
    trials = [trial for trial in found.loader if trial.parts]
    warnings = [*found.notes, *_loader_warnings(found)]
    if not trials:
        headline, chosen = "No rate was measured: the loader gave too few batches.", None
    else:
        rates = [_rate(trial.parts, _count) for trial in trials]
        chosen = trials[_fewest(rates)]
        headline = _loader_headline(found, trials, chosen)
    return _probe(
        Probe(
            tool=Tool("mlscale", mlscale.__version__),
            created_at=_time(ended_at),
            of="loader",
            target=found.target,
            host=host,
            headline=headline,
            because=tuple(_loader_evidence(found, chosen, limit_cores)) if chosen else (),
            measurements=_loader_figures(chosen, limit_cores) if chosen else {},
            trials=tuple(Trial(_workers(t), _loader_figures(t, None), t is chosen) for t in trials),
            warnings=tuple(warnings),
            ended=found.ended,
        )
    )


def _workers(trial: LoaderTrial) -> str:
    if trial.workers is None:
        return "as it is"
    return f"num_workers={trial.workers}" + (" (as it is)" if trial.as_it_is else "")


def _speed(trial: LoaderTrial | StepTrial, unit: str) -> str:
    """ "812 samples/s (12.7 batches/s)", or batches alone where their size is not known."""
    steps = words.quantity(_rate(trial.parts, _count), unit)
    if trial.parts[0].amount is None:
        return steps
    return f"{words.quantity(_rate(trial.parts, _bytes), 'samples/s')} ({steps})"


def _loader_headline(found: CodeFound, trials: Sequence[LoaderTrial], chosen: LoaderTrial) -> str:
    alone = f"The loader alone gives {_speed(chosen, 'batches/s')}"
    if len(trials) == 1:
        return f"{alone}{'' if chosen.workers is None else f' with {_workers(chosen)}'}."
    others = [t for t in trials if t.as_it_is and t is not chosen]
    now = f"; as it is, with {others[0].workers}, {_speed(others[0], 'batches/s')}" if others else ""
    return f"{alone} with num_workers={chosen.workers}, and hardly more with any other number that was tried{now}."


def _loader_evidence(found: CodeFound, chosen: LoaderTrial, limit_cores: float) -> list[str]:
    told = [
        f"The first batch came after {words.quantity(chosen.first_batch_s, 's')}: workers that start, files that are opened."
    ]
    cpu, count = _cpu(chosen.parts), sum(part.count for part in chosen.parts)
    if cpu:
        used = _cores(chosen.parts)
        told.append(
            f"A batch takes {words.quantity(cpu / count, 's')} of CPU time; {used:.2g} of {limit_cores:g} cores were in use."
        )
        if used > CORES_FULL * limit_cores:
            told.append("The cores are used up: more workers bring nothing here.")
    told.append(
        "A training step that takes batches faster than this waits for them; mlscale probe step measures the step alone."
    )
    return told


def _loader_warnings(found: CodeFound) -> list[str]:
    told = []
    for trial in found.loader:
        if trial.epoch and not trial.parts:
            told.append(
                f"With {_workers(trial)} an epoch has {trial.epoch} batch{'' if trial.epoch == 1 else 'es'}, too "
                "few for a steady rate: give the loader more data, or fewer workers."
            )
        elif not trial.parts and found.ended != "interrupted":
            told.append(f"With {_workers(trial)} too few batches came for a rate: give it more time with --duration.")
    if any(trial.epoch and trial.parts for trial in found.loader):
        told.append(
            "The loader was iterated more than once: from the second time on its files may have come from memory."
        )
    if found.batch_size is None and any(trial.parts for trial in found.loader):
        told.append("How many samples a batch has could not be told: say --batch-size N for samples/s.")
    return told


def _loader_figures(trial: LoaderTrial, limit_cores: float | None) -> dict[str, Measurement]:
    source = f"the loader alone, {_workers(trial)}"
    figures = {}
    if trial.parts[0].amount is not None:
        figures["throughput"] = _figure(trial.parts, _bytes, "samples/s", source)
    figures["batch_rate"] = _figure(trial.parts, _count, "1/s", source)
    if trial.parts[0].cpu_s is not None:
        if trial.parts[0].amount is not None:
            figures["prep_cpu_seconds_per_sample"] = _inverse(trial.parts, _spent, _bytes, "s", source)
        figures["cpu_used_cores"] = _figure(trial.parts, _spent, "cores", source)
    if limit_cores is not None:
        figures["cpu_limit_cores"] = Measurement(limit_cores, "cores", limit_cores, limit_cores, "affinity and quota")
    figures["first_batch_s"] = Measurement(trial.first_batch_s, "s", trial.first_batch_s, trial.first_batch_s, source)
    return figures


def probe_of_step(found: CodeFound, host: Host, ended_at: datetime) -> Probe:
    """The report of a step."""
    step = found.step if found.step and found.step.parts else None
    warnings = list(found.notes)
    if step is None:
        warnings.append("No step ended in time: give it more with --duration.")
    elif not step.synchronised:
        warnings.append(
            "PyTorch has no CUDA in use there, so nothing was waited for after the calls: a step that only starts work "
            "elsewhere must wait for it by itself."
        )
    return _probe(
        Probe(
            tool=Tool("mlscale", mlscale.__version__),
            created_at=_time(ended_at),
            of="step",
            target=found.target,
            host=host,
            headline=_step_headline(step),
            because=tuple(_step_evidence(step)) if step else (),
            measurements=_step_figures(step) if step else {},
            trials=(),
            warnings=tuple(warnings),
            ended=found.ended,
        )
    )


def _step_headline(step: StepTrial | None) -> str:
    if step is None:
        return "No rate was measured: no step ended in time."
    took = 1 / _rate(step.parts, _count)
    return f"The step alone takes {words.quantity(took, 's')}: {_speed(step, 'steps/s')}."


def _step_evidence(step: StepTrial) -> list[str]:
    count = sum(part.count for part in step.parts)
    told = [f"{words.count(count, 'step')} in {words.count(len(step.parts), 'part')}, after {step.warm_up} to warm up."]
    cpu = _cpu(step.parts)
    if cpu is not None:
        told.append(f"A step takes {words.quantity(cpu / count, 's')} of CPU time.")
    if step.busy:
        busy = statistics.fmean(step.busy)
        told.append(
            f"{step.gpu or 'The GPU'} is busy {words.percent(busy)} of the time."
            + (
                ""
                if busy > CORES_FULL
                else " The rest is the host's: launching kernels, Python, copies that are waited for."
            )
        )
    told.append(
        "A loader that gives batches more slowly than this lets the GPU wait; mlscale probe loader measures it alone."
    )
    return told


def _step_figures(step: StepTrial) -> dict[str, Measurement]:
    source = "the step alone" + (", the GPU waited for" if step.synchronised else "")
    figures = {}
    if step.parts[0].amount is not None:
        figures["throughput"] = _figure(step.parts, _bytes, "samples/s", source)
    figures["step_rate"] = _figure(step.parts, _count, "1/s", source)
    figures["step_s"] = _inverse(step.parts, _elapsed, _count, "s", source)
    if step.parts[0].cpu_s is not None:
        figures["cpu_used_cores"] = _figure(step.parts, _spent, "cores", source)
    if step.busy:
        figures["gpu_busy_fraction"] = _mean(step.busy, "fraction", f"{len(step.busy)} looks by NVML")
    return figures


def _probe(probe: Probe) -> Probe:
    """Without figures that are no numbers, and without secrets."""
    finite = {name: m for name, m in probe.measurements.items() if all(map(math.isfinite, (m.value, m.low, m.high)))}
    return scrub(replace(probe, measurements=finite))


def _time(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def _count(part: Part) -> float:
    return part.count


def _bytes(part: Part) -> float:
    """Bytes, or samples."""
    return part.amount or 0.0


def _spent(part: Part) -> float:
    return part.cpu_s or 0.0


def _elapsed(part: Part) -> float:
    return part.elapsed_s


def _rate(parts: Sequence[Part], of: Callable[[Part], float]) -> float:
    return sum(map(of, parts)) / max(1e-9, sum(map(_elapsed, parts)))


def _cpu(parts: Sequence[Part]) -> float | None:
    return None if any(part.cpu_s is None for part in parts) else sum(map(_spent, parts))


def _cores(parts: Sequence[Part]) -> float:
    return _rate(parts, _spent)


def _fewest(rates: Sequence[float]) -> int:
    """The first rate that is nearly the best."""
    return next(place for place, rate in enumerate(rates) if rate >= ENOUGH * max(rates))


def _figure(parts: Sequence[Part], of: Callable[[Part], float], unit: str, source: str) -> Measurement:
    """A rate, and the 90 % interval of its mean over the parts."""
    value = _rate(parts, of)
    half = _half([of(part) / max(1e-9, part.elapsed_s) for part in parts])
    return Measurement(value, unit, max(0.0, value - half), value + half, _source(parts, source))


def _inverse(
    parts: Sequence[Part], above: Callable[[Part], float], below: Callable[[Part], float], unit: str, source: str
) -> Measurement:
    """A ratio of sums, and its 90 % interval over the parts."""
    value = sum(map(above, parts)) / max(1e-9, sum(map(below, parts)))
    half = _half([above(part) / below(part) for part in parts if below(part)])
    return Measurement(value, unit, max(0.0, value - half), value + half, _source(parts, source))


def _mean(values: Sequence[float], unit: str, source: str) -> Measurement:
    value, half = statistics.fmean(values), _half(values)
    return Measurement(value, unit, max(0.0, value - half), min(1.0, value + half), source)


def _half(values: Sequence[float]) -> float:
    if len(values) < 2:
        return 0.0
    return _T90.get(len(values), _Z90 * 1.1) * statistics.stdev(values) / math.sqrt(len(values))


def _source(parts: Sequence[Part], source: str) -> str:
    return source if len(parts) > 1 else f"{source}; measured once, so that its spread is not known"


def _median(values: Sequence[float], source: str) -> Measurement:
    """The median of single reads, and the 90 % interval of it by ranks."""
    ordered = sorted(values)
    reach = math.ceil(_Z90 * math.sqrt(len(ordered)) / 2)
    middle = len(ordered) // 2
    low, high = ordered[max(0, middle - reach)], ordered[min(len(ordered) - 1, middle + reach)]
    return Measurement(statistics.median(ordered), "s", low, high, source)
