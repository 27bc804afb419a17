"""What a local store brings where nearly all the time is waiting for a remote one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from mlscale.ladder.case import case_of, received_s
from mlscale.profile.build import build_profile
from mlscale.profile.job import FunctionShare, JobProfile
from mlscale.recording import read

FOLDER = Path(__file__).parent.parent / "recordings"
REAL_GAIN = 64.3  # of that job with its data in memory (benchmarks/results/unseen-5.jsonl)


def profile_of(name: str) -> JobProfile:
    return build_profile(read(FOLDER / f"{name}.mlscale"))


def with_functions(profile: JobProfile, *functions: FunctionShare) -> JobProfile:
    assert profile.workers is not None
    return dataclasses.replace(profile, workers=dataclasses.replace(profile.workers, functions=functions))


def test_receiving_is_no_part_of_the_work_on_a_local_store() -> None:
    """Three workers take 52 ms of CPU time for a batch of 16 MB from a line of 22 MB/s, nearly all of it at recv(). With the data
    in memory the job made 64 times as many, where 20.8 were promised."""
    gain = case_of(profile_of("a_full_line_and_little_else")).faster_store
    assert gain is not None
    assert gain.value == pytest.approx(REAL_GAIN, rel=0.2)
    # What the local store leaves of the waiting is not known: from nothing to twice the usual.
    assert gain.low < 0.6 * gain.value
    assert gain.high > 1.1 * gain.value


def test_work_elsewhere_than_at_the_waiting_lines_stays() -> None:
    profile = profile_of("a_full_line_and_little_else")
    assert profile.demand is not None and received_s(profile) > 0.7 * profile.demand.worker_cpu_s
    waits = FunctionShare("receive", "store.py", 75, "io_wait", 0.97)
    at_line = FunctionShare("receive", "store.py", 75, "compute", 0.01)
    decode = FunctionShare("decode", "image.py", 20, "compute", 0.03)
    assert received_s(with_functions(profile, waits, decode)) == 0
    some = received_s(with_functions(profile, waits, at_line, decode))
    assert 0 < some < 0.25 * profile.demand.worker_cpu_s
    # A loop on the way to the line is not the line.
    above = dataclasses.replace(at_line, line=70)
    assert received_s(with_functions(profile, waits, above, decode)) == 0


def test_a_local_disk_spares_no_cpu_time() -> None:
    """It is read in the same way as before, only faster."""
    profile = profile_of("a_throttled_disk_2")
    assert received_s(profile) == 0
    assert received_s(dataclasses.replace(profile_of("a_full_line_and_little_else"), stores=())) == 0


def test_what_cannot_be_counted_spares_none() -> None:
    profile = profile_of("a_full_line_and_little_else")
    assert received_s(dataclasses.replace(profile, demand=None)) == 0
    assert received_s(dataclasses.replace(profile, workers=None)) == 0
    unknown = dataclasses.replace(profile.stores[0], read_bytes_per_s=None)
    assert received_s(dataclasses.replace(profile, stores=(unknown,))) == 0


def test_a_moderate_gain_keeps_its_narrow_interval() -> None:
    """Where the step is most of what remains, what the new store leaves hardly counts."""
    gain = case_of(profile_of("a_remote_store_whose_line_is_full")).faster_store
    assert gain is not None
    assert 1 < gain.low < gain.value < gain.high < 1.15 * gain.value
