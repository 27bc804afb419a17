"""How evenly a machine works, told from its CPU time and its batches."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from mlscale.model.pipeline import Pipeline, with_workers
from mlscale.model.speedup import SpeedUp
from mlscale.model.whatif import Known, speedup
from mlscale.profile.build import build_profile
from mlscale.profile.evenness import cpu_swing_of, parts_of
from mlscale.profile.timeline import Progress, Span, gained, length
from mlscale.recording import read

RECORDINGS = Path(__file__).parents[1] / "recordings"

Points = list[tuple[float, float]]


def swing(cpu_s_of_batches: Sequence[float], batch_s: float = 0.05) -> float | None:
    """Of batches that take `batch_s` and so much CPU time each, one after the other."""
    times = [number * batch_s for number in range(len(cpu_s_of_batches) + 1)]
    cpu: Points = list(zip(times, itertools.accumulate(cpu_s_of_batches, initial=0.0), strict=True))
    progress = Progress(1, tuple((t, float(n)) for n, t in enumerate(times)), 0.0, ())
    spans = [(0.0, times[-1])]
    return cpu_swing_of(lambda part: (gained(cpu, part) or 0.0) / length(part), [progress], spans)


def test_the_same_work_that_takes_the_same_time_does_not_swing() -> None:
    assert swing([0.04] * 400) == pytest.approx(0, abs=1e-9)


def test_what_takes_longer_in_some_parts_does() -> None:
    """Eight parts of 0.8 and 1.2 of the mean: their standard deviation over the root of eight."""
    assert swing(([0.032] * 50 + [0.048] * 50) * 4) == pytest.approx(0.2 * (8 / 7) ** 0.5 / 8**0.5, rel=0.01)


@pytest.mark.parametrize(("cpu_s", "batches"), [(0.04, 20), (0.0002, 400), (0.0, 400)])
def test_too_little_to_tell_is_unknown(cpu_s: float, batches: int) -> None:
    assert swing([cpu_s, 2 * cpu_s] * (batches // 2)) is None


def test_a_part_without_a_reading_is_unknown_and_costs_not_nothing() -> None:
    times = [number * 0.05 for number in range(401)]
    progress = Progress(1, tuple((t, float(n)) for n, t in enumerate(times)), 0.0, ())

    def cores(part: Sequence[Span]) -> float | None:
        return None if part[0][0] == 0 and part[-1][1] < 10 else 0.8

    assert cpu_swing_of(cores, [progress], [(0.0, 20.0)]) == pytest.approx(0, abs=1e-9)


def test_parts_go_over_holes() -> None:
    spans: list[Span] = [(0.0, 3.0), (5.0, 6.0)]
    assert parts_of(spans, 2) == [[(0.0, 2.0)], [(2.0, 3.0), (5.0, 6.0)]]


def test_a_job_whose_work_was_uneven_shows_it() -> None:
    demand = build_profile(read(RECORDINGS / "no_workers.mlscale")).demand
    assert demand is not None and demand.cpu_swing is not None
    assert 0 < demand.cpu_swing < 0.05


def gain(swing: float, cores: float = 2.0, step_s: float = 0.01) -> SpeedUp:
    known = Known(Pipeline(1, 2, cores, 0.05, 0.0, step_s, variability=0.1), 0.04, 0.05, 0.02, cpu_swing=swing)
    return speedup(known, lambda p: with_workers(p, 2))


def test_an_uneven_machine_widens_the_promise_where_its_cores_are_the_limit() -> None:
    even, uneven = gain(0.0), gain(0.05)
    assert uneven.value == even.value
    assert uneven.high - uneven.low > 1.5 * (even.high - even.low)
    assert uneven.high / uneven.value < 1.2


def test_it_does_not_where_the_step_is_the_limit_afterwards() -> None:
    even, uneven = gain(0.0, step_s=0.049), gain(0.05, step_s=0.049)
    assert uneven.high - uneven.low < 1.1 * (even.high - even.low)
