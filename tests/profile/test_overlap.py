"""Kernels that were launched ahead: the GPU works while the training thread waits."""

from __future__ import annotations

import pytest

from mlscale.profile.job import TrainingThread
from mlscale.profile.training import Look, divide
from mlscale.recording import ThreadSample

SPANS = [(0.0, 20.0)]
STACK: tuple[()] = ()


def divided(waits: float, gpu_busy: float | None, looks: int = 600) -> TrainingThread:
    """A thread that waits for data for a share of its looks, spread evenly, and blocks in the step for the rest."""
    found = []
    for number in range(looks):
        waiting = int((number + 1) * waits) > int(number * waits)
        sample = ThreadSample(number * 20 / looks, 1, 1, "S", None, None, 1, "pipe" if waiting else "gpu", None)
        found.append(Look(sample, "data" if waiting else "step", STACK))
    thread = divide(found, SPANS, gpu_busy=gpu_busy, inline=False, ranks=1)
    assert thread is not None
    return thread


def test_a_gpu_that_waits_for_the_loop_overlaps_nothing() -> None:
    assert divided(0.4, 0.6).overlap == 0
    assert divided(0.4, 0.62).overlap == 0  # chance
    assert divided(0.4, 0.3).overlap == 0  # the loop has host work, too
    assert divided(0.4, None).overlap == 0


def test_a_gpu_that_works_off_a_queue_does() -> None:
    thread = divided(0.95, 0.75)
    assert thread.data == pytest.approx(0.95, abs=0.01)
    assert thread.overlap == pytest.approx(0.70, abs=0.01)
