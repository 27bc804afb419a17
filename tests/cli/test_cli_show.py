"""doctor, explain and progress: what is shown, from the real thing."""

from __future__ import annotations

import json
import os
import select

import pytest
from cli_runner import Run, environment

from mlscale.cli import progress
from mlscale.observe.watch import Progress


def test_doctor_tries_this_machine(mlscale: Run) -> None:
    done = mlscale("doctor")
    assert done.returncode == 0 and done.stderr == ""
    found = {item["name"]: item for item in json.loads(mlscale("doctor", "-f", "json").stdout)["access"]}
    assert any("NVML" in name for name in found)
    for name, item in found.items():
        assert name in done.stdout
        assert item["state"] in ("open", "limited", "shut") and item["says"]


def test_every_rung_and_rule_is_explained(mlscale: Run) -> None:
    from mlscale.ladder.walk import EXPLAINABLE, explain

    listed = json.loads(mlscale("explain", "-f", "json").stdout)
    assert [item["name"] for item in listed] == list(EXPLAINABLE)
    shown = mlscale("explain").stdout
    assert all(name in shown for name in EXPLAINABLE)
    one = mlscale("explain", "Loader-Workers").stdout
    flat = " ".join(one.split())
    item = explain("loader_workers")
    for text in (item.title, item.question, item.why, item.citation):
        assert " ".join(text.split()) in flat
    for name, value, _ in item.thresholds:
        assert name in flat and value in flat


@pytest.mark.parametrize("width", ["40", "80", "120"])
def test_explanations_fit(mlscale: Run, width: str) -> None:
    for arguments in (["doctor"], ["explain"], ["explain", "data_store"]):
        text = mlscale(*arguments, env=environment(COLUMNS=width)).stdout
        assert max(map(len, text.splitlines())) <= int(width)


SEEN = {"workers": 2.0, "batches": 118.0, "data_wait_fraction": 0.43, "gpu_busy_fraction": 0.5}


def test_lines_come_now_and_then_and_when_the_phase_changes(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with progress.display("process 5", quiet=False, shared=False) as show:
        assert show is not None
        for second in range(12):
            clock[0] += 1.0
            show(Progress(second, max(0, second - 2), 30.0, "starting" if second < 2 else "watching", SEEN))
    lines = capfd.readouterr().err.splitlines()
    assert lines == [
        "mlscale: Waiting for process 5 to train (0 s): 2 workers, 118 batches, waits for data 43%, GPU busy 50%",
        "mlscale: Watching process 5, 0 s of at most 30 s of training: 2 workers, 118 batches, waits for data 43%, GPU busy 50%",
        "mlscale: Watching process 5, 5 s of at most 30 s of training: 2 workers, 118 batches, waits for data 43%, GPU busy 50%",
    ]


def test_quiet_shows_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with progress.display("process 5", quiet=True, shared=False) as show:
        assert show is None
    assert capfd.readouterr().err == ""


def all_of(leader: int) -> str:
    """What was written to a terminal. The kernel hands it over piece by piece, some of it a moment later."""
    parts = []
    while select.select([leader], [], [], 0.5)[0]:
        parts.append(os.read(leader, 65536))
    return b"".join(parts).decode()


def test_a_terminal_gets_a_live_display_that_clears_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    leader, follower = os.openpty()
    monkeypatch.setenv("TERM", "xterm")
    with open(follower, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress.display("process 5", quiet=False, shared=False) as show:
            assert show is not None
            show(Progress(12.0, 10.0, 30.0, "watching", SEEN))
        terminal.flush()
        text = all_of(leader)
    os.close(leader)
    assert "Watching process 5, 10 s of at most 30 s of training" in text
    assert "━━━━━━━━" in text and "at most 20 s left" in text and "waits for data 43%" in text
    assert text.rstrip().endswith("\x1b[2K")  # nothing of it stays


def test_a_terminal_that_the_job_shares_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    leader, follower = os.openpty()
    with open(follower, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress.display("the job", quiet=False, shared=True) as show:
            assert show is not None
            show(Progress(12.0, 10.0, 30.0, "watching", SEEN))
        text = all_of(leader)
    os.close(leader)
    assert "\x1b" not in text and text.startswith("mlscale: Watching the job")
