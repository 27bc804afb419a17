"""What a blocked thread waits on: real processes, each blocked in one known way."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mlscale.observe import proc, storage
from mlscale.observe.peers import Peers
from mlscale.observe.python.reader import Interpreter
from mlscale.observe.waits import Waits


def wait_of(code: str, *arguments: str, give: Callable[[], object] | None = None) -> tuple[str, str | None]:
    """State and target of the main thread of a Python that runs `code`."""
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        if give is not None:
            give()
        time.sleep(0.3)
        files = proc.ThreadFiles(process.pid, process.pid)
        state, call = files.state_and_call(files.wait())
        interpreter = Interpreter(process.pid)
        return state, Waits(process.pid).target(call, interpreter.read) if call else None
    finally:
        process.kill()
        process.wait()


def test_a_sleep() -> None:
    assert wait_of("import time; print('ready', flush=True); time.sleep(60)") == ("S", "sleep")


def test_a_lock() -> None:
    code = "import threading; l = threading.Lock(); l.acquire(); print('ready', flush=True); l.acquire()"
    assert wait_of(code) == ("S", "futex")


def test_a_pipe() -> None:
    assert wait_of("import os; r, w = os.pipe(); print('ready', flush=True); os.read(r, 1)") == ("S", "pipe")


def test_a_pipe_through_poll_and_epoll() -> None:
    code = (
        "import os, select; r, w = os.pipe(); p = select.{0}(); p.register(r, 1); print('ready', flush=True); p.poll()"
    )
    assert wait_of(code.format("poll")) == ("S", "pipe")
    assert wait_of(code.format("epoll")) == ("S", "pipe")
    code = "import os, select; r, w = os.pipe(); print('ready', flush=True); select.select([r], [], [])"
    assert wait_of(code) == ("S", "pipe")


@pytest.mark.parametrize("timeout", ["None", "60"])
def test_a_socket_names_its_peer(timeout: str) -> None:
    """With a timeout, Python polls before it receives."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = (
            f"import socket; s = socket.create_connection(('127.0.0.1', {port}), timeout={timeout});"
            "print('ready', flush=True); s.recv(1)"
        )
        assert wait_of(code) == ("S", f"socket:127.0.0.1:{port}")


def test_a_connection_that_is_being_made_is_a_wait_for_a_socket() -> None:
    """A listener whose backlog is full leaves the next one connecting: in no table as established."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            code = (
                f"import socket; print('ready', flush=True); s = socket.create_connection(('127.0.0.1', {port}));"
                f"t = socket.create_connection(('127.0.0.1', {port})); t.recv(1)"
            )
            assert wait_of(code) == ("S", "socket:?")


def test_a_listener_waits_for_no_store() -> None:
    code = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); s.settimeout({}); print('ready', flush=True); "
        "s.accept()"
    )
    assert wait_of(code.format("None")) == ("S", "unix")
    assert wait_of(code.format("60")) == ("S", "unix")


def test_a_socket_of_this_machines_own_processes_reads_no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's workers hand each batch over through a new one."""

    def never(pid: int, table: str) -> dict[str, str | None]:
        raise AssertionError("the table was read")

    monkeypatch.setattr("mlscale.observe.storage.tcp_peers", never)
    code = "import socket; a, b = socket.socketpair(); print('ready', flush=True); a.recv(1)"
    assert wait_of(code) == ("S", "unix")


def test_the_table_is_read_for_a_new_connection_and_not_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    real = storage.tcp_peers

    def counted(pid: int, table: str) -> dict[str, str | None]:
        reads.append(table)
        return real(pid, table)

    monkeypatch.setattr(storage, "tcp_peers", counted)
    peers = Peers()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as first:
        name = f"127.0.0.1:{server.getsockname()[1]}"
        found = [peers.of(os.getpid(), first.fileno(), str(os.fstat(first.fileno()).st_ino)) for _ in range(3)]
        assert (found, reads) == ([name] * 3, ["tcp"])
        with socket.create_connection(server.getsockname()) as second:
            inode = str(os.fstat(second.fileno()).st_ino)
            assert peers.of(os.getpid(), second.fileno(), inode) == name  # as a guess: the last one
            assert reads == ["tcp"]


def test_a_file_that_is_looked_up_names_its_mount(tmp_path: Path) -> None:
    """Opening a FIFO blocks as a look-up on a remote store does."""
    os.mkfifo(tmp_path / "fifo")
    code = "import sys; print('ready', flush=True); open(sys.argv[1])"
    state, target = wait_of(code, str(tmp_path / "fifo"))
    assert state == "S"
    assert target is not None
    assert target.startswith("file:/")


def test_another_child() -> None:
    code = "import subprocess; p = subprocess.Popen(['sleep', '5']); print('ready', flush=True); p.wait()"
    assert wait_of(code) == ("S", "child")


def test_a_running_thread_waits_for_nothing() -> None:
    assert wait_of("print('ready', flush=True)\nwhile True: pass") == ("R", None)


def test_a_process_that_is_gone() -> None:
    process = subprocess.Popen(["sleep", "60"])
    files = proc.ThreadFiles(process.pid, process.pid)
    process.kill()
    process.wait()
    with pytest.raises(ProcessLookupError):
        files.state()
    assert proc.threads_of(process.pid) == []
    assert proc.io_counters(process.pid) is None
    assert not proc.alive(process.pid)
