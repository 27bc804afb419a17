"""Finding the job, and refusing what is none in one line."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from mlscale.errors import NothingToWatch
from mlscale.observe.find import find_job


def test_a_pid_that_does_not_exist() -> None:
    with pytest.raises(NothingToWatch, match="There is no process"):
        find_job(4_000_000)


def test_itself_is_no_job() -> None:
    with pytest.raises(NothingToWatch, match="mlscale itself"):
        find_job(os.getpid())


def test_a_job_that_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    time.sleep(0.5)  # it is a zombie until it is waited for
    with pytest.raises(NothingToWatch, match="ended already"):
        find_job(process.pid)
    process.wait()


def test_loader_workers_lead_to_their_job() -> None:
    code = (
        "import os, time, ctypes\n"
        "if os.fork() == 0:\n"
        "    ctypes.CDLL(None).prctl(15, b'pt_data_worker', 0, 0, 0)\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        time.sleep(1)
        found = find_job()
        assert found.pid == process.pid or str(process.pid) in " ".join(found.others)
    finally:
        os.killpg(process.pid, 9)
        process.wait()
