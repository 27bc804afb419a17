"""Other programs on the same cores: they are named, and to move them away comes first."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from mlscale.cli.diagnose import report_of
from mlscale.ladder.case import case_of
from mlscale.model.pipeline import throughput, with_workers
from mlscale.profile.build import build_profile
from mlscale.recording import Fact, Recording, read

RECORDED = read(Path(__file__).parent.parent / "recordings" / "beside_another_program.mlscale")


def unnamed() -> Recording:
    """The same job where nobody could be named, as in a container that sees its own processes only."""
    kept = tuple(event for event in RECORDED.events if not (isinstance(event, Fact) and event.name == "beside"))
    return dataclasses.replace(RECORDED, events=kept)


def test_the_headline_does_not_call_cores_full_that_others_use() -> None:
    headline = report_of(RECORDED).verdict.headline
    assert "that other programs leave of 2" in headline
    assert "fills the 2 cores" not in headline


def test_the_first_action_names_the_programs() -> None:
    (program,) = build_profile(RECORDED).cpu.programs  # type: ignore[union-attr]
    step = report_of(RECORDED).next_step
    assert step.rung == "trim_preprocessing"
    assert f"{program.name}, pid {program.pid}" in step.actions[0]
    assert 0.8 < program.cores <= 1.0


def test_fewer_workers_are_no_advice_while_others_take_the_cores() -> None:
    """One worker is as fast as two only as long as the other program stays."""
    assert not any("num_workers=1" in action for action in report_of(RECORDED).next_step.actions)


def test_without_names_the_advice_is_the_same() -> None:
    named, step = report_of(RECORDED).next_step, report_of(unnamed()).next_step
    assert step.actions[0].startswith("Move the other programs elsewhere: they use ")
    assert step.expected_speedup == named.expected_speedup


def test_a_pinned_job_has_no_company() -> None:
    """What other programs do on other cores takes none from it."""
    profile = build_profile(RECORDED)
    assert profile.cpu is not None
    assert case_of(profile).company > 0.8
    pinned = dataclasses.replace(profile.cpu, limit_source="affinity", limit_cores=1.0)
    assert case_of(dataclasses.replace(profile, cpu=pinned)).company == 0.0


TWO = read(Path(__file__).parent.parent / "recordings" / "one_worker_beside_two_programs.mlscale")


def with_groups(own: str | None, other: str | None) -> Recording:
    """Audio with one worker beside two programs, as the kernel groups them."""

    def grouped(event: Fact) -> Fact:
        programs = [{**program, "group": other} for program in event.values["programs"]]
        return event._replace(values={"programs": programs, "group": own})

    events = (grouped(e) if isinstance(e, Fact) and e.name == "beside" else e for e in TWO.events)
    return dataclasses.replace(TWO, events=tuple(events))


def test_more_workers_win_no_cores_from_another_session() -> None:
    """Autogroups share the cores evenly, however many threads want them. With two workers, that job was measured 0.97
    times as fast once, and 1.26 times once, as its threads happened to be placed."""

    def most(recording: Recording) -> float:
        known = case_of(build_profile(recording)).known
        assert known is not None
        return throughput(with_workers(known.pipeline, 8)) / throughput(known.pipeline)

    alike, apart, unknown = most(with_groups("/a", "/a")), most(with_groups("/a", "/b")), most(with_groups(None, None))
    assert alike == unknown > 1.2
    assert apart < 1.1
    gain = case_of(build_profile(TWO)).more_workers
    assert gain is not None and gain.low <= 1.0 <= gain.value < 1.1 < gain.high


def test_moving_two_programs_away() -> None:
    """Without them, the job was measured 1.19 and 1.22 times as fast; by the time that its worker waited for a core it would
    be 1.38."""
    gain = report_of(TWO).next_step.expected_speedup
    assert gain is not None
    assert 1.19 <= gain.value <= 1.32
