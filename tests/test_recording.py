"""The recording: written, cut off, damaged, read again."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest

from mlscale.errors import UnreadableInput
from mlscale.recording import (
    Counter,
    Fact,
    GpuSample,
    MachineSample,
    ProcessGone,
    ProcessSample,
    ProcessSeen,
    Recorder,
    Recording,
    RecordingWriter,
    StackFrame,
    ThreadSample,
    read,
)

STACK = (StackFrame("train_step", "/job/train.py", 12), StackFrame("<module>", "/job/train.py", 1))


def fill(recorder: Recorder, rounds: int) -> Recording:
    recorder.add(ProcessSeen(0.0, 7, 1, "training", "python train.py", {"rank": None}))
    number = recorder.stack(STACK)
    for turn in range(rounds):
        t = round(turn * 0.05, 4)
        recorder.add(ThreadSample(t, 7, 7, "S", 10 * turn, 2 * turn, 230, "sleep", number))
        recorder.add(ThreadSample(t, 7, 7, "R", None, None, None, None, number, True))
        recorder.add(Counter(t, 7, "yielded#0", float(turn)))
        recorder.add(ProcessSample(t, 7, 0.5 * turn, 0.1, 100, 3, 0, 0, 2, 1 << 20))
        recorder.add(MachineSample(t, {"cpu_s": 1.0, "disk 8:0": [1, 2, 0.5, 0.5]}))
        recorder.add(GpuSample(t, 0, {"busy": 0.5}))
    recorder.add(Fact(1.0, "iterator", {"pid": 7, "number": 0}))
    recorder.add(ProcessGone(2.0, 7))
    recorder.flush()
    return recorder.finish("duration", 2.5)


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, Recording]:
    path = tmp_path / "job.mlscale"
    with RecordingWriter(path) as writer:
        recording = fill(Recorder({"rate_hz": 20}, writer), 40)
    return path, recording


def test_what_is_read_is_what_was_written(written: tuple[Path, Recording]) -> None:
    path, recording = written
    again = read(path)
    assert again.events == recording.events
    assert again.stacks == recording.stacks
    assert (again.ended, again.observed_s, again.warnings) == ("duration", 2.5, ())
    assert again.header["rate_hz"] == 20


def test_cut_off_anywhere_it_gives_its_beginning_or_one_line(written: tuple[Path, Recording]) -> None:
    path, recording = written
    whole = path.read_bytes()
    cut = path.with_name("cut.mlscale")
    read_some = 0
    for size in range(0, len(whole) - 1, 25):
        cut.write_bytes(whole[:size])
        try:
            found = read(cut)
        except UnreadableInput as error:
            assert "\n" not in error.message
            continue
        read_some += 1
        assert found.events == recording.events[: len(found.events)]
        assert any("cut off" in warning for warning in found.warnings)
    assert read_some > 0


def test_a_damaged_byte_costs_what_comes_after(written: tuple[Path, Recording]) -> None:
    path, recording = written
    raw = bytearray(path.read_bytes())
    for at in range(0, len(raw), 40):
        bad = bytearray(raw)
        bad[at] ^= 0xFF
        path.write_bytes(bytes(bad))
        try:
            found = read(path)
        except UnreadableInput:
            continue
        assert len(found.events) <= len(recording.events)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"import torch\n", "not a recording"),
        (zlib.compress(b'{"format": "other"}\n'), "not a recording"),
        (zlib.compress(json.dumps({"format": "mlscale-recording", "version": 99}).encode() + b"\n"), "version 99"),
        (zlib.compress(json.dumps({"format": "mlscale-recording", "version": 1}).encode() + b"\n"), "no samples"),
    ],
)
def test_what_is_no_recording_is_refused_in_one_line(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(UnreadableInput, match=says) as error:
        read(path)
    assert str(path) in error.value.message
    assert "\n" not in error.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match=r"nothing\.mlscale"):
        read(tmp_path / "nothing.mlscale")


def test_a_full_disk_costs_the_file_and_not_the_watch() -> None:
    with RecordingWriter("/dev/full") as writer:
        recording = fill(Recorder({"rate_hz": 20}, writer), 5000)
    assert len(recording.events) > 20_000
    assert any("The recording stops here" in warning for warning in recording.warnings)


def test_events_of_a_newer_version_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "new.mlscale"
    with RecordingWriter(path) as writer:
        recorder = Recorder({"rate_hz": 20}, writer)
        writer.write(json.dumps(["?", 1.0, "something new"]))
        recording = fill(recorder, 3)
    assert read(path).events == recording.events
