"""Late answers and slow ones."""

from __future__ import annotations

import dataclasses

import pytest

from mlscale.profile.answers import Answers, answers_of, judge, line_busy, total_bytes_per_s
from mlscale.recording import ConnectionSample


def looks(
    waits: list[tuple[int, int]], bytes_per_s: float = 1e6, connections: int = 2, gained: int | None = 10_000
) -> list[ConnectionSample]:
    """Ten a second, at each connection in turn: milliseconds since the request, and since data came in. `gained`: bytes that
    came a moment later, of each answer that was on its way."""
    return [
        ConnectionSample(
            t := number / 10,
            100 + number % connections,
            7,
            "socket:10.0.0.1:80",
            *wait,
            0.0001,
            round(t * bytes_per_s),
            gained if 2 * wait[1] < wait[0] else None,
        )
        for number, wait in enumerate(waits)
    ]


def test_a_first_byte_that_is_waited_for_is_latency() -> None:
    found = answers_of(looks([(8, 9), (12, 16), (4, 4), (20, 2000)] * 5))
    assert found is not None
    assert found.coming_in == 0
    at_ceiling, why = judge(found, 2.0, 4.0)
    assert at_ceiling is None
    assert "100% of the time for the first byte" in why
    assert line_busy(found, 4.0, 4.0) == 0


def test_a_header_that_came_at_once_is_no_answer() -> None:
    found = answers_of(looks([(16, 16), (20, 19), (40, 39)] * 6))
    assert found is not None
    assert found.coming_in == 0


def test_answers_that_trickle_in_to_several_threads_share_a_line() -> None:
    found = answers_of(looks([(16, 0), (20, 4), (32, 8), (8, 8)] * 8, bytes_per_s=2e6))
    assert found is not None
    assert found.coming_in == pytest.approx(0.75)
    assert found.bytes_per_s == pytest.approx(2e6, rel=0.01)
    at_ceiling, why = judge(found, 4.0, 4.0)
    assert at_ceiling is True
    assert "2 MB/s to each" in why
    assert total_bytes_per_s(found, 4.0, 4.0) == pytest.approx(8e6, rel=0.01)


def test_a_connection_for_each_object_is_judged_by_how_fast_answers_trickle_in() -> None:
    """As urllib makes them: none is ever seen twice."""
    each = looks([(16, 0), (20, 4), (32, 8), (8, 8)] * 8, gained=4096)
    found = answers_of(sample._replace(inode=number) for number, sample in enumerate(each))
    assert found is not None
    assert found.bytes_per_s is None
    at_ceiling, why = judge(found, 3.0, 3.0)
    assert at_ceiling is True
    assert "0.819 MB/s to each" in why
    assert total_bytes_per_s(found, 3.0, 3.0) == pytest.approx(4096 / 0.005 * 0.75 * 3)


@pytest.mark.parametrize(("first_bytes", "full"), [(5, True), (8, True), (30, False)])
def test_the_first_byte_of_a_short_answer_waits_for_the_others_bytes(first_bytes: int, full: bool) -> None:
    """Four threads share a line: in half of the looks theirs is not on its way yet, and one of the others is."""
    waits = [(4, 0)] * 5 + [(4, 8)] * first_bytes
    found = answers_of(sample._replace(moment_s=0.001) for sample in looks(waits * 6, gained=8192))
    assert found is not None
    assert found.trickle_bytes_per_s == pytest.approx(8.192e6)
    assert judge(found, 4.0, 4.0)[0] is (True if full else None)
    assert judge(dataclasses.replace(found, trickle_bytes_per_s=None), 4.0, 4.0)[0] is None  # nobody saw it trickle


def test_answers_that_begin_and_stall_are_late() -> None:
    """A header that came a while after the request, and a body that waits for something else."""
    found = answers_of(looks([(16, 0), (20, 4), (32, 8), (8, 8)] * 8, bytes_per_s=0.5e6, gained=0))
    assert found is not None
    assert found.trickle_bytes_per_s == 0
    at_ceiling, why = judge(found, 4.0, 4.0)
    assert at_ceiling is None
    assert "stall" in why
    assert line_busy(found, 4.0, 4.0) == 0


def test_what_was_not_looked_at_twice_is_not_judged() -> None:
    found = answers_of(looks([(16, 0), (20, 4), (32, 8), (8, 8)] * 8, gained=None))
    assert found is not None
    assert found.trickle_bytes_per_s is None
    at_ceiling, why = judge(found, 4.0, 4.0)
    assert at_ceiling is None
    assert "could not be told" in why


@pytest.mark.parametrize(
    ("changed", "waiting"),
    [
        ({"trickle_bytes_per_s": 60e6}, 4.0),  # as much as one connection carries
        ({"round_trip_s": 0.08}, 4.0),  # far away: the window of each may be what holds it back
        ({"trickle_bytes_per_s": None}, 4.0),  # too few were looked at twice
        ({}, 1.0),  # a single one shares with nobody
    ],
)
def test_slow_answers_that_may_have_another_cause(changed: dict[str, float | None], waiting: float) -> None:
    seen = {
        "looks": 50,
        "coming_in": 0.9,
        "bytes_per_s": 2e6,
        "round_trip_s": 0.001,
        "trickle_bytes_per_s": 2e6,
        **changed,
    }
    at_ceiling, why = judge(Answers(**seen), waiting, waiting)  # type: ignore[arg-type]
    assert at_ceiling is None
    assert "already come in" in why


def test_few_looks_tell_nothing() -> None:
    assert answers_of(looks([(16, 0)] * 14)) is None
    assert answers_of(looks([(0, 0)] * 100)) is None  # younger than the kernel's clock can tell


def test_a_line_is_full_where_someone_always_receives() -> None:
    half = Answers(50, 0.5, 1e6, 0.001)
    assert line_busy(half, 1.0, 1.0) == pytest.approx(0.5)
    assert line_busy(half, 2.0, 2.0) == pytest.approx(0.75)
    assert line_busy(half, 30.0, 30.0) == pytest.approx(1.0)
    assert line_busy(half, 1.0, 2.0) == pytest.approx(1 - 0.75**2)  # two that compute half of the time
