"""The stretches of a watch: warm-up, a cold first epoch, evaluations, saves, and the steady training between. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from mlscale.profile import timeline, training
from mlscale.profile.seen import Seen
from mlscale.profile.timeline import Progress, Span

EVALUATION_S = 1.0  # a shorter evaluation is part of training
WARM_UP_S = 0.5  # a shorter one is not worth a phase
SAVE_S = 0.05
NOTHING_ELSE = 0.8  # share of the time from which evaluating is the job
EPOCH_PART_S = 3.0  # of an epoch on either side of its end: less says nothing of its reads
COLD_BYTES_PER_S, COLD_LEFT = 1e6, 0.3  # reads from the device worth speaking of; what is left of them once cached
Phase = tuple[float, float, str]  # from, until (seconds of the watch), what


@dataclass(frozen=True)
class Stretches:
    """A watch divided."""

    whole: Span | None  # from the first steady batch to the last; None where no steady training was seen
    spans: tuple[Span, ...]  # of training: `whole` without evaluations; the whole watch where that is None
    phases: tuple[Phase, ...]
    first_epoch: bool = False  # all of it was a job's first epoch, whose data came from a device


def stretches_of(seen: Seen, lead: Progress | None) -> Stretches:
    """The steady training, and the phases that are told apart from it. `lead` is the rank that counts the most batches."""
    ended = seen.recording.observed_s
    began = min((look.t for thread in seen.main.values() for look in seen.looks.get(thread, ())), default=0.0)
    whole = timeline.steady_span(lead, began, ended, seen.loader.workers if seen.loader else 0)
    if whole is None:
        return Stretches(None, ((0.0, ended),), ((0.0, ended, "no steady training"),))
    cold = _cold_epoch(seen, lead, (began, ended))
    if cold is not None:
        whole = (max(cold[1], whole[0]), whole[1])
        spans, phases = _told_apart(seen, whole)
        return Stretches(whole, spans, (cold, *(phase for phase in phases if phase[0] >= cold[1])))
    return Stretches(whole, *_told_apart(seen, whole), first_epoch=_in_first_epoch(seen, lead, whole))


def _told_apart(seen: Seen, whole: Span) -> tuple[tuple[Span, ...], tuple[Phase, ...]]:
    """Training without warm-up and evaluations; and these, with the saves, which are part of training."""
    phases: list[Phase] = [(0.0, whole[0], "warm-up")] if whole[0] > WARM_UP_S else []
    looks = training.understand(seen.lead_looks, seen.recording.stacks, False, False)
    inside = [look for look in looks if timeline.inside(look.sample.t, [whole])]
    times = [look.sample.t for look in inside]
    evaluations = timeline.runs(times, [look.what == "evaluation" for look in inside], EVALUATION_S)
    if timeline.length(evaluations) > NOTHING_ELSE * timeline.length([whole]):
        evaluations = []
    saves = timeline.runs(times, [look.what == "save" for look in inside], SAVE_S)
    phases += [(a, b, "evaluation") for a, b in evaluations]
    phases += [(a, b, "checkpoint") for a, b in saves]
    return tuple(timeline.without([whole], evaluations)), tuple(sorted(phases))


def _cold_epoch(seen: Seen, lead: Progress | None, watched: Span) -> Phase | None:
    """The part of the watch in which data still came from the device, where a later epoch finds it in the page cache."""
    for turn in lead.resets if lead is not None else ():
        if not watched[0] + EPOCH_PART_S <= turn <= watched[1] - EPOCH_PART_S:
            continue
        before = _device_bytes_per_s(seen, (watched[0], turn))
        after = _device_bytes_per_s(seen, (turn, watched[1]))
        if before is not None and after is not None and before >= COLD_BYTES_PER_S and after <= COLD_LEFT * before:
            return watched[0], turn, "cold epoch"
    return None


def _in_first_epoch(seen: Seen, lead: Progress | None, whole: Span) -> bool:
    """Whether the watch saw the first epoch from its beginning, never its end, and reads from the device."""
    if lead is None or lead.resets or lead.first_value > 0:
        return False
    return (_device_bytes_per_s(seen, whole) or 0.0) >= COLD_BYTES_PER_S


def _device_bytes_per_s(seen: Seen, span: Span) -> float | None:
    return seen.totals.rate((*seen.roles.workers, *seen.roles.training), lambda sample: sample.read_bytes, [span])
