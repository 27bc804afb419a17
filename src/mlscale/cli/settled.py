"""Whether the watch may stop early: the answer is sure, and it was the same five seconds ago."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mlscale.measure import Measurement

if TYPE_CHECKING:
    from mlscale.profile.job import JobProfile
    from mlscale.recording import Recording

SURE = 0.8  # of a verdict: "good" in the report's words, with room above the bar
# Half of an interval over its value: the accuracy that is promised for samples/s and for the data wait.
RATE_WITHIN = 0.03
WAIT_WITHIN = 0.03


def settled() -> Callable[[Recording], bool]:
    """A function for `watch(enough=...)`: true once two answers in a row agree, are sure, and rest on tight figures."""
    before: object = None

    def enough(recording: Recording) -> bool:
        nonlocal before
        from mlscale.ladder.walk import diagnose
        from mlscale.profile.build import build_profile

        profile = build_profile(recording)
        if not _tight(profile):
            # The rest of the answer takes ten times as long to compute, and the job runs on meanwhile.
            before = None
            return False
        diagnosis = diagnose(profile)
        answer = (diagnosis.verdict.bottleneck, diagnosis.next_step.rung, diagnosis.next_step.actions)
        same, before = answer == before, answer
        return same and answer[0] != "inconclusive" and diagnosis.verdict.confidence >= SURE

    return enough


def _tight(profile: JobProfile) -> bool:
    """Whether the figures that everything rests on are as sharp as they are promised to be."""
    rate, wait = (profile.measurements.get(name) for name in ("throughput", "data_wait_fraction"))
    return (
        profile.training is not None
        and (not isinstance(rate, Measurement) or rate.high - rate.low <= 2 * RATE_WITHIN * rate.value)
        and (not isinstance(wait, Measurement) or wait.high - wait.low <= 2 * WAIT_WITHIN)
    )
