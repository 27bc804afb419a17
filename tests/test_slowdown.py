"""What a job loses while it is watched, by its own log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.slowdown import ALONE_S, median_with_interval, slowdown


def log_of(folder: Path, alone_per_s: float, watched_per_s: float, began: float, ended: float) -> Path:
    """A job that makes ten samples a step, and is slower between two times."""
    t, samples, rows = 0.0, 0, []
    while t < ended + ALONE_S + 5:
        t += 10 / (watched_per_s if began <= t < ended else alone_per_s)
        samples += 10
        rows.append(json.dumps({"t": t, "samples": samples}))
    path = folder / "log"
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_job_is_slower_than_before_and_after(tmp_path: Path) -> None:
    log = log_of(tmp_path, 500.0, 490.0, began=20.0, ended=40.0)
    assert slowdown(log, 20.0, 40.0) == pytest.approx(0.02, abs=0.001)


def test_too_few_steps_tell_nothing(tmp_path: Path) -> None:
    assert slowdown(log_of(tmp_path, 4.0, 4.0, began=20.0, ended=40.0), 20.0, 40.0) is None


def test_the_medians_interval_holds_it() -> None:
    values = [number / 1000 for number in range(-50, 51)]
    assert median_with_interval(values) == "+0.00% (95 %: -1.00% to +1.10%, 101 runs)"
