"""The other ends of a job's TCP sockets. One for all processes of a job: the kernel's tables are dear."""

from __future__ import annotations

import os
import time

from mlscale.observe import storage
from mlscale.observe.connections import Connections

# The kernel walks its whole hash of connections for /proc/net/tcp, also where there are none: 3 ms on a small machine. So a
# table is read again when a socket is new, and at most this often: a thousandth of a core, and once a second.
_SHARE_OF_A_CORE = 0.001
_EVERY_S = 1.0
_TABLES = {"TCP": ("tcp",), "TCPv6": ("tcp6",), None: ("tcp", "tcp6")}
UNNAMED = "?"


class Peers:
    """Sockets and their peers, as last read."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, str | None]] = {}  # table -> inode -> peer, None where there is none
        self._again_at: dict[str, float] = {}
        self._last = UNNAMED
        self.connections = Connections()

    def of(self, pid: int, fd: int, inode: str) -> str | None:
        """ "address:port" that a descriptor is connected to; None for a listener, and for what is no TCP socket.

        A connection that is not in the table yet, or is being made, is taken for one to the peer that was last seen: loaders
        that connect anew for each file connect to the same store. "?" where none was seen.
        """
        protocol = protocol_of(pid, fd)
        if protocol not in _TABLES:
            return None
        for table in _TABLES[protocol]:
            if inode not in self._known.get(table, ()) and time.monotonic() >= self._again_at.get(table, 0.0):
                self._read(pid, table)
            if inode in self._known.get(table, ()):
                peer = self._known[table][inode]
                self._last = peer or self._last
                return peer
        return self._last if protocol is not None else None

    def _read(self, pid: int, table: str) -> None:
        began = time.thread_time()
        self._known[table] = storage.tcp_peers(pid, table)
        cost = time.thread_time() - began
        self._again_at[table] = time.monotonic() + max(_EVERY_S, cost / _SHARE_OF_A_CORE)


def protocol_of(pid: int, fd: int) -> str | None:
    """What a socket speaks, as the kernel names it: TCP, TCPv6, UNIX-STREAM, UDP, ...; None where it does not tell."""
    try:
        return os.getxattr(f"/proc/{pid}/fd/{fd}", "system.sockprotoname").rstrip(b"\0").decode("ascii", "replace")
    except OSError:
        return None
