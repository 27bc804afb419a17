"""Programs that serve the job's data on its own machine: the daemon of a FUSE mount, a cache or a store at a local port.

What they compute grows with what the job reads, so they are no company that takes its cores: they are part of its reading.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from mlscale.observe import proc, storage
from mlscale.observe.beside import name_of

# Looking through all descriptors of all processes takes 7 us of CPU time for each (3 ms on a small machine, 0.1 s for 14,000): so
# few times a watch, for a share of a core at most, and not to the end where there are more.
MOST_SEARCHES, LONGEST_S = 3, 0.1
APART_S, SHARE_OF_A_CORE = 4.0, 0.002
SHUT = "shut"  # instead of a link: another user's


@dataclass(frozen=True)
class Place:
    """A store that a local program may serve. `target` as in ThreadSample; `mount` where it is a FUSE mount."""

    target: str
    mount: storage.Mount | None = None


class Serving:
    """The servers that were found, and their CPU time since then. One for a watch."""

    def __init__(self) -> None:
        self._before: dict[int, float] = {}  # CPU seconds when found
        self._used: dict[int, float] = {}  # since then, as last read
        self._searched: set[str] = set()
        self._searches, self._next = 0, 0.0

    @property
    def pids(self) -> Collection[int]:
        """The servers that were found."""
        return self._before

    def search(
        self, places: Collection[Place], job: Collection[int], reader: int, now: float
    ) -> list[dict[str, object]]:
        """Looks for who serves the places that were not searched for yet. Gives those newly found: target, pid, name. `job`: its
        processes, which are passed over; `reader`: the one whose network and mounts count."""
        fresh = [place for place in places if place.target not in self._searched]
        if not fresh or self._searches >= MOST_SEARCHES or now < self._next:
            return []
        self._searched |= {place.target for place in fresh}
        began = time.thread_time()
        found: list[dict[str, object]] = []
        serving = sorted(servers(fresh, job, reader))
        self._searches += 1
        self._next = now + max(APART_S, (time.thread_time() - began) / SHARE_OF_A_CORE)
        for target, pid in serving:
            if pid in self._before:
                continue
            try:
                self._before[pid] = proc.stat(pid).cpu_s
            except ProcessLookupError:
                continue
            found.append({"target": target, "pid": pid, "name": name_of(pid)})
        return found

    def cpu_s(self) -> float | None:
        """CPU seconds of all servers since each was found; None where there are none."""
        for pid, before in self._before.items():
            try:
                self._used[pid] = proc.stat(pid).cpu_s - before
            except ProcessLookupError:
                continue  # what it used stays
        return round(sum(self._used.values()), 3) if self._before else None


def servers(places: Collection[Place], job: Collection[int], reader: int) -> set[tuple[str, int]]:
    """Targets, and the processes that serve them; without those that may not be seen."""
    fuse = [place for place in places if place.mount is not None and place.mount.kind == "fuse"]
    peers = {place.target.partition(":")[2] for place in places if place.target.startswith("socket:")}
    ends = storage.tcp_ends(reader, peers)
    if not fuse and not ends:
        return set()
    found: set[tuple[str, int]] = set()
    holders: dict[int, str | None] = {}
    for pid, fd, link in _descriptors(lambda pid: pid not in job and pid != os.getpid()):
        if link == SHUT and any(place.mount.point in proc.command_line(pid) for place in fuse if place.mount):
            holders[pid] = None
        elif link == "/dev/fuse":
            holders[pid] = _fuse_connection(pid, fd)
        elif link.startswith("socket:[") and link[8:-1] in ends:
            found.add((f"socket:{ends[link[8:-1]]}", pid))
    for place in fuse:
        found |= {(place.target, pid) for pid in _daemons(place, holders)}
    return found


def _daemons(place: Place, holders: dict[int, str | None]) -> list[int]:
    """Who answers a FUSE mount: newer kernels tell it (6.18 does). Else who names the mount point in its command, as
    another user's daemon is known too, or is the only one."""
    assert place.mount is not None
    number = place.mount.device.partition(":")[2]
    told = [pid for pid, connection in holders.items() if connection == number]
    unknown = [pid for pid, connection in holders.items() if connection is None]
    named = [pid for pid in unknown if place.mount.point in proc.command_line(pid)]
    return told or named or (unknown if len(unknown) == 1 else [])


def _fuse_connection(pid: int, fd: int) -> str | None:
    """The connection's number, which is its mounts' minor one; None where the kernel does not tell."""
    try:
        with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file if ":" in line)
    except (OSError, ValueError):
        return None
    number = fields.get("fuse_connection")
    return number.strip() if number is not None else None


def _descriptors(wanted: Callable[[int], bool]) -> Iterator[tuple[int, int, str]]:
    """Process, descriptor and what it refers to, of all that may be seen; SHUT where a process's may not."""
    began = time.thread_time()
    for pid in proc.all_pids():
        if time.thread_time() - began > LONGEST_S:
            return
        if not wanted(pid):
            continue
        try:
            names = os.listdir(f"/proc/{pid}/fd")
        except PermissionError:
            yield pid, -1, SHUT
            continue
        except OSError:
            continue
        for fd in names:
            link = proc.descriptor(pid, int(fd))
            if link is not None:
                yield pid, int(fd), link
