"""What doctor tries, tried on real processes: as this user, as a stranger, and on a process that hides its memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from mlscale.observe import access, proc
from mlscale.observe.access import Access

NOBODY = 65534
MEMORY, SYSCALL, IO, QUEUE = "Python stacks", "What threads wait in", "Bytes read", "Waits for a core"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def by_name(found: tuple[Access, ...]) -> dict[str, Access]:
    return {name: next(a for a in found if a.name.startswith(name)) for name in (MEMORY, SYSCALL, IO, QUEUE)}


def as_nobody(look: Callable[[], tuple[Access, ...]]) -> tuple[Access, ...]:
    """What `look` gives in a fork that became the user nobody. The kernel hides the memory of such a process."""
    look()  # imports what it needs while this is root: Python itself may lie where nobody may read
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            with open(write, "w") as file:
                json.dump([[a.name, a.state, a.says, a.opens] for a in look()], file)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    os.close(write)
    with open(read) as file:
        text = file.read()
    os.waitpid(child, 0)
    return tuple(Access(*fields) for fields in json.loads(text))


def probed_by_nobody() -> tuple[Access, ...]:
    """probe() in a Python that the user nobody started, by any Python here that nobody may read."""
    code = "import json; from mlscale.observe import access as a; print(json.dumps([list(vars(x).values()) for x in a.probe()]))"
    source = str(Path(access.__file__).parents[2])
    for python in (sys.executable, "/usr/bin/python3"):
        done = (
            subprocess.run(
                [python, "-c", code],
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                env={"PYTHONPATH": source},
                cwd="/",
                capture_output=True,
                text=True,
                check=False,
            )
            if os.path.exists(python) and readable_by_all(os.path.realpath(python))
            else None
        )
        if done is not None:
            assert done.returncode == 0, done.stderr
            return tuple(Access(*fields) for fields in json.loads(done.stdout))
    pytest.skip("no Python here may be read by the user nobody")


def readable_by_all(path: str) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in Path(path).parents)


def test_a_process_of_ones_own_is_open() -> None:
    with access.subject(orphan=False) as pid:
        found = by_name(access.process_access(pid))
    assert {name: a.state for name, a in found.items()} == dict.fromkeys(found, "open")


def test_an_orphan_is_no_child_and_ends_with_the_probe() -> None:
    with access.subject(orphan=True) as pid:
        assert proc.stat(pid).parent != os.getpid()
        assert by_name(access.process_access(pid))[QUEUE].state == "open"
    for _ in range(200):
        if not proc.alive(pid):
            break
        time.sleep(0.01)
    assert not proc.alive(pid)


@needs_root
def test_a_user_sees_its_own_processes() -> None:
    found = probed_by_nobody()
    assert all(a.state == "open" for a in by_name(found).values()), found
    others = next(a for a in found if a.name == "Jobs of other users")
    assert others.state == "limited" and "sudo" in others.opens


@needs_root
def test_another_users_process_is_shut_and_it_says_how_to_open_it() -> None:
    with access.subject(orphan=False) as pid:
        found = by_name(as_nobody(lambda: access.process_access(pid)))
    assert [found[name].state for name in (MEMORY, SYSCALL, IO)] == ["shut"] * 3
    assert all("sudo" in found[name].opens for name in (MEMORY, SYSCALL, IO))
    assert found[QUEUE].state == "open"  # anyone may read schedstat


@needs_root
def test_a_process_that_hides_its_memory_is_shut() -> None:
    found = by_name(as_nobody(access.probe))
    assert found[MEMORY].state == "shut" and "refuses" in found[MEMORY].says


def test_each_thing_that_is_not_open_says_why() -> None:
    for found in access.probe():
        assert found.says and found.state in ("open", "limited", "shut")
        assert found.state != "open" or not found.opens


def test_nothing_is_left_running() -> None:
    before = set(proc.children_of(os.getpid()))
    access.probe()
    assert set(proc.children_of(os.getpid())) == before
