"""What each format makes of recorded runs, to the letter."""

from __future__ import annotations

import golden
import pytest


@pytest.mark.parametrize("file", golden.FILES)
def test_the_golden_file_is_what_is_rendered(file: str) -> None:
    path = golden.GOLDEN / file
    assert path.exists(), f"{file} is missing: python -m tests.report.golden --update"
    was, now = path.read_text("utf-8").splitlines(), golden.text_of(file).splitlines()
    first = next((i for i, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), min(len(was), len(now)))
    assert was == now, (
        f"{file}, line {first + 1}:\n- {was[first : first + 1]}\n+ {now[first : first + 1]}\n"
        "If this is meant: python -m tests.report.golden --update, and look at the difference."
    )


def test_no_golden_file_is_left_over() -> None:
    assert {path.name for path in golden.GOLDEN.iterdir()} == set(golden.FILES)
