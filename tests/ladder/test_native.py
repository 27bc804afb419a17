"""Loaders whose threads no stack shows: tf.data, DALI."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlscale.ladder.walk import diagnose
from mlscale.profile.job import JobProfile, Loader
from tests.report import samples


def waiting(job_cores: float, kind: str = "tfdata") -> JobProfile:
    """A loop that waits for such a loader half of the time, on 8 cores."""
    profile = samples.profile()
    assert profile.cpu is not None
    loader = Loader(kind, kind, "thread", 0)
    cpu = replace(profile.cpu, job_cores=job_cores)
    return replace(profile, job=replace(profile.job, loader=loader), cpu=cpu, workers=None, stores=(), oversized=None)


@pytest.mark.parametrize(("kind", "word"), [("tfdata", "num_parallel_calls"), ("dali", "num_threads")])
def test_with_cores_free_it_gets_more_threads(kind: str, word: str) -> None:
    found = diagnose(waiting(2.0, kind))
    assert found.verdict.bottleneck == "loader_workers"
    assert found.next_step.rung == "loader_workers"
    assert word in found.next_step.actions[0]
    assert found.next_step.expected_speedup is None


def test_with_the_cores_full_preparation_is_too_dear() -> None:
    found = diagnose(waiting(7.6))
    assert found.verdict.bottleneck == "preprocessing"
    assert "most of all" not in found.verdict.headline  # nobody saw where


def test_a_thread_that_waits_beside_a_busy_gpu_is_no_contradiction() -> None:
    """The loop waits all the time, and the GPU hardly: the rung must speak of the GPU."""
    profile = samples.profile()
    assert profile.training is not None
    ahead = replace(profile.training, data=0.99, step=0.01, host=0.0, communication=0.0, overlap=0.97)
    found = diagnose(replace(profile, training=ahead))
    rung = next(rung for rung in found.ladder if rung.rung == "loader_workers")
    assert found.verdict.bottleneck == "gpu"
    assert "The GPU waits for data only 2%" in rung.because
