"""Answers of a remote store: do they come late, or slowly? Pure.

A thread that waits for the first byte waits for latency, and more threads can wait at once. One whose answer trickles in waits
for bandwidth; where many do, each at far less than a single connection can carry, they share what there is. An answer whose
header came, and then nothing, stalls: that is latency again.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from mlscale.recording import ConnectionSample, is_coming_in

TELLING_MS = 1  # since the request: less than the kernel's clock can tell (it ticks each 1 to 10 ms) tells nothing
MIN_LOOKS = 15  # at waits for one store
LEAST_TWICE = 8  # answers on their way that were looked at once more
# Of these, in which more had come 5 ms later: a third with pieces of 16 KB at 1 MB/s, none of 57 that stalled (measured here).
TRICKLES = 0.08
COMING_IN = 0.5  # of these looks, from which bandwidth is what is waited for
# The same where answers were seen to trickle in, and one of them does most of the time: the first byte of a short answer waits
# for the others' bytes, which looks like latency. Of four threads that share a full line, 0.46 to 0.57 of the looks found an
# answer (of three pieces) coming in, and so one of four 0.91 to 0.97 of the time; at a late store 0.13 (measured here).
SHORT_COMING_IN, LINE_FULL = 0.33, 0.8
SHARED = 1.5  # threads that wait, on average, from which one can hold up the other
# One request carries 85 to 90 MB/s from S3 (AWS, "Performance Design Patterns for Amazon S3"); half of it is no shortage.
ONE_CONNECTION_BYTES_PER_S = 40e6
NEAR_S = 0.005  # round trip, up to which no connection's window holds it back: 6 MB in flight (tcp_rmem) make 1.2 GB/s


@dataclass(frozen=True)
class Answers:
    """What was seen of the waits for one store."""

    looks: int
    coming_in: float  # share of the looks that found the answer on its way
    bytes_per_s: float | None  # of one thread's connections, over the whole time; None where it cannot be told
    round_trip_s: float
    trickle_bytes_per_s: float | None = (
        None  # of one connection while its answer comes in; 0: it stalls; None: not known
    )


def answers_of(samples: Iterable[ConnectionSample]) -> Answers | None:
    """None where too few waits were seen."""
    found = list(samples)
    telling = [s for s in found if s.sent_ms >= TELLING_MS]
    if len(telling) < MIN_LOOKS:
        return None
    coming = sum(is_coming_in(s.sent_ms, s.received_ms) for s in telling)
    twice = [(s.gained_bytes, s.moment_s) for s in telling if s.gained_bytes is not None]
    trickle: float | None = None
    if len(twice) >= LEAST_TWICE:
        trickles = sum(gained > 0 for gained, _ in twice) >= TRICKLES * len(twice)
        trickle = sum(gained for gained, _ in twice) / sum(moment for _, moment in twice) if trickles else 0.0
    return Answers(
        len(telling), coming / len(telling), _bytes_per_s(found), min(s.round_trip_s for s in telling), trickle
    )


def _bytes_per_s(samples: Iterable[ConnectionSample]) -> float | None:
    """Mean over the connections that were seen twice or more."""
    by_connection: dict[tuple[int, int], list[ConnectionSample]] = {}
    for sample in samples:
        by_connection.setdefault((sample.pid, sample.inode), []).append(sample)
    rates = []
    for own in by_connection.values():
        seconds = own[-1].t - own[0].t
        gained = sum(max(0, b.received_bytes - a.received_bytes) for a, b in itertools.pairwise(own))
        if seconds > 0:
            rates.append(gained / seconds)
    return statistics.fmean(rates) if rates else None


def line_busy(answers: Answers, waiting: float, threads: float) -> float:
    """Share of the time in which at least one answer comes in, where `waiting` of `threads` wait, on average and independently:
    what is used of a line, if they share one. 0 where answers stall."""
    if answers.trickle_bytes_per_s == 0:
        return 0.0
    receiving = min(1.0, answers.coming_in * waiting / max(threads, 1.0))
    return float(1 - (1 - receiving) ** max(threads, 1.0))


def total_bytes_per_s(answers: Answers, waiting: float, threads: float) -> float | None:
    """What all threads receive. Where each object has a connection of its own, by how fast answers trickle in."""
    if answers.bytes_per_s is not None:
        return answers.bytes_per_s * threads
    if not answers.trickle_bytes_per_s:
        return None
    return answers.trickle_bytes_per_s * answers.coming_in * waiting


def judge(answers: Answers, waiting: float, threads: float) -> tuple[bool | None, str]:
    """Whether the store gives all it can (None: cannot be told), and the evidence. `waiting` of `threads`, on average."""
    each = answers.trickle_bytes_per_s
    if each == 0:
        return None, (
            f"{waiting:.1f} threads wait for answers that begin and then stall: that is latency, and more can wait at once; "
            "its own limit cannot be seen from this machine"
        )
    full = bool(each) and line_busy(answers, waiting, threads) >= LINE_FULL
    if answers.coming_in < (SHORT_COMING_IN if full else COMING_IN):
        return None, (
            f"{waiting:.1f} threads wait for answers, {1 - answers.coming_in:.0%} of the time for the first byte: that is "
            "latency, and more can wait at once; its own limit cannot be seen from this machine"
        )
    slow = f"{waiting:.1f} threads wait for answers that already come in ({answers.coming_in:.0%} of the looks at them)"
    if each is None:
        return None, f"{slow}; whether they trickle or stall could not be told"
    slow += f", {each / 1e6:.3g} MB/s to each"
    if each >= ONE_CONNECTION_BYTES_PER_S or answers.round_trip_s > NEAR_S or waiting < SHARED:
        return None, f"{slow}: one connection may carry no more, and its own limit cannot be seen from this machine"
    return True, f"{slow}: they share its bandwidth, and more of them would get less each"
