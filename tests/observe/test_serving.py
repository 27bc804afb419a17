"""Who serves a job's data on its own machine, asked of the kernel about real servers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults import inject

from mlscale.observe import proc, serving, storage
from mlscale.observe.serving import MOST_SEARCHES, Place, Serving, servers

# Accepts two connections, answers, then computes.
SERVER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
one, _ = listener.accept()
two, _ = listener.accept()
one.sendall(b"x")
while True: pass
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[int, str]]:
    """A program that serves at a local port, its process and "address:port"."""
    script = tmp_path / "cache.py"
    script.write_text(SERVER)
    process = subprocess.Popen([sys.executable, str(script), "--token", "hunter2"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process.pid, f"127.0.0.1:{int(process.stdout.readline())}"
    process.kill()
    process.wait()


def connected(address: str) -> socket.socket:
    host, port = address.split(":")
    return socket.create_connection((host, int(port)))


def test_who_answers_at_a_local_port_and_what_it_computes(server: tuple[int, str]) -> None:
    pid, address = server
    found = Serving()
    assert found.cpu_s() is None
    with connected(address), connected(address) as second:
        second.settimeout(5)
        time.sleep(0.3)
        told = found.search([Place(f"socket:{address}")], (), os.getpid(), 1.0)
        assert [(one["target"], one["pid"]) for one in told] == [(f"socket:{address}", pid)]
        assert str(told[0]["name"]).endswith(" cache.py") and "hunter2" not in str(told)
        assert list(found.pids) == [pid]
        time.sleep(0.5)
        computed = found.cpu_s()
    assert computed is not None and 0.1 < computed < 1.0  # since it was found, not since it began


def test_what_a_server_used_is_not_lost_with_it(server: tuple[int, str]) -> None:
    pid, address = server
    found = Serving()
    with connected(address), connected(address):
        found.search([Place(f"socket:{address}")], (), os.getpid(), 1.0)
        time.sleep(0.3)
        before = found.cpu_s()
        os.kill(pid, 9)
        os.waitid(os.P_PID, pid, os.WEXITED)
    after = found.cpu_s()
    assert before is not None and after is not None and after >= before > 0


def test_a_store_elsewhere_has_no_server_here(server: tuple[int, str]) -> None:
    _, address = server
    elsewhere = Place(f"socket:192.0.2.7:{address.split(':')[1]}")  # the same port, of another machine
    assert servers([elsewhere], (), os.getpid()) == set()
    assert servers([Place("socket:?")], (), os.getpid()) == set()
    assert storage.tcp_ends(os.getpid(), {address}) == {}  # nobody is connected


def test_the_job_does_not_serve_itself(server: tuple[int, str]) -> None:
    pid, address = server
    with connected(address), connected(address):
        assert servers([Place(f"socket:{address}")], (pid,), os.getpid()) == set()


def test_few_searches_and_none_twice_for_a_place(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[list[str]] = []

    def looked(places: list[Place], job: object, reader: int) -> set[tuple[str, int]]:
        searched.append([place.target for place in places])
        return set()

    monkeypatch.setattr(serving, "servers", looked)
    found, places = Serving(), []
    for second in range(60):
        places.append(Place(f"socket:10.0.0.{second}:80"))
        found.search(places, (), 1, float(second))
    assert len(searched) == MOST_SEARCHES
    assert len({target for targets in searched for target in targets}) == sum(map(len, searched))


def test_a_search_that_takes_long_ends_and_the_next_one_comes_late(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(serving.time, "thread_time", lambda: next(clock) * serving.LONGEST_S * 0.6)
    monkeypatch.setattr(proc, "all_pids", lambda: [os.getpid()] * 100)
    assert len(list(serving._descriptors(lambda pid: True))) <= 2 * len(os.listdir("/proc/self/fd"))
    found = Serving()
    monkeypatch.setattr(serving, "servers", lambda places, job, reader: set())
    found.search([Place("socket:10.0.0.1:80")], (), 1, 0.0)
    assert found._next == pytest.approx(serving.LONGEST_S * 0.6 / serving.SHARE_OF_A_CORE)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts need root")
def test_the_daemon_of_a_fuse_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with inject.slow_mount(source, tmp_path / "mount", 1) as point:
        mount = storage.mount_of(str(point), storage.mounts(os.getpid()))
        assert mount is not None and mount.kind == "fuse"
        place = Place(f"file:{point}", mount)
        daemons = [pid for pid in proc.children_of(os.getpid()) if "slow_fuse" in str(proc.command_line(pid))]
        assert servers([place], (), os.getpid()) == {(place.target, daemons[0])}
        # Older kernels do not tell whose connection a descriptor is: the mount point in the command does.
        monkeypatch.setattr(serving, "_fuse_connection", lambda pid, fd: None)
        assert servers([place], (), os.getpid()) == {(place.target, daemons[0])}
        # Of another user's daemon no descriptor may be seen at all.
        listed = os.listdir

        def shut(path: str) -> list[str]:
            if str(path).endswith("/fd"):
                raise PermissionError(path)
            return listed(path)

        monkeypatch.setattr(os, "listdir", shut)
        assert servers([place], (), os.getpid()) == {(place.target, daemons[0])}


def test_of_several_daemons_that_tell_nothing_none_is_guessed() -> None:
    place = Place("file:/nowhere", storage.Mount("/nowhere", "fuse", "fuse.s3fs", "s3fs", "0:39"))
    assert serving._daemons(place, {1: None}) == [1]
    assert serving._daemons(place, {1: None, 2: None}) == []
    assert serving._daemons(place, {1: "39", 2: "40"}) == [1]
    assert serving._daemons(place, {2: "40"}) == []
