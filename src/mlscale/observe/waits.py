"""What a blocked thread waits on: its system call, and the file, socket or pipe behind the descriptor."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable

from mlscale.observe import proc, storage
from mlscale.observe.peers import Peers

_MAX_POLLED = 8

ReadMemory = Callable[[int, int], bytes]


class Waits:
    """Resolves the waits of one process. Caches its mounts. `peers` is shared by the processes of a job."""

    def __init__(self, pid: int, peers: Peers | None = None) -> None:
        self._pid = pid
        self.peers = peers if peers is not None else Peers()
        self._mounts = storage.mounts(pid)
        self._pipes: set[int] = set()  # known until `forget`: descriptors are reused, pipes of queues hardly ever
        self.examples: dict[str, str] = {}  # target -> one path seen there
        self.remote: set[str] = set()  # targets that are TCP connections
        self.inode: str | None = None  # of the TCP socket that `target` found last
        self._mapped: str | None = None
        self._mapped_at = 0.0

    def target(self, call: tuple[int, ...], read: ReadMemory | None) -> str | None:
        """ "file:MOUNT", "socket:PEER", "pipe", "futex", "sleep", "fault:MOUNT", ...; None where it cannot be told."""
        number = call[0]
        self.inode = None
        if number == proc.WAIT_FAULT:
            return self._fault()
        if number in proc.FUTEX:
            return "futex"
        if number in proc.NANOSLEEP:
            return "sleep"
        if number in proc.WAIT_CHILD:
            return "child"
        if number in proc.PATH_FIRST:
            return self._named(call[1 + proc.PATH_FIRST[number]], read)
        for fd in self._descriptors(call, read):
            found = self._behind(fd)
            if found is not None:
                return found
        return None

    def forget(self) -> None:
        """Looks at every descriptor anew from here on."""
        self._pipes.clear()

    def _descriptors(self, call: tuple[int, ...], read: ReadMemory | None) -> list[int]:
        number = call[0]
        if number in proc.EPOLL:
            return proc.epoll_targets(self._pid, call[1])
        if number in proc.FD_FIRST or number in proc.IOCTL:
            return [call[1]]
        if read is None:
            return []
        try:
            if number in proc.POLL:
                count = min(call[2], _MAX_POLLED)
                return [fd for fd, _ in struct.iter_unpack("<iI", read(call[1], 8 * count)) if fd >= 0]
            if number in proc.SELECT and call[2]:
                words = struct.unpack("<16Q", read(call[2], 128))
                return [64 * i + bit for i, word in enumerate(words) if word for bit in range(64) if word >> bit & 1]
        except Exception:  # the memory moved on: then it is not known
            return []
        return []

    def _named(self, address: int, read: ReadMemory | None) -> str | None:
        """The file whose path is at `address`: looking files up on a remote store takes as long as reading them."""
        if read is None:
            return None
        try:
            size = min(1024, 4096 - address % 4096)
            path = os.fsdecode(read(address, size).split(b"\0", 1)[0])
        except Exception:  # the memory moved on: then it is not known
            return None
        if not path.startswith("/"):
            path = os.path.join(proc.working_folder(self._pid) or "/", path)
        return self._file(path, "file")

    def _behind(self, fd: int) -> str | None:
        if fd in self._pipes:
            return "pipe"
        link = proc.descriptor(self._pid, fd)
        if link is None:
            return None
        if link.startswith("pipe:"):
            self._pipes.add(fd)
        if link.startswith("/dev/nvidia"):
            return "gpu"
        if link.startswith("/"):
            return self._file(link, "file")
        if link.startswith("socket:["):
            inode = link[8:-1]
            peer = self.peers.of(self._pid, fd, inode)
            self.inode = inode if peer else None
            if peer is None:
                return "unix"
            self.remote.add(f"socket:{peer}")
            return f"socket:{peer}"
        return "pipe" if link.startswith("pipe:") else link.split(":")[0]

    def _file(self, path: str, kind: str) -> str:
        mount = storage.mount_of(path, self._mounts)
        if mount is None:
            self._mounts = storage.mounts(self._pid)  # mounted since
            mount = storage.mount_of(path, self._mounts)
        target = f"{kind}:{mount.point if mount else '?'}"
        self.examples.setdefault(target, path)
        return target

    def _fault(self) -> str:
        """A page fault gives no descriptor: the largest mapped data file is what it most likely reads."""
        now = time.monotonic()
        if self._mapped is None or now - self._mapped_at > 5:
            self._mapped_at = now
            self._mapped = proc.largest_mapped_file(self._pid) or ""
        return self._file(self._mapped, "fault") if self._mapped else "fault:?"

    def mount(self, target: str) -> storage.Mount | None:
        """The mount of a "file:" or "fault:" target."""
        point = target.partition(":")[2]
        return next((mount for mount in self._mounts if mount.point == point), None)
