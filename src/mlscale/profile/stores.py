"""The places that data comes from, and whether they give all they can. Pure."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from typing import Any

from mlscale.profile import answers
from mlscale.profile.counters import Totals
from mlscale.profile.job import Store
from mlscale.profile.timeline import Span, inside
from mlscale.recording import ConnectionSample, Fact, Recording

NEAR_LIMIT = 0.88  # of a limit: the block layer's throttle lets reads pass in slices, and a window cuts some off
QUEUE_ABOVE = 0.35  # threads wait, and the device's own queue holds less than this share of them: they wait above it
LATENCY_OF_A_SLOW_READ_S = 0.010  # flash answers in 1 ms or less; tenfold that is a queue (EBS: "single-digit ms")
MIN_WAITING = 0.15  # threads waiting on average; less says nothing about a limit
_SEEN = {"socket": "seen: answers come in slowly"}
_SEEN_ABOVE = "seen: reads wait above the device"
KINDS = ("block", "memory", "nfs", "lustre", "beegfs", "fuse", "overlay")


def stores_of(
    recording: Recording,
    totals: Totals,
    spans: Sequence[Span],
    waits: Tally[str],
    looks: int,
    threads: float,
    read_bytes_per_s: float | None,
    chars_per_s: float | None,
) -> tuple[Store, ...]:
    """All stores that were waited for, most waited-for first. `waits` counts looks by target, out of `looks` at
    `threads` threads; `read_bytes_per_s` and `chars_per_s` are what all of them read from devices and altogether."""
    if not waits or not looks:
        return ()
    known = {
        str(event.values["target"]): event.values
        for event in recording.events
        if isinstance(event, Fact) and event.name == "store"
    }
    grouped: dict[tuple[str, str], dict[str, Any]] = {}
    for target, count in waits.items():
        kind, file_system, where, facts = _identify(target, known)
        entry = grouped.setdefault((kind, where), {"count": 0, "facts": facts, "file_system": file_system})
        entry["count"] += count
    everything = sum(entry["count"] for entry in grouped.values())
    found = []
    for (kind, where), entry in grouped.items():
        waiting = threads * entry["count"] / looks
        share = entry["count"] / everything
        found.append(
            _store(recording, totals, spans, kind, where, entry, waiting, threads, share, read_bytes_per_s, chars_per_s)
        )
    return tuple(sorted(found, key=lambda store: -store.wait_share))


def _identify(target: str, known: Mapping[str, Mapping[str, Any]]) -> tuple[str, str, str, Mapping[str, Any]]:
    facts = known.get(target, {})
    scheme, _, rest = target.partition(":")
    if scheme in ("file", "fault") and facts:
        kind = str(facts["kind"])
        return (kind if kind in KINDS else "other"), str(facts["file_system"]), str(facts["where"]), facts
    if scheme == "socket":
        # One service behind many connections: the port stays, the local end does not.
        return "socket", "tcp", rest if rest != "?" else "a peer that could not be named", {}
    if target == "sleep":
        return "other", "sleep", "time.sleep in the data set", {}
    if target == "disk":
        return "other", "uninterruptible wait", "an unnamed device", {}
    return "other", scheme, rest if rest not in ("", "?") else "a place that could not be named", {}


def _store(
    recording: Recording,
    totals: Totals,
    spans: Sequence[Span],
    kind: str,
    where: str,
    entry: Mapping[str, Any],
    waiting: float,
    threads: float,
    share: float,
    read_bytes_per_s: float | None,
    chars_per_s: float | None,
) -> Store:
    facts = entry["facts"]
    device = str(facts["device"]) if kind == "block" and "device" in facts else None
    bytes_per_s = (
        read_bytes_per_s if kind == "block" else chars_per_s if kind in ("fuse", "nfs", "lustre", "beegfs") else None
    )
    if bytes_per_s is not None:
        bytes_per_s *= share
    reads_per_s = seconds_per_read = queue = None
    if device is not None:
        reads_per_s = totals.machine_rate(f"disk {device}", spans, 0)
        read_s = totals.machine_rate(f"disk {device}", spans, 2)
        queue = totals.machine_rate(f"disk {device}", spans, 3)
        if reads_per_s and read_s is not None:
            seconds_per_read = read_s / reads_per_s
            queue = read_s  # time in reads per second is the mean number of reads in flight
    limit = _limit(recording, device)
    at_ceiling, why, ceiling = _judge(kind, waiting, bytes_per_s, reads_per_s, seconds_per_read, queue, limit, facts)
    line_busy: float | None = None
    seen = answers.answers_of(_waits_for(recording, spans, where)) if kind == "socket" else None
    if seen is not None and waiting >= MIN_WAITING:
        at_ceiling, why = answers.judge(seen, waiting, threads)
        bytes_per_s = answers.total_bytes_per_s(seen, waiting, threads)
        ceiling = bytes_per_s if at_ceiling else None
        line_busy = answers.line_busy(seen, waiting, threads)
    name = facts.get("disk", {}).get("name") if isinstance(facts.get("disk"), dict) else None
    return Store(
        kind=kind,  # type: ignore[arg-type]
        file_system=entry["file_system"],
        where=where,
        device=str(name or device) if device else None,
        example_path=facts.get("path"),
        wait_share=share,
        read_bytes_per_s=bytes_per_s,
        reads_per_s=reads_per_s,
        waiting_threads=waiting,
        seconds_per_read=seconds_per_read,
        ceiling_bytes_per_s=ceiling if ceiling is not None else (limit[0] if limit else None),
        ceiling_reads_per_s=limit[1] if limit else None,
        ceiling_source=limit[2] if limit else _SEEN.get(kind, _SEEN_ABOVE) if ceiling else None,
        at_ceiling=at_ceiling,
        why=why,
        line_busy_fraction=line_busy,
    )


def _waits_for(recording: Recording, spans: Sequence[Span], where: str) -> list[ConnectionSample]:
    """Looks at connections to one remote store, in the steady spans."""
    return [
        event
        for event in recording.events
        if isinstance(event, ConnectionSample) and inside(event.t, spans) and _identify(event.target, {})[2] == where
    ]


def _limit(recording: Recording, device: str | None) -> tuple[float | None, float | None, str] | None:
    """The tightest cgroup limit on a device: bytes/s, reads/s, and the file that says so."""
    found = [row for row in recording.header.get("io_limits", []) if row[0] == device]
    if not found:
        return None
    rates = [row[1] for row in found if row[1] is not None]
    reads = [row[2] for row in found if row[2] is not None]
    return (min(rates) if rates else None), (min(reads) if reads else None), str(found[0][3])


def _judge(
    kind: str,
    waiting: float,
    bytes_per_s: float | None,
    reads_per_s: float | None,
    seconds_per_read: float | None,
    queue: float | None,
    limit: tuple[float | None, float | None, str] | None,
    facts: Mapping[str, Any],
) -> tuple[bool | None, str, float | None]:
    """Whether the store is at its limit (None: cannot be told), the evidence, and a ceiling in bytes/s that was seen."""
    if waiting < MIN_WAITING:
        return False, f"hardly anyone waits for it ({waiting:.2f} threads on average)", None
    if limit is not None:
        for seen, most, unit, scale in ((bytes_per_s, limit[0], "MB/s", 1e6), (reads_per_s, limit[1], "reads/s", 1.0)):
            if seen is not None and most and seen >= NEAR_LIMIT * most:
                return True, f"{seen / scale:.3g} of {most / scale:.3g} {unit} that {limit[2]} allows are used", None
    if kind == "block" and queue is not None:
        if queue < QUEUE_ABOVE * waiting and bytes_per_s:
            why = (
                f"{waiting:.1f} threads wait for it while the device itself has {queue:.2f} reads in flight: "
                "something above it holds them back (a container's I/O limit)"
            )
            return True, why, bytes_per_s
        if seconds_per_read is not None and seconds_per_read >= LATENCY_OF_A_SLOW_READ_S:
            spins = facts.get("disk", {}).get("rotational") == "1" if isinstance(facts.get("disk"), dict) else False
            if not spins:
                return (
                    True,
                    f"each read takes {seconds_per_read * 1e3:.1f} ms with {queue:.1f} in flight: they queue",
                    bytes_per_s,
                )
        return None, f"each read takes {(seconds_per_read or 0) * 1e3:.2f} ms with {queue:.1f} in flight", None
    if kind in ("fuse", "nfs", "lustre", "beegfs", "socket"):
        return None, f"{waiting:.1f} threads wait for answers; its own limit cannot be seen from this machine", None
    if facts or kind == "other":
        return None, f"{waiting:.1f} threads wait for it", None
    return None, "", None
