"""What a probe of a store found -> its report. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from datetime import datetime

import mlscale
from mlscale.measure import Measurement
from mlscale.probe.result import StoreFound, StoreTrial
from mlscale.report import words
from mlscale.report.probe import Probe, Trial
from mlscale.report.probe_figures import (
    CORES_FULL,
    amount_of,
    cores_of,
    count_of,
    fewest,
    finished,
    median_figure,
    rate_figure,
    rate_of,
)
from mlscale.report.report import Host, Tool

STILL_RISING = 1.10  # from the last but one number of readers to the last: no limit is reached
FROM_DISK = 0.90  # of the bytes, from the disk itself: less means that some were in memory
KEPT = 1.5  # times as fast when read again: the page cache helps
_DISKS = ("block", "overlay")


def probe_of_store(found: StoreFound, host: Host, limit_cores: float, ended_at: datetime) -> Probe:
    """The report of a store."""
    rates = [rate_of(trial.parts, amount_of) for trial in found.trials]
    place = fewest(rates)
    best, alone = found.trials[place], found.trials[0]
    how = f"{words.count(best.readers, 'reader')}, {_way(found)}"
    rate = rate_figure(best.parts, amount_of, "bytes/s", how)
    figures = {
        "store_bytes_per_s": rate,
        "store_reads_per_s": rate_figure(best.parts, count_of, "1/s", how),
        "store_read_s": median_figure(alone.read_s, f"{words.count(alone.readers, 'reader')}, {_way(found)}"),
        "store_readers": Measurement(
            best.readers, "readers", best.readers, best.readers, "the fewest within 5% of the best"
        ),
    }
    if found.cached is not None:
        source = f"{words.count(found.cached.readers, 'reader')}, read a second time"
        figures["page_cache_bytes_per_s"] = rate_figure(found.cached.parts, amount_of, "bytes/s", source)
    full = cores_of(best.parts) > CORES_FULL * limit_cores
    rising = place == len(rates) - 1 > 0 and rates[-1] > STILL_RISING * rates[-2]
    trials = tuple(
        Trial(words.count(trial.readers, "reader"), _store_figures(trial, found), trial is best)
        for trial in found.trials
    )
    return finished(
        Probe(
            tool=Tool("mlscale", mlscale.__version__),
            created_at=words.timestamp(ended_at),
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
    reads = words.quantity(rate_of(best.parts, count_of), "reads/s")
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
        gain = rate / max(1e-9, rate_of(alone.parts, amount_of))
        told.append(
            f"A read takes {words.quantity(statistics.median(alone.read_s), 's')} alone, and "
            f"{words.quantity(statistics.median(best.read_s), 's')} among {best.readers}: waits overlap, "
            f"{best.readers} readers get {gain:.2g} times what one gets."
        )
    told.append(
        "A loader worker reads one file at a time, so that so many workers get no more than so many readers do here."
    )
    if found.cached is not None:
        cached = rate_of(found.cached.parts, amount_of)
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
        "store_bytes_per_s": rate_figure(trial.parts, amount_of, "bytes/s", source),
        "store_reads_per_s": rate_figure(trial.parts, count_of, "1/s", source),
        "store_read_s": median_figure(trial.read_s, source),
    }
