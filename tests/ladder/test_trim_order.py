"""Which of several changes that free computing leads, with its promise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mlscale.ladder.case import WORTH, Case, case_of
from mlscale.ladder.rungs.trim_preprocessing import TRIM_PREPROCESSING
from mlscale.profile.build import build_profile
from mlscale.recording import read

RECORDED = build_profile(read(Path(__file__).parent.parent / "recordings" / "beside_another_program.mlscale"))
COMPANY, SMALLER = "Move the other programs", "Store the images"


def case_with(other_cores: float | None = None, *, oversized: bool = True) -> Case:
    """The recorded job, whose images are too large, and beside which another program runs."""
    assert RECORDED.cpu is not None and RECORDED.oversized is not None
    cpu = (
        RECORDED.cpu
        if other_cores is None
        else replace(RECORDED.cpu, other_cores=other_cores, job_cores=2 - other_cores)
    )
    profile = replace(RECORDED, cpu=cpu, oversized=RECORDED.oversized if oversized else None)
    return replace(case_of(profile), bottleneck="preprocessing")


def test_the_cheapest_leads_where_it_is_worth_it() -> None:
    both, alone = TRIM_PREPROCESSING.check(case_with()), TRIM_PREPROCESSING.check(case_with(oversized=False))
    assert [action.startswith(start) for action, start in zip(both.actions, (COMPANY, SMALLER), strict=False)] == [
        True,
        True,
    ]
    assert both.expected_speedup == alone.expected_speedup
    assert both.expected_speedup is not None and both.expected_speedup.value >= WORTH


@pytest.mark.parametrize("other_cores", [0.25, 0.21])
def test_what_brings_most_leads_where_the_cheapest_brings_little(other_cores: float) -> None:
    both = TRIM_PREPROCESSING.check(case_with(other_cores))
    alone = TRIM_PREPROCESSING.check(case_with(other_cores, oversized=False))
    assert alone.expected_speedup is not None and both.expected_speedup is not None
    assert alone.expected_speedup.value < WORTH <= both.expected_speedup.value
    assert both.actions[0].startswith(SMALLER)
