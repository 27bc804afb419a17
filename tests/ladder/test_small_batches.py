"""Batches that a training thread makes itself: too small for workers, or held up by something else."""

from dataclasses import replace

from mlscale.ladder.case import case_of
from mlscale.profile.build import build_profile
from mlscale.recording import read
from tests.ladder.test_replay import FOLDER, replayed

SMALL = "takes longer than to make it"


def test_a_small_batch_is_told() -> None:
    assert SMALL in next(
        rung.because for rung in replayed("batches_too_small_for_workers").ladder if rung.status == "blocked"
    )


def test_a_large_batch_that_no_core_is_free_for_is_no_small_one() -> None:
    """Workers bring less than nothing there, for they would share the only core: the cores are to blame."""
    profile = build_profile(read(FOLDER / "no_workers.mlscale"))
    assert profile.cpu is not None
    used = profile.cpu.job_cores
    case = case_of(
        replace(profile, cpu=replace(profile.cpu, limit_cores=used, affinity_cores=1, limit_source="affinity"))
    )
    assert case.more_workers is not None
    assert case.more_workers.value < 1
    assert not case.too_small_to_hand_over
