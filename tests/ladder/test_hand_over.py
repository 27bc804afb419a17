"""Workers for a loop that loads its own data: what its batches cost to hand over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlscale.ladder.case import case_of
from mlscale.model.speedup import SpeedUp
from mlscale.profile.build import build_profile
from mlscale.profile.hand_over import hand_over_of
from mlscale.profile.job import HandOver
from mlscale.recording import Fact, read
from tests.ladder.test_replay import FOLDER, replayed

FILL, RELEASE = 0.5e-9, 0.17e-9  # CPU seconds a byte: this machine's


def gain_with(sized: HandOver | None) -> SpeedUp:
    profile = replace(build_profile(read(FOLDER / "no_workers.mlscale")), hand_over=sized)
    gain = case_of(profile).more_workers
    assert gain is not None
    return gain


def test_large_batches_bring_less_and_are_less_sure() -> None:
    small, medium, large = (gain_with(HandOver(size, FILL, RELEASE)) for size in (1e3, 1e7, 5e7))
    assert small.value > medium.value > large.value
    assert large.high - large.low > small.high - small.low


def test_a_machine_with_dear_memory_brings_less() -> None:
    assert gain_with(HandOver(1e7, 3 * FILL, RELEASE)).value < gain_with(HandOver(1e7, FILL, RELEASE)).value


def test_an_unknown_size_is_taken_for_a_usual_one() -> None:
    assert (
        gain_with(HandOver(1e3, FILL, RELEASE)).value
        > gain_with(None).value
        > gain_with(HandOver(5e7, FILL, RELEASE)).value
    )


def test_images_that_are_quickly_read_and_large_as_floats() -> None:
    """16 images of 224 x 224 pixels as floats. With the advised number of workers, the job was measured 1.38 times as fast."""
    report = replayed("no_workers_large_batches")
    gain = report.next_step.expected_speedup
    assert gain is not None
    assert gain.low <= 1.38 <= gain.high
    assert gain.value == pytest.approx(1.38, rel=0.1)
    assert "9.63 MB" in next(rung.because for rung in report.ladder if rung.rung == "loader_workers")
    assert not any("do not compute" in action for action in report.next_step.actions)


def test_the_size_is_that_of_all_samples_of_a_batch() -> None:
    recording = read(FOLDER / "no_workers_large_batches.mlscale")
    loader = build_profile(recording).job.loader
    found = hand_over_of(recording, loader, inline=True)
    assert found is not None and found.batch_bytes == 16 * 3 * 224 * 224 * 4
    assert hand_over_of(recording, loader, inline=False) is None
    unseen = replace(
        recording, events=tuple(e for e in recording.events if not (isinstance(e, Fact) and e.name == "sample"))
    )
    assert hand_over_of(unseen, loader, inline=True) is None
