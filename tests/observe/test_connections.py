"""How far an answer is, asked of the kernel about real connections."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator

import pytest

from mlscale.observe import connections
from mlscale.observe.connections import Connection, Connections


@contextlib.contextmanager
def pair(family: int = socket.AF_INET) -> Iterator[tuple[socket.socket, socket.socket, str]]:
    """A client, its server, and the client's inode."""
    with socket.socket(family) as listener:
        listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        listener.listen()
        with socket.socket(family) as client:
            client.connect(listener.getsockname())
            server, _ = listener.accept()
            with server:
                yield client, server, str(os.fstat(client.fileno()).st_ino)


def now(inode: str) -> Connection:
    found = Connections().of(inode)
    assert found is not None
    return found


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_late_answer_and_one_on_its_way(family: int) -> None:
    with pair(family) as (client, server, inode):
        server.sendall(b"the last answer")
        client.recv(100)
        time.sleep(0.05)
        client.sendall(b"more")
        time.sleep(0.06)
        late = now(inode)
        assert late.received_ms > late.sent_ms >= 40  # nothing came since it was asked for
        assert late.received_bytes == 15
        server.sendall(b"some of it")
        coming = now(inode)
        assert coming.received_ms < coming.sent_ms / 2
        assert coming.received_bytes == 25
        assert coming.round_trip_s < 0.01


def test_more_of_an_answer_a_moment_later(monkeypatch: pytest.MonkeyPatch) -> None:
    with pair() as (client, server, inode):
        client.sendall(b"more")
        time.sleep(0.05)
        asked = Connections()
        late = asked.of(inode)
        assert late is not None
        assert asked.gained(inode, late, lambda: True)[0] is None  # nothing is on its way yet
        server.sendall(b"some of it")
        asked = Connections()
        coming = asked.of(inode)
        assert coming is not None
        assert asked.gained(inode, coming, lambda: True)[0] == 0
        assert asked.gained(inode, coming, lambda: True)[0] is None  # too soon again
        asked = Connections()
        assert asked.gained(inode, coming, lambda: False)[0] is None  # the thread does not wait for it any more
        with monkeypatch.context() as patched:
            patched.setattr(connections.time, "sleep", lambda _: server.sendall(b"and more"))
            assert Connections().gained(inode, coming, lambda: True)[0] == 8


def test_a_young_answer_is_looked_at_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is complete within some milliseconds would be at its end after five."""
    slept: list[float] = []
    with pair() as (_, _, inode):
        monkeypatch.setattr(connections.time, "sleep", slept.append)
        for sent_ms in (4, 40):
            Connections().gained(inode, Connection(sent_ms, 0, 1e-4, 0), lambda: True)
    assert slept == [0.001, 0.005]


def test_the_next_request_is_another_answer() -> None:
    with pair() as (client, server, inode):
        client.sendall(b"more")
        time.sleep(0.05)
        server.sendall(b"all of it")
        asked = Connections()
        coming = asked.of(inode)
        assert coming is not None
        client.sendall(b"next")
        server.sendall(b"header")
        assert asked.gained(inode, coming, lambda: True)[0] is None


def test_what_is_no_connection_is_not_told() -> None:
    with socket.socket() as alone, pair() as (client, _, inode):
        asked = Connections()
        assert asked.of(str(os.fstat(alone.fileno()).st_ino)) is None
        assert asked.of("1") is None
        client.close()
        assert Connections().of(inode) is None


def test_a_connection_that_closed_meanwhile_is_not_told() -> None:
    asked = Connections()
    with pair() as (_, _, inode):
        assert asked.of(inode) is not None
    time.sleep(0.3)
    assert asked.of(inode) is None


def test_the_kernel_is_not_asked_all_the_time() -> None:
    asked = Connections()
    with pair() as (_, _, inode):
        answers = [asked.of(inode) for _ in range(50)]
    assert answers[0] is not None
    assert answers.count(None) > 40


def test_a_kernel_that_refuses_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def refuse(*arguments: object) -> Iterator[bytes]:
        calls.append(arguments)
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(connections, "_ask", refuse)
    asked = Connections()
    assert [asked.of("7"), asked.of("7")] == [None, None]
    assert len(calls) == 1


def test_a_kernel_that_was_late_once_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: object) -> Iterator[bytes]:
        raise TimeoutError

    asked = Connections()
    with pair() as (_, _, inode):
        with monkeypatch.context() as patched:
            patched.setattr(connections, "_ask", late)
            assert asked.of(inode) is None
        time.sleep(0.5)
        assert asked.of(inode) is not None


@pytest.mark.parametrize("cut", [0, 4, 60, 75, 200])
def test_an_answer_that_is_cut_short_tells_nothing(monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    """As from a kernel that is older, or another one."""
    with pair() as (_, _, inode):
        whole = connections._ask
        monkeypatch.setattr(connections, "_ask", lambda *given: (message[:cut] for message in whole(*given)))
        assert Connections().of(inode) is None
