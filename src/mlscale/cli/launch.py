"""Starts a job to watch, and ends it: politely first, and with all that it started."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

from mlscale.errors import UsageProblem
from mlscale.observe import proc

GRACE_S = 5.0  # between SIGTERM and SIGKILL, as the issue of this command asks
KILLED_WITHIN_S = 2.0  # a process in an uninterruptible wait may outlast even SIGKILL; it is not waited for
_POLL_S = 0.02


def check_command(command: Sequence[str]) -> None:
    """Raises UsageProblem where there is no such program."""
    if shutil.which(command[0]) is not None:
        return
    if command[0].isdigit():
        raise UsageProblem(f"{command[0]}: no such command. To watch the process {command[0]}: --pid {command[0]}.")
    if command[0].startswith("-"):
        raise UsageProblem(f"{command[0]}: no such command, nor an option. See `mlscale diagnose --help`.")
    if os.path.exists(command[0]):
        hint = f"python {command[0]}" if command[0].endswith(".py") else f"chmod +x {command[0]}"
        raise UsageProblem(f"{command[0]}: this file is no program that can be run. Try: {hint}.")
    raise UsageProblem(f"{command[0]}: command not found. Check its name, or give its whole path.")


@contextlib.contextmanager
def launched(
    command: Sequence[str], *, keep_running: bool, pass_fds: Sequence[int] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """The job, running in a session of its own: Ctrl-C is ours. Ended on leaving, at once on KeyboardInterrupt.

    It keeps our stdin; its stdout becomes our stderr, for stdout is the report's. Raises UsageProblem.
    """
    try:
        job = subprocess.Popen(command, stdout=_our_stderr(), start_new_session=True, pass_fds=pass_fds)
    except OSError as error:
        raise UsageProblem(f"{command[0]}: it cannot be started: {error.strerror or error}.") from None
    grace = GRACE_S
    try:
        yield job
    except KeyboardInterrupt:
        grace = 0.0
        raise
    finally:
        if not keep_running:
            end(job, grace)


def end(job: subprocess.Popen[bytes], grace_s: float = GRACE_S) -> None:
    """SIGTERM to the job's group, and SIGKILL to what is left of its tree after `grace_s`."""
    members = {pid: _started(pid) for pid in proc.tree_of(job.pid)}
    try:
        _signal_group(job.pid, signal.SIGTERM if grace_s else signal.SIGKILL)
        _wait(job, members, grace_s)
    finally:
        # Also where a second Ctrl-C cuts the wait short.
        _signal_group(job.pid, signal.SIGKILL)
        for pid, start in members.items():
            # Launchers put their ranks into sessions of their own, out of the group's reach.
            if _still(pid, start):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        _wait(job, members, KILLED_WITHIN_S)


def _wait(job: subprocess.Popen[bytes], members: Mapping[int, int | None], longest_s: float) -> None:
    """Until all of them are gone, but no longer."""
    until = time.monotonic() + longest_s
    while any([job.poll() is None, *(_still(pid, start) for pid, start in members.items())]):
        if time.monotonic() >= until:
            return
        time.sleep(_POLL_S)


def status_of(job: subprocess.Popen[bytes], wait_s: float = 1.0) -> int | None:
    """Exit status of a job that ended, negative for a signal; None while it runs."""
    try:
        return job.wait(wait_s)
    except subprocess.TimeoutExpired:
        return None


def in_words(status: int) -> str:
    """ "status 1", or the signal that ended it."""
    if status >= 0:
        return f"status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _started(pid: int) -> int | None:
    """When a process began, in ticks: tells it from a later one with its number."""
    try:
        return proc.stat(pid).start_ticks
    except ProcessLookupError:
        return None


def _still(pid: int, start: int | None) -> bool:
    return start is not None and _started(pid) == start and proc.alive(pid)


def _our_stderr() -> int:
    try:
        return sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        return subprocess.DEVNULL
