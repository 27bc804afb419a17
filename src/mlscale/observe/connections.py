"""How far the answer is that a thread waits for, from the kernel's own account of each TCP connection (sock_diag(7)).

Asking needs no privilege; only connections of mlscale's own network namespace are told.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mlscale.recording import MOMENT_S, is_coming_in

_SOCK_DIAG, _BY_FAMILY = 4, 20  # NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY
_REQUEST, _DUMP = 0x1, 0x300
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ASKED = struct.Struct("=BBBBI")  # inet_diag_req_v2, before the socket's identity
_TCP_INFO = 2  # INET_DIAG_INFO
_ESTABLISHED, _ANY_STATE = 1 << 1, 0xFFF
_IDENTITY_AT, _INODE_AT, _ATTRIBUTES_AT = 4, 68, 72  # in inet_diag_msg
_IDENTITY_BYTES = 48
_SENT_AT, _RECEIVED_AT, _BYTES_AT, _LEAST_ROUND_TRIP_AT = 44, 52, 128, 148  # in tcp_info
_BUFFER = 1 << 18
_TIMEOUT_S = 0.05
# One connection costs some 20 microseconds. To find a new one, all of the machine are gone through: 0.15 ms where they are few.
_SHARE_OF_A_CORE = 0.001
_FIND_EVERY_S, _EVERY_S = 0.25, 0.02
_MOMENT_EVERY_S = 0.2  # to wake up for one more look costs as much as a look
_OLD_MS = 8  # since the request: of a younger one, two readings a tick apart cannot tell that it is the same
_SHORT_MOMENT_S = (
    1e-3  # for a younger one: an answer that is complete within some milliseconds would not last for longer
)


@dataclass(frozen=True)
class Connection:
    """One connection now. Milliseconds since data last went out, and came in (as fine as the kernel's clock tick); bytes that
    came in so far; the shortest round trip of late."""

    sent_ms: int
    received_ms: int
    round_trip_s: float
    received_bytes: int


class Connections:
    """Asks the kernel, and never takes more than a thousandth of a core for it."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, bytes]] = {}  # inode -> family, identity
        self._again_at = self._find_at = self._moment_at = 0.0
        self._silent = False  # the kernel does not answer: not permitted, or no such module

    def of(self, inode: str) -> Connection | None:
        """The connection of a socket, by its inode; None where it is not told, or was asked too often."""
        now = time.monotonic()
        if self._silent or now < self._again_at:
            return None
        began = time.thread_time()
        try:
            if int(inode) not in self._known and now >= self._find_at:
                self._find()
                self._find_at = now + max(_FIND_EVERY_S, (time.thread_time() - began) / _SHARE_OF_A_CORE)
            return self._one(int(inode))
        except TimeoutError:
            return None  # this time
        except (OSError, ValueError, struct.error):
            self._silent = True
            return None
        finally:
            self._again_at = now + max(_EVERY_S, (time.thread_time() - began) / _SHARE_OF_A_CORE)

    def gained(self, inode: str, seen: Connection, still: Callable[[], bool]) -> tuple[int | None, float]:
        """Bytes that came in a moment after `seen`, while the same answer was waited for, and how long that moment is; waits for
        it.

        None where no answer was on its way, it came to its end (`still`: whether the thread waits on), or it is too soon to
        ask again.
        """
        now = time.monotonic()
        moment_s = MOMENT_S if seen.sent_ms >= _OLD_MS else _SHORT_MOMENT_S
        if not seen.sent_ms or not is_coming_in(seen.sent_ms, seen.received_ms) or now < self._moment_at:
            return None, moment_s
        self._moment_at = now + _MOMENT_EVERY_S
        time.sleep(moment_s)
        self._again_at = 0.0
        later = self.of(inode)
        if later is None or later.sent_ms < seen.sent_ms or not still():
            return None, moment_s  # the next request went out meanwhile
        return later.received_bytes - seen.received_bytes, moment_s

    def _find(self) -> None:
        """Learns the identities of all connections."""
        self._known = {}
        for family in (socket.AF_INET, socket.AF_INET6):
            for message in _ask(family, _ESTABLISHED, bytes(_IDENTITY_BYTES), _DUMP):
                identity = message[_IDENTITY_AT : _IDENTITY_AT + _IDENTITY_BYTES]
                self._known[_inode(message)] = (family, identity)

    def _one(self, inode: int) -> Connection | None:
        if inode not in self._known:
            return None
        family, identity = self._known[inode]
        for message in _ask(family, _ANY_STATE, identity, 0):
            if _inode(message) == inode:
                return _connection(message)
        del self._known[inode]  # closed meanwhile
        return None


def _ask(family: int, states: int, identity: bytes, flags: int) -> Iterator[bytes]:
    """The kernel's inet_diag_msg answers; none where there is no such connection. Raises OSError where it refuses."""
    asked = _ASKED.pack(family, socket.IPPROTO_TCP, 1 << (_TCP_INFO - 1), 0, states) + identity
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, _SOCK_DIAG) as link:
        link.settimeout(_TIMEOUT_S)
        link.send(_HEADER.pack(_HEADER.size + len(asked), _BY_FAMILY, _REQUEST | flags, 1, 0) + asked)
        while True:
            answer = link.recv(_BUFFER)
            offset = 0
            while offset + _HEADER.size <= len(answer):
                length, kind, *_ = _HEADER.unpack_from(answer, offset)
                if kind != _BY_FAMILY or length < _HEADER.size:
                    return  # the end of all, or no such connection
                yield answer[offset + _HEADER.size : offset + length]
                offset += (length + 3) & ~3
            if not flags:
                return


def _inode(message: bytes) -> int:
    (inode,) = struct.unpack_from("=I", message, _INODE_AT)
    return int(inode)


def _connection(message: bytes) -> Connection | None:
    """What one inet_diag_msg tells; None from a kernel that leaves tcp_info out, or cuts it short."""
    offset = _ATTRIBUTES_AT
    while offset + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, offset)
        if kind == _TCP_INFO and length >= 4 + _LEAST_ROUND_TRIP_AT + 4:
            info = message[offset + 4 : offset + length]
            sent_ms, received_ms, round_trip_us = (
                struct.unpack_from("=I", info, at)[0] for at in (_SENT_AT, _RECEIVED_AT, _LEAST_ROUND_TRIP_AT)
            )
            (received_bytes,) = struct.unpack_from("=Q", info, _BYTES_AT)
            return Connection(sent_ms, received_ms, round_trip_us / 1e6, received_bytes)
        offset += max(4, (length + 3) & ~3)
    return None
