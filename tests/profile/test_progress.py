"""Batches counted over epochs, each with an iterator of its own."""

from __future__ import annotations

import pytest

from mlscale.profile.timeline import Progress, progress_of, steady_span
from mlscale.recording import Counter, Fact, Recording

LENGTH, PACE = 1000, 500.0  # batches of an epoch, and a second


def counted(readings: list[tuple[float, int, int]]) -> float:
    """Batches that were counted from (time, number of the iterator, its count) of one data set."""
    events: list[Fact | Counter] = [
        Fact(0.0, "iterator", {"pid": 7, "number": number, "dataset": 1}) for number in {n for _, n, _ in readings}
    ]
    events += [Counter(t, 7, f"yielded#{number}", value) for t, number, value in readings]
    found = progress_of(Recording({}, (), tuple(events), "duration", readings[-1][0]), 7)
    assert found is not None
    return found.points[-1][1]


def epochs(count: int, every_s: float = 0.17) -> list[tuple[float, int, int]]:
    """Looks at a loop that goes on at its pace, from epoch to epoch."""
    looks = [tick * every_s for tick in range(round(count * LENGTH / PACE / every_s))]
    return [(t, int(PACE * t) // LENGTH, int(PACE * t) % LENGTH) for t in looks]


def test_the_last_batches_of_an_epoch_count_though_nobody_looked() -> None:
    readings = epochs(4)
    # The longest epoch that was seen ends up to a look's batches short.
    assert counted(readings) == pytest.approx(PACE * readings[-1][0], rel=0.05)


def test_a_count_that_was_read_too_late_is_no_epochs_length() -> None:
    """The first reading of all was of something else: it must not be taken for the length of each epoch."""
    readings = epochs(6, every_s=0.31)
    late = [(0.0, 0, 200_000), *readings[1:]]
    assert counted(late) == pytest.approx(counted(readings), rel=0.01)


def test_an_epoch_counts_once_though_its_iterator_was_taken_for_the_last_one() -> None:
    """It lives where the last one did, until its own number is read."""
    readings = epochs(4)
    turned = [i for i in range(1, len(readings)) if readings[i][1] != readings[i - 1][1]]
    confused = [(t, n - 1 if i in turned[1:] else n, value) for i, (t, n, value) in enumerate(readings)]
    assert counted(confused) == pytest.approx(counted(readings), rel=0.01)


def test_memory_that_an_iterator_had_is_used_again_by_one_that_is_farther_on() -> None:
    """Three places in turn. At first an epoch's iterator is taken for the last one's: for one look, or for six."""
    readings = epochs(12)
    placed = list(readings)
    for i in range(1, len(readings)):
        number = readings[i][1]
        if number > readings[i - 1][1] > 0:
            for late in range(i, i + (1, 1, 6, 6)[number % 4]):
                placed[late] = (readings[late][0], number - 1, readings[late][2])
    placed = [(t, number % 3, value) for t, number, value in placed]
    assert counted(placed) == pytest.approx(counted(readings), rel=0.01)


def test_two_iterators_over_one_data_set_may_take_turns() -> None:
    turns = [(tick * 0.1, tick % 2, tick // 2) for tick in range(200)]
    assert counted(turns) == pytest.approx(200, abs=2)


def test_short_epochs_that_are_seen_once_each_still_count() -> None:
    readings = [(t * 0.2, t, 90 + t % 3) for t in range(30)]
    assert counted(readings) > 29 * 90


@pytest.mark.parametrize(
    ("found_at_s", "count", "steady"),
    [
        (18.0, 137, (0.0, 20.0)),  # far on, though found at the end: it ran before, and was not seen in its loader
        (18.0, 1, None),  # it has just begun
        (1.0, 137, None),  # found early, and nothing came since: it hangs, or its steps are long
    ],
)
def test_one_count_tells_of_the_time_after_it_only(
    found_at_s: float, count: int, steady: tuple[float, float] | None
) -> None:
    progress = Progress(7, ((found_at_s, 0.0),), count, ())
    assert steady_span(progress, 0.0, 20.0, workers=2) == steady
