"""Finds the job to watch: what holds a GPU, or a Python process tree with a live data loader."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from mlscale.errors import NothingToWatch, NotPermitted
from mlscale.observe import proc
from mlscale.observe.gpu import Gpus
from mlscale.redact import redact_command

_LOOK_S = 0.25  # over which the CPU use of candidates is compared


@dataclass(frozen=True)
class Target:
    """The root of the process tree to watch. `why` says how it was found; `others` are jobs that were passed over."""

    pid: int
    why: str
    others: tuple[str, ...] = ()


def find_job(pid: int | None = None) -> Target:
    """The job with `pid`, or the one that runs here. Raises NothingToWatch, NotPermitted."""
    if pid is not None:
        return _named(pid)
    candidates = _gpu_holders()
    why = "it holds a GPU"
    if not candidates:
        candidates = _loaders()
        why = "it has live loader workers"
    if not candidates:
        candidates = _with_library()
        why = "it has a training framework loaded"
    if not candidates:
        raise NothingToWatch(
            "No training job was found here: no process holds a GPU, and no Python process runs a data loader. "
            "Start the job, name it with --pid PID, or launch it with `mlscale diagnose -- COMMAND`."
        )
    busiest = _by_cpu(sorted({_top(candidate) for candidate in candidates}))
    others = tuple(f"{other}: {redact_command(proc.command_line(other))[:100]}" for other in busiest[1:])
    return Target(_readable(busiest[0]), why, others)


def _named(pid: int) -> Target:
    try:
        state = proc.stat(pid)
    except ProcessLookupError:
        raise NothingToWatch(f"There is no process {pid}. See `ps -ef | grep python`, or leave --pid out.") from None
    if state.state in ("Z", "X"):
        raise NothingToWatch(f"Process {pid} has ended already. Start the job again, or leave --pid out.")
    if pid == os.getpid():
        raise NothingToWatch(f"Process {pid} is mlscale itself. Name the training job, or leave --pid out.")
    if not proc.command_line(pid):
        raise NothingToWatch(f"Process {pid} ({state.command}) belongs to the kernel. Name the training job.")
    return Target(_readable(pid), "it was named")


def _readable(pid: int) -> int:
    """Refuses a job of another user up front: nearly nothing of it can be seen."""
    owner = proc.owner(pid)
    if owner not in (None, os.geteuid()) and os.geteuid() != 0:
        raise NotPermitted(
            f"Process {pid} belongs to another user (uid {owner}). Run mlscale as that user: sudo -u '#{owner}' mlscale ..."
        )
    return pid


def _gpu_holders() -> list[int]:
    gpus = Gpus()
    try:
        pids = {pid for holders in gpus.holders().values() for pid in holders}
    finally:
        gpus.close()
    return [pid for pid in pids if proc.alive(pid) and proc.command_line(pid)]


def _all_python() -> list[int]:
    found = []
    for pid in proc.all_pids():
        if pid not in _own():
            program = proc.executable(pid) or ""
            if "python" in os.path.basename(program) or "python" in (proc.command_line(pid) or [""])[0]:
                found.append(pid)
    return found


def _own() -> set[int]:
    """This process and its parents: never what is looked for."""
    found, pid = set(), os.getpid()
    while pid > 1 and pid not in found:
        found.add(pid)
        try:
            pid = proc.stat(pid).parent
        except ProcessLookupError:
            break
    return found


def _loaders() -> list[int]:
    return [pid for pid in _all_python() if proc.thread_name(pid, pid).startswith("pt_data_worker")]


def _with_library() -> list[int]:
    """Python processes with a framework's library mapped, or with Python children of their own (a home-made loader)."""
    found = []
    for pid in _all_python():
        try:
            with open(f"/proc/{pid}/maps", "rb") as file:
                text = file.read()
        except OSError:
            continue
        if any(name in text for name in (b"libtorch", b"tensorflow", b"jaxlib")):
            found.append(pid)
    return found


def _top(pid: int) -> int:
    """The highest Python process above `pid` with the same owner: a launcher, or the training process of a worker."""
    top, own = pid, _own()
    while True:
        try:
            parent = proc.stat(pid).parent
        except ProcessLookupError:
            return top
        if parent <= 1 or parent in own:
            return top
        program = os.path.basename(proc.executable(parent) or "")
        if "python" not in program or proc.owner(parent) != proc.owner(top):
            return top
        top = pid = parent


def _by_cpu(pids: list[int]) -> list[int]:
    """The jobs, busiest first."""
    if len(pids) < 2:
        return pids

    def used(root: int) -> float:
        total = 0.0
        for pid in proc.tree_of(root):
            try:
                total += proc.stat(pid).cpu_s
            except ProcessLookupError:
                continue
        return total

    before = {pid: used(pid) for pid in pids}
    time.sleep(_LOOK_S)
    return sorted(pids, key=lambda pid: before[pid] - used(pid))
