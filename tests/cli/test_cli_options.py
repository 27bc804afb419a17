from __future__ import annotations

import pytest

from mlscale.cli import options
from mlscale.errors import UsageProblem


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("30s", 30), ("1m", 60), ("500ms", 0.5), ("1.5m", 90), (" 2 min ", 120), ("1h", 3600), ("45S", 45)],
)
def test_durations(text: str, seconds: float) -> None:
    assert options.duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "1d", "-1s", "1e3", "nan", "0s", "25h", "1m30s", "٣s"])
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(UsageProblem):
        options.duration(text)


def test_bottlenecks_come_repeated_or_as_a_list() -> None:
    assert options.bottlenecks(["gpu,host", " storage ", ""]) == {"gpu", "host", "storage"}
    assert options.bottlenecks([]) == frozenset()


def test_the_nearest_name() -> None:
    assert options.nearest("loader-workes", ["storage", "loader_workers"]) == "loader_workers"
    assert options.nearest("xyzzy", ["storage"]) is None
