"""The tracks over time agree with the profile, see what happened when it happened, and stay small."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from mlscale.profile.build import build_profile
from mlscale.profile.series import MOST_BINS, Series, Shares, Track, series_of
from mlscale.recording import (
    Counter,
    Event,
    Fact,
    GpuSample,
    ProcessGone,
    ProcessSample,
    ProcessSeen,
    Recording,
    StackFrame,
    ThreadSample,
    read,
)

RECORDINGS = sorted((Path(__file__).parents[1] / "recordings").glob("*.mlscale"))
LOADER = "/x/site-packages/torch/utils/data/dataloader.py"
WAITS = (StackFrame("_BaseDataLoaderIter.__next__", LOADER, 700), StackFrame("main", "/job/train.py", 1))
STEPS = (StackFrame("train_step", "/job/train.py", 9), StackFrame("main", "/job/train.py", 1))
SAVES = (StackFrame("save_checkpoint", "/job/train.py", 30), StackFrame("main", "/job/train.py", 1))


def series(recording: Recording) -> Series:
    found = series_of(recording, build_profile(recording))
    assert found is not None
    return found


def mean(track: Track, start_s: float, end_s: float) -> float:
    inside = [v for i, v in enumerate(track.values) if start_s <= (i + 0.5) * track.bin_s < end_s and v is not None]
    return sum(inside) / len(inside)


def part(shares: Shares, name: str) -> Track:
    return Track(shares.bin_s, shares.parts.get(name, (0.0,) * len(next(iter(shares.parts.values())))))


def job(gpus: tuple[float, ...] = ()) -> Recording:
    """20 s: quick steps for 10 s, then waits for data at a quarter of the speed; a save from 4 s to 5 s.

    `gpus`: how busy each is in the first half.
    """
    header = {"rate_hz": 20.0, "logical_cpus": 4, "affinity": [0, 1, 2, 3], "hostname": "x", "memory": {}}
    events: list[Event] = [ProcessSeen(0.0, 7, 1, "training", "python train.py", {"rank": None})]
    events.append(Fact(0.0, "iterator", {"pid": 7, "number": 0, "dataset": 1, "workers": 0, "batch_size": 8}))
    for gpu in range(len(gpus)):
        events.append(Fact(0.0, "gpu", {"index": gpu, "name": "A GPU"}))
    batches = 0.0
    for tick in range(400):
        t = tick * 0.05
        late = t >= 10
        stack = 2 if 4 <= t < 5 else 0 if late and tick % 4 else 1
        targets = ("file:/data", "gpu", "file:/out")
        events.append(ThreadSample(t, 7, 7, "S", None, None, 0, targets[stack], stack))
        batches += 0.0 if stack == 2 else 0.5 if late else 2.0
        events.append(Counter(t, 7, "yielded#0", float(int(batches))))
        if tick % 5 == 0:
            for gpu, busy in enumerate(gpus):
                events.append(GpuSample(t, gpu, {"busy": busy if not late else busy / 2}))
        if tick % 20 == 0:
            megabytes = t if t <= 10 else 10 + 5 * (t - 10)
            events.append(
                ProcessSample(t, 7, t if t <= 10 else 10 + 0.2 * (t - 10), 0.0, 0, 10, int(1e6 * megabytes), 0, 1, 1)
            )
    return Recording(header, (WAITS, STEPS, SAVES), tuple(sorted(events, key=lambda e: e.t)), "duration", 20.0)


def test_things_are_seen_when_they_happened() -> None:
    found = series(job())
    assert found.training is not None and found.batches_per_s is not None
    assert mean(part(found.training, "data"), 0, 9.5) < 0.02
    assert mean(part(found.training, "data"), 10.5, 20) == pytest.approx(0.75, abs=0.05)
    assert mean(part(found.training, "save"), 4.3, 4.7) > 0.9
    assert mean(part(found.training, "save"), 5.5, 20) < 0.02
    assert mean(found.batches_per_s, 5.5, 9.5) == pytest.approx(40, rel=0.06)
    assert mean(found.batches_per_s, 10.5, 19) == pytest.approx(10, rel=0.15)
    assert found.storage_read_bytes_per_s is not None and found.cpu_used_cores is not None
    assert mean(found.storage_read_bytes_per_s, 1, 9) == pytest.approx(1e6, rel=0.02)
    assert mean(found.storage_read_bytes_per_s, 11, 19) == pytest.approx(5e6, rel=0.02)
    assert mean(found.cpu_used_cores, 11, 19) == pytest.approx(0.2, rel=0.02)


def test_several_gpus_are_a_mean_and_a_band() -> None:
    found = series(job(gpus=(0.9, 0.5)))
    assert found.gpu_busy_fraction and found.gpu_busy_low and found.gpu_busy_high
    for track, early in ((found.gpu_busy_fraction, 0.7), (found.gpu_busy_low, 0.5), (found.gpu_busy_high, 0.9)):
        assert mean(track, 0, 9.5) == pytest.approx(early, abs=0.01)
        assert mean(track, 10.5, 20) == pytest.approx(early / 2, abs=0.01)


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_shares_over_the_steady_part_are_the_profiles(path: Path) -> None:
    recording = read(path)
    profile = build_profile(recording)
    found = series_of(recording, profile)
    assert found is not None and profile.training is not None
    holes = [(start, end) for start, end, name in profile.window.phases if name != "checkpoint"]
    for shares, owner in ((found.training, profile.training), (found.workers, profile.workers)):
        if shares is None or owner is None:
            assert shares is None
            continue
        size = len(next(iter(shares.parts.values())))
        steady = [i for i in range(size) if not any(a <= (i + 0.5) * shares.bin_s <= b for a, b in holes)]
        for name in ("data", "step", "host", "save", "communication", "compute", "io_wait", "idle"):
            if hasattr(owner, name) and steady:
                values = [shares.parts[name][i] for i in steady] if name in shares.parts else [0.0]
                known = [v for v in values if v is not None]
                assert sum(known) / len(known) == pytest.approx(getattr(owner, name), abs=0.012), name


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.stem)
def test_tracks_are_small_whole_and_bounded(path: Path) -> None:
    recording = read(path)
    found = series(recording)
    for name, track in asdict(found).items():
        if track is None:
            continue
        rows = track["parts"].values() if "parts" in track else [track["values"]]
        for row in rows:
            assert 1 <= len(row) <= MOST_BINS
            assert len(row) * track["bin_s"] == pytest.approx(recording.observed_s, rel=1e-4)
            assert all(value is None or value >= 0 for value in row)
            if "fraction" in name or "parts" in track:
                assert all(value is None or value <= 1.001 for value in row)
        if "parts" in track:
            for column in zip(*rows, strict=True):
                known = [value for value in column if value is not None]
                assert not known or sum(known) == pytest.approx(1, abs=0.02)
    assert len(json.dumps(asdict(found))) < 20_000


def test_ten_minutes_are_as_small_as_ten_seconds() -> None:
    base = job()
    events: list[Event] = []
    for lap in range(30):
        for event in base.events:
            if lap and isinstance(event, (ProcessSeen, Fact)):
                continue
            moved = event._replace(t=event.t + 20 * lap)
            if isinstance(moved, Counter):
                moved = moved._replace(value=moved.value + lap * 500)
            if isinstance(moved, ProcessSample):
                moved = moved._replace(
                    cpu_s=moved.cpu_s + 12 * lap, read_bytes=(moved.read_bytes or 0) + lap * 60_000_000
                )
            events.append(moved)
    found = series(Recording(base.header, base.stacks, tuple(events), "duration", 600.0))
    assert len(json.dumps(asdict(found))) < 20_000
    assert found.training is not None and len(found.training.parts["data"]) == MOST_BINS


def test_what_was_not_seen_is_none_and_not_nought() -> None:
    """A process that came late and went early: before and after, nothing is known of it."""
    header = {"rate_hz": 20.0, "logical_cpus": 1, "affinity": [0], "hostname": "x", "memory": {}}
    events: list[Event] = [ProcessSeen(0.0, 7, 1, "training", "python train.py", {"rank": None})]
    events += [ProcessSample(t, 7, 0.5 * t, 0.0, None, None, None, 0, 1, 1) for t in range(6, 15)]
    events.append(ProcessGone(14.0, 7))
    found = series(Recording(header, (), tuple(events), "duration", 20.0))
    assert found.cpu_used_cores is not None and found.storage_read_bytes_per_s is None
    assert found.training is None and found.gpu_busy_fraction is None and found.batches_per_s is None
    values = found.cpu_used_cores.values
    assert values[0] is None and values[-1] is None
    assert [v for v in values if v is not None] == pytest.approx([0.5] * sum(v is not None for v in values))


def test_a_watch_without_length_has_none() -> None:
    recording = Recording({"hostname": "x"}, (), (ProcessSeen(0.0, 7, 1, "training", "x", {}),), "interrupted", 0.0)
    assert series_of(recording, build_profile(recording)) is None
