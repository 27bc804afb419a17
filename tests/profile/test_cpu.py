"""Whose cores they are."""

from __future__ import annotations

import pytest

from mlscale.profile.build import build_profile
from mlscale.profile.cores import cpu_of
from mlscale.profile.counters import Totals
from mlscale.profile.recognise import roles_of
from mlscale.recording import MachineSample, ProcessSample, ProcessSeen, Recording, ThreadSample


def job(niceness: int | None) -> Recording:
    """Ten seconds of a process that uses half a core, beside one core of others and one of programs that yield."""
    header = {
        "logical_cpus": 4,
        "affinity": [0, 1, 2, 3],
        "root": 7,
        "rate_hz": 20,
        "nice": niceness,
        "threads_per_core": 2,
    }
    events: list[object] = [ProcessSeen(0.0, 7, 1, "training", "python train.py", {})]
    for tick in range(101):
        t = tick * 0.1
        events.append(ThreadSample(t, 7, 7, "R", None, None, None, None, None))
        events.append(ProcessSample(t, 7, 0.5 * t, 0.0, 0, 0, 0, 0, 1, 1 << 20))
        events.append(MachineSample(t, {"cpu_s": 2.5 * t, "nice_s": 1.0 * t}))
    return Recording(header, (), tuple(events), "duration", 10.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(("niceness", "others"), [(0, 1.0), (-5, 1.0), (10, 2.0), (None, 2.0)])
def test_programs_that_yield_take_no_cores(niceness: int | None, others: float) -> None:
    cpu = build_profile(job(niceness)).cpu
    assert cpu is not None
    assert cpu.job_cores == pytest.approx(0.5, rel=0.02)
    assert cpu.other_cores == pytest.approx(others, rel=0.02)


def test_hyperthreads_are_known() -> None:
    assert build_profile(job(0)).host.threads_per_core == 2


@pytest.mark.parametrize(
    ("waiting", "others"),
    [
        (0.0, 1.0),  # the job has what it wants: the nicer program yields
        (0.05, 1.0),  # it waits a little now and then, as any program does
        (1.5, 2.0),  # it waits for cores all the time, beside a program that is nicer and does not yield
    ],
)
def test_nicer_programs_that_do_not_yield_take_cores(waiting: float, others: float) -> None:
    recording = job(0)
    totals = Totals(recording)
    cpu = cpu_of(recording, totals, [(0.0, 10.0)], roles_of(recording), {}, {}, None, None, waiting)
    assert cpu is not None
    assert cpu.other_cores == pytest.approx(others, rel=0.02)
