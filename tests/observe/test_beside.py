"""Other programs that take the cores are named, without their arguments."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlscale.observe import beside, machine


@pytest.fixture
def hog(tmp_path: Path) -> Iterator[int]:
    """A script that computes all the time, with a secret among its arguments."""
    script = tmp_path / "hog.py"
    script.write_text("while True: pass\n")
    process = subprocess.Popen([sys.executable, str(script), "--password", "hunter2"])
    yield process.pid
    process.kill()
    process.wait()


def watched(passed_over: tuple[int, ...], seconds: float = 1.5) -> list[dict[str, object]]:
    before, began = beside.cpu_by_process(passed_over), time.monotonic()
    time.sleep(seconds)
    return beside.busiest(before, beside.cpu_by_process(passed_over), time.monotonic() - began)


def test_a_busy_program_is_named_by_its_script_alone(hog: int) -> None:
    time.sleep(0.3)  # until it has become Python
    found = [program for program in watched(()) if program["pid"] == hog]
    assert len(found) == 1
    assert str(found[0]["name"]).endswith(" hog.py")
    assert "hunter2" not in str(found)
    assert 0.1 <= float(str(found[0]["cores"])) <= 1.1


def test_the_job_and_mlscale_itself_are_no_other_programs(hog: int) -> None:
    assert not {program["pid"] for program in watched((hog,))} & {hog, os.getpid()}


def test_what_ended_meanwhile_or_just_began_tells_nothing() -> None:
    assert beside.busiest({1: 5.0, 2: 5.0}, {2: 5.05, 3: 9.0}, 1.0) == []


def test_the_largest_come_first_and_few_are_named() -> None:
    now = {pid: float(pid) for pid in range(1, 9)}
    found = beside.busiest(dict.fromkeys(now, 0.0), now, 10.0)
    assert [program["pid"] for program in found] == [8, 7, 6]
    assert found[0]["cores"] == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["/usr/bin/python3", "/home/me/train.py", "--token", "x"], "python3 train.py"),
        (["python", "-m", "pytest", "-k", "secret"], "python -m pytest"),
        (["python", "-c", "import os"], "python"),
        (["/opt/app", "secret"], "app"),
        (["/opt/app --password=hunter2 serve"], "app"),  # retitled by itself: one text with all its arguments
    ],
)
def test_names(monkeypatch: pytest.MonkeyPatch, words: list[str], name: str) -> None:
    monkeypatch.setattr(beside.proc, "command_line", lambda _: words)
    assert beside.name_of(1) == name


@pytest.mark.parametrize("words", [[], [""], [" ", "x"]])
def test_a_program_without_words_has_a_name_too(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    """A thread of the kernel has none."""
    monkeypatch.setattr(beside.proc, "command_line", lambda _: words)
    assert beside.name_of(os.getpid()) not in ("", "?")


def test_a_session_of_its_own_is_another_group() -> None:
    """Where the kernel groups by session (sched_autogroup_enabled), and the cgroup is the root's."""
    own = beside.share_group(os.getpid())
    if own is None:
        pytest.skip("no autogroups here")
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as other, subprocess.Popen(["sleep", "60"]) as same:
        time.sleep(0.1)
        groups = beside.share_group(other.pid), beside.share_group(same.pid)
        other.kill()
        same.kill()
    assert groups[0] is not None and groups[0] != own
    assert groups[1] == own


def test_a_process_that_is_gone_has_no_group() -> None:
    assert beside.share_group(1 << 22) is None


def test_others_are_company_from_a_tenth_of_the_cores() -> None:
    cores = machine.logical_cpus()
    assert beside.is_company(machine_cpu_s=2.0 * (0.5 + 0.15 * cores), job_cpu_s=2.0 * 0.5, seconds=2.0)
    assert not beside.is_company(machine_cpu_s=2.0 * (0.5 + 0.05 * cores), job_cpu_s=2.0 * 0.5, seconds=2.0)
    assert not beside.is_company(machine_cpu_s=1.0, job_cpu_s=0.0, seconds=0.0)
    assert not beside.is_company(machine_cpu_s=0.0, job_cpu_s=1.0, seconds=2.0)  # one of its processes was new
