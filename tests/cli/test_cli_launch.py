"""A launched job is ended with all that it started: politely, then not."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mlscale.cli import launch
from mlscale.observe import proc

POLITE = "import time\nprint('up', flush=True)\ntime.sleep(60)"
STUBBORN = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(60)"
TIDY = """
import signal, sys, time
def bye(*_):
    time.sleep(0.3)
    open(sys.argv[1], 'w').write('saved')
    sys.exit(0)
signal.signal(15, bye)
print('up', flush=True)
time.sleep(60)
"""
# One child in the job's group, and one in a session of its own, as torchrun starts its ranks; both ignore SIGTERM.
FAMILY = f"""
import subprocess, sys, time
child = [sys.executable, '-c', {STUBBORN!r}]
a = subprocess.Popen(child, stdout=subprocess.PIPE)
b = subprocess.Popen(child, stdout=subprocess.PIPE, start_new_session=True)
a.stdout.readline(), b.stdout.readline()
print('up', flush=True)
time.sleep(60)
"""


@pytest.fixture
def started(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., contextlib.AbstractContextManager[subprocess.Popen[bytes]]]:
    """launched(), once the job has said that it is up."""

    @contextlib.contextmanager
    def start(code: str, *arguments: str, keep_running: bool = False) -> Iterator[subprocess.Popen[bytes]]:
        read, write = os.pipe()
        monkeypatch.setattr(launch, "_our_stderr", lambda: write)
        with launch.launched([sys.executable, "-c", code, *arguments], keep_running=keep_running) as job:
            os.close(write)
            with open(read, "rb") as said:
                assert said.readline() == b"up\n"
            yield job

    return start


Started = Callable[..., contextlib.AbstractContextManager["subprocess.Popen[bytes]"]]


def test_a_polite_job_ends_at_once(started: Started) -> None:
    with started(POLITE) as job:
        assert os.getpgid(job.pid) == job.pid != os.getpgid(0)
        began = time.monotonic()
    assert job.returncode == -signal.SIGTERM
    assert time.monotonic() - began < launch.GRACE_S / 2


def test_a_job_may_tidy_up(started: Started, tmp_path: Path) -> None:
    with started(TIDY, str(tmp_path / "state")) as job:
        pass
    assert (tmp_path / "state").read_text() == "saved" and job.returncode == 0


def test_a_stubborn_job_is_killed(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "end", lambda job, grace: END(job, min(grace, 0.3)))
    with started(STUBBORN) as job:
        pass
    assert job.returncode == -signal.SIGKILL


END = launch.end


def test_nothing_that_it_started_is_left(started: Started, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "end", lambda job, grace: END(job, min(grace, 0.3)))
    with started(FAMILY) as job:
        family = proc.tree_of(job.pid)
        assert len(family) == 3
    assert not any(proc.alive(pid) for pid in family)


def test_a_second_ctrl_c_does_not_wait(started: Started) -> None:
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), started(STUBBORN) as job:
        raise KeyboardInterrupt
    assert job.returncode == -signal.SIGKILL
    assert time.monotonic() - began < launch.GRACE_S / 2


def test_ctrl_c_while_waiting_for_its_end_kills_it(started: Started) -> None:
    began = time.monotonic()
    before = signal.signal(signal.SIGALRM, _interrupt)
    with pytest.raises(KeyboardInterrupt), started(STUBBORN) as job:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
    signal.signal(signal.SIGALRM, before)
    assert job.returncode == -signal.SIGKILL
    assert time.monotonic() - began < launch.GRACE_S / 2


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_it_may_go_on(started: Started) -> None:
    with started(POLITE, keep_running=True) as job:
        pass
    try:
        assert launch.status_of(job, 0.2) is None
    finally:
        job.kill()
        job.wait()


def test_ends_in_words() -> None:
    assert launch.in_words(3) == "status 3"
    assert launch.in_words(-9) == "signal SIGKILL"
    assert launch.in_words(-99) == "signal 99"
