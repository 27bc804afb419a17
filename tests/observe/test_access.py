"""What doctor tries, tried on real processes: as this user, as a stranger, and on a process that hides its memory."""

from __future__ import annotations

import ctypes
import json
import os
import time
from collections.abc import Callable

import pytest

from mlscale.observe import access, proc
from mlscale.observe.access import Access

NOBODY = 65534
PR_SET_DUMPABLE = 4
MEMORY, SYSCALL, IO, QUEUE = "Python stacks", "What threads wait in", "Bytes read", "Waits for a core"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def by_name(found: tuple[Access, ...]) -> dict[str, Access]:
    return {name: next(a for a in found if a.name.startswith(name)) for name in (MEMORY, SYSCALL, IO, QUEUE)}


def as_nobody(look: Callable[[], tuple[Access, ...]], *, dumpable: bool = True) -> tuple[Access, ...]:
    """What `look` gives in a process of the user nobody, with the memory open to that user or not."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)  # the kernel then hides the memory, until the process says otherwise or runs a program
            if dumpable:
                ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
            with open(write, "w") as file:
                json.dump([[a.name, a.state, a.says, a.opens] for a in look()], file)
        finally:
            os._exit(0)
    os.close(write)
    with open(read) as file:
        text = file.read()
    os.waitpid(child, 0)
    return tuple(Access(*fields) for fields in json.loads(text))


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
    found = as_nobody(access.probe)
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
    found = by_name(as_nobody(access.probe, dumpable=False))
    assert found[MEMORY].state == "shut" and "refuses" in found[MEMORY].says


def test_each_thing_that_is_not_open_says_why() -> None:
    for found in access.probe():
        assert found.says and found.state in ("open", "limited", "shut")
        assert found.state != "open" or not found.opens


def test_nothing_is_left_running() -> None:
    before = set(proc.children_of(os.getpid()))
    access.probe()
    assert set(proc.children_of(os.getpid())) == before
