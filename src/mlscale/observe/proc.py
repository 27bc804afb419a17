"""proc(5): threads and processes of a live job, read through descriptors that stay open. Nothing here decides."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

CLOCK_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
NANOSECONDS = 1e-9

# System calls whose first argument is the descriptor waited on (x86_64; the names are in syscalls(2)).
_FD_FIRST_X86 = {
    0,
    1,
    17,
    18,
    19,
    20,
    44,
    45,
    46,
    47,
    42,
    43,
    5,
    78,
    217,
    288,
    295,
    327,
    232,
    281,
    74,
    75,
    40,
    299,
    307,
}
_FD_FIRST_ARM = {
    61,
    62,
    63,
    64,
    80,
    65,
    66,
    67,
    68,
    69,
    70,
    71,
    82,
    83,
    202,
    203,
    206,
    207,
    211,
    212,
    242,
    243,
    269,
    286,
    22,
}
IS_ARM = os.uname().machine in ("aarch64", "arm64")
FD_FIRST = _FD_FIRST_ARM if IS_ARM else _FD_FIRST_X86
NANOSLEEP = {101, 115} if IS_ARM else {35, 230}
FUTEX = {98, 422, 449} if IS_ARM else {202, 449}
POLL = {73} if IS_ARM else {7, 271}
SELECT = {72} if IS_ARM else {23, 270}
EPOLL = {22} if IS_ARM else {232, 281}
WAIT_CHILD = {260, 95} if IS_ARM else {61, 247}
# System calls that name a file by its path: number -> which argument the path is.
PATH_FIRST = {56: 1, 79: 1, 291: 1, 48: 1} if IS_ARM else {2: 0, 4: 0, 6: 0, 21: 0, 257: 1, 262: 1, 332: 1, 269: 1}
IOCTL = {29} if IS_ARM else {16}
FREES = {57, 215, 216, 233} if IS_ARM else {3, 11, 25, 28}  # close, munmap, mremap, madvise
_SLEEPS = NANOSLEEP | FUTEX | POLL | SELECT | EPOLL | WAIT_CHILD  # waits that are never uninterruptible
WAIT_FAULT = -1  # blocked, but not in a system call: a page fault


@dataclass(frozen=True)
class ProcStat:
    """The fields of /proc/PID/stat that are used. CPU in seconds, all threads, also ended ones."""

    command: str
    state: str
    parent: int
    cpu_s: float
    system_s: float
    major_faults: int
    threads: int
    start_ticks: int
    rss_bytes: int


class ThreadFiles:
    """One thread's stat, schedstat and syscall, open for re-reading. Raises ProcessLookupError when it is gone."""

    def __init__(self, pid: int, tid: int) -> None:
        self.pid, self.tid = pid, tid
        self.read_at = -10.0  # when schedule was last asked for, by the caller's clock
        base = f"/proc/{pid}/task/{tid}/"
        try:
            self._stat = os.open(base + "stat", os.O_RDONLY)
        except FileNotFoundError:
            raise ProcessLookupError(tid) from None
        self._schedstat = _open_or_none(base + "schedstat")
        self._syscall = _open_or_none(base + "syscall")

    def state(self) -> str:
        """R, S, D, T ... of proc(5). A zombie is gone."""
        try:
            text = os.pread(self._stat, 256, 0)
        except OSError:
            raise ProcessLookupError(self.tid) from None
        end = text.rfind(b")")
        if end < 0 or text[end + 2] in b"ZX":
            raise ProcessLookupError(self.tid)
        return chr(text[end + 2])

    def schedule(self) -> tuple[int | None, int | None, int | None]:
        """Cumulative nanoseconds on a CPU, and waiting for one, and turns on one. None where the kernel keeps no schedstat."""
        if self._schedstat is None:
            return None, None, None
        try:
            on_cpu, waiting, turns = os.pread(self._schedstat, 80, 0).split()
            return int(on_cpu), int(waiting), int(turns)
        except (OSError, ValueError):
            return None, None, None

    def syscall(self) -> tuple[int, ...] | None:
        """(number, first three arguments) while blocked; (-1,) in a fault; None while running or where it may not be read."""
        if self._syscall is None:
            return None
        try:
            words = os.pread(self._syscall, 200, 0).split()
        except OSError:
            return None  # EPERM after a set-uid exec, ESRCH when it ended
        if not words or words[0] == b"running":
            return None
        number = int(words[0])
        if number < 0:
            return (WAIT_FAULT,)
        return (number, *(int(word, 16) for word in words[1:4]))

    def wait(self) -> bytes | None:
        """The line of /proc/PID/syscall as it is; None where it may not be read."""
        if self._syscall is None:
            return None
        try:
            return os.pread(self._syscall, 200, 0)
        except OSError:
            return None

    def state_and_call(self, wait: bytes | None) -> tuple[str, tuple[int, ...] | None]:
        """State, and system call with its first three arguments, from `wait()`; the state is read where that does not
        tell it. Raises ProcessLookupError."""
        words = wait.split() if wait else []
        if not words:
            return self.state(), None
        if words[0] == b"running":
            return "R", None
        number = int(words[0])
        if number < 0:
            return self.state(), (WAIT_FAULT,)
        call = (number, *(int(word, 16) for word in words[1:4]))
        return ("S" if number in _SLEEPS else self.state()), call

    @property
    def sees_syscalls(self) -> bool:
        """Whether the kernel lets this user read what the thread waits in."""
        return self._syscall is not None

    def close(self) -> None:
        """Gives the descriptors back."""
        for fd in (self._stat, self._schedstat, self._syscall):
            if fd is not None:
                os.close(fd)


def _open_or_none(path: str) -> int | None:
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        os.pread(fd, 16, 0)  # some of these open and then refuse to be read
    except OSError:
        os.close(fd)
        return None
    return fd


def stat(pid: int) -> ProcStat:
    """/proc/PID/stat. Raises ProcessLookupError where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(pid) from None
    start, end = text.find(b"("), text.rfind(b")")
    fields = text[end + 2 :].split()
    return ProcStat(
        command=text[start + 1 : end].decode("utf-8", "replace"),
        state=chr(fields[0][0]),
        parent=int(fields[1]),
        cpu_s=(int(fields[11]) + int(fields[12])) / CLOCK_TICKS_PER_S,
        system_s=int(fields[12]) / CLOCK_TICKS_PER_S,
        major_faults=int(fields[9]),
        threads=int(fields[17]),
        start_ticks=int(fields[19]),
        rss_bytes=int(fields[21]) * PAGE_BYTES,
    )


def io_counters(pid: int) -> dict[str, int] | None:
    """/proc/PID/io, or None where it may not be read."""
    try:
        with open(f"/proc/{pid}/io", "rb") as file:
            return {key.decode(): int(value) for key, value in (line.split(b": ") for line in file)}
    except (OSError, ValueError):
        return None


def threads_of(pid: int) -> list[int]:
    """Thread ids of a process, [] when it is gone."""
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


def thread_name(pid: int, tid: int) -> str:
    """The thread's comm, "" when it is gone."""
    try:
        with open(f"/proc/{pid}/task/{tid}/comm", "rb") as file:
            return file.read().decode("utf-8", "replace").rstrip("\n")
    except OSError:
        return ""


def all_pids() -> list[int]:
    """Every process that may be seen."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def command_line(pid: int) -> list[str]:
    """Arguments of a process; [] for kernel threads and the dead."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            text = file.read()
    except OSError:
        return []
    return [part.decode("utf-8", "replace") for part in text.rstrip(b"\0").split(b"\0")] if text else []


def children_of(pid: int) -> list[int]:
    """Direct children, from each thread's list. [] when it is gone or the kernel keeps no list."""
    found: list[int] = []
    for tid in threads_of(pid):
        try:
            with open(f"/proc/{pid}/task/{tid}/children", "rb") as file:
                found.extend(int(word) for word in file.read().split())
        except OSError:
            continue
    return found


def tree_of(pid: int) -> list[int]:
    """A process and all its descendants, parents first."""
    found, todo = [], [pid]
    while todo:
        current = todo.pop(0)
        found.append(current)
        todo.extend(child for child in children_of(current) if child not in found)
    return found


def environment(pid: int, names: Iterable[str]) -> dict[str, str]:
    """The named environment variables of a process, as it was started. {} where they may not be read."""
    wanted = {name.encode() for name in names}
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            pairs = (part.split(b"=", 1) for part in file.read().split(b"\0") if b"=" in part)
            return {key.decode(): value.decode("utf-8", "replace") for key, value in pairs if key in wanted}
    except OSError:
        return {}


def descriptor(pid: int, fd: int) -> str | None:
    """What a descriptor refers to: a path, "socket:[inode]", "pipe:[inode]", ...; None where it may not be read."""
    try:
        return os.readlink(f"/proc/{pid}/fd/{fd}")
    except OSError:
        return None


def executable(pid: int) -> str | None:
    """Path of the program, None where it may not be read."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return None


def owner(pid: int) -> int | None:
    """User id of a process."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None


def affinity(pid: int) -> frozenset[int]:
    """CPUs a process may run on; all of the machine's where it cannot be read."""
    try:
        return frozenset(os.sched_getaffinity(pid))
    except OSError:
        return frozenset(range(os.cpu_count() or 1))


def namespace_tids(pid: int, tids: Iterable[int]) -> dict[int, int]:
    """Thread id inside the process's own pid namespace -> thread id here. {} where both are the same."""
    found: dict[int, int] = {}
    for tid in tids:
        try:
            with open(f"/proc/{pid}/task/{tid}/status", "rb") as file:
                line = next((line for line in file if line.startswith(b"NSpid:")), b"")
        except OSError:
            continue
        ids = line.split()[1:]
        if len(ids) < 2:
            return {}
        found[int(ids[-1])] = tid
    return found


def epoll_targets(pid: int, fd: int) -> list[int]:
    """Descriptors that an epoll instance watches."""
    try:
        with open(f"/proc/{pid}/fdinfo/{fd}", "rb") as file:
            return [int(line.split()[1]) for line in file if line.startswith(b"tfd:")]
    except (OSError, IndexError, ValueError):
        return []


_NO_DATA = (".so", ".pyc", ".mo", ".gir")


def largest_mapped_file(pid: int) -> str | None:
    """The largest file mapped without execute permission that is no library: a memory-mapped dataset, if any."""
    sizes: dict[str, int] = {}
    libraries: set[str] = set()
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
            for line in file:
                fields = line.rstrip("\n").split(maxsplit=5)
                if len(fields) < 6 or not fields[5].startswith("/") or fields[5].startswith(("/dev/", "/memfd")):
                    continue
                if "x" in fields[1] or ".so" in fields[5] or fields[5].endswith(_NO_DATA):
                    libraries.add(fields[5])
                start, end = fields[0].split("-")
                sizes[fields[5]] = sizes.get(fields[5], 0) + int(end, 16) - int(start, 16)
    except OSError:
        return None
    found = [(size, path) for path, size in sizes.items() if path not in libraries]
    return max(found)[1] if found else None


def main_children_of(pid: int) -> list[int]:
    """Children that the main thread started: nearly all, at the price of one file."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return stat(pid).state not in ("Z", "X")
    except ProcessLookupError:
        return False


def niceness(pid: int) -> int | None:
    """How much a process yields to others: -20 to 19; None where it may not be read."""
    try:
        return os.getpriority(os.PRIO_PROCESS, pid)
    except OSError:
        return None


def working_folder(pid: int) -> str | None:
    """Current directory of a process, None where it may not be read."""
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return None
