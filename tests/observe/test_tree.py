"""Which process does what, however it was started."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from tests.running import environment, started

from mlscale.observe import proc
from mlscale.observe.python import reader
from mlscale.observe.tree import Tree
from mlscale.recording import Recorder

# Epochs of a second: workers come and go.
JOB = """
import time, torch, sys
from torch.utils.data import DataLoader, Dataset
class Rows(Dataset):
    def __len__(self): return 80
    def __getitem__(self, index): time.sleep(0.02); return torch.zeros(4)
if __name__ == "__main__":
    loader = DataLoader(Rows(), batch_size=8, num_workers=2, multiprocessing_context=sys.argv[1],
                        persistent_workers=sys.argv[2] == "persistent")
    while True:
        for batch in loader: time.sleep(0.01)
"""


def pids_of(pid: int, workers: int, within_s: float) -> dict[str, set[int]]:
    """Processes by role, looked for ten times a second until there were so many workers."""
    tree = Tree(pid, Recorder({}, None))
    found: dict[str, set[int]] = {"training": set(), "worker": set()}
    began = time.monotonic()
    try:
        while time.monotonic() < began + within_s and len(found["worker"]) < workers:
            tree.update(time.monotonic() - began, full=False)
            for role, pids in found.items():
                pids.update(process.pid for process in tree.of_role(role))
            time.sleep(0.1)
    finally:
        for process in tree.processes.values():
            process.close()
    return found


@pytest.mark.parametrize("start", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("kept", ["persistent", "anew"])
def test_workers_are_found_however_they_are_started(start: str, kept: str, tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text(JOB)
    with started([sys.executable, str(script), start, kept]) as process:
        deadline = time.monotonic() + 60
        while len(proc.tree_of(process.pid)) < 3 and time.monotonic() < deadline:
            time.sleep(0.1)
        wanted = 2 if kept == "persistent" else 4  # of two epochs
        found = pids_of(process.pid, wanted, within_s=40)
    assert found["training"] == {process.pid}
    assert len(found["worker"]) >= wanted


# A child stays for a second what its parent is, before it becomes its own program.
SLOW_TO_START = """
import _posixsubprocess, os, subprocess, sys, time
start = _posixsubprocess.fork_exec
def slow(*args):
    args = list(args)
    args[-2 if isinstance(args[-1], bool) else -1] = lambda: time.sleep(1)
    return start(*args)
_posixsubprocess.fork_exec = subprocess._fork_exec = slow
fork = os.fork
def slow_fork():
    pid = fork()
    if pid == 0: time.sleep(1)
    return pid
os.fork = slow_fork
"""


@pytest.mark.parametrize("start", ["fork", "spawn", "forkserver"])
def test_a_child_is_told_by_the_program_it_becomes(start: str, tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    script.write_text(JOB)
    (tmp_path / "sitecustomize.py").write_text(SLOW_TO_START)  # of a fork server, too
    path = os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])
    with started([sys.executable, str(script), start, "persistent"], PYTHONPATH=path) as process:
        tree = Tree(process.pid, Recorder({}, None))
        began = time.monotonic()
        while len(tree.of_role("worker")) < 2 and time.monotonic() < began + 60:
            tree.update(time.monotonic() - began, full=False)
            time.sleep(0.1)
        for watched in tree.processes.values():
            watched.close()
    assert {found.pid for found in tree.of_role("training")} == {process.pid}
    workers = tree.of_role("worker")
    assert len(workers) == 2
    assert all(("multiprocessing" in " ".join(found.command)) == (start != "fork") for found in workers)


def test_a_child_that_becomes_its_program_while_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = reader.find_runtime

    def slowly(pid: int) -> tuple[int, tuple[int, int]]:
        found = opened(pid)
        time.sleep(0.4)  # of the second that it takes to start
        return found

    monkeypatch.setattr(reader, "find_runtime", slowly)
    test_a_child_is_told_by_the_program_it_becomes("forkserver", tmp_path)
