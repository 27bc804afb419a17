"""The judge of jobs that nobody chose: which verdicts are right is told by what the job counted and what remedies brought."""

from __future__ import annotations

import random
from typing import Any

from benchmarks.drawn import CIRCUMSTANCES, KINDS, NOTHING, Drawn, draw
from benchmarks.judge import acceptable, step_taken

GAIN = {"value": 1.5, "low": 1.4, "high": 1.6}


def test_a_remedy_that_brings_much_is_right_and_nothing_else() -> None:
    assert acceptable(0.5, 0.0, {"loader_workers": 1.8}) == {"loader_workers"}
    assert acceptable(0.5, 0.0, {"loader_workers": 1.0, "storage": 3.0}) == {"storage"}


def test_each_of_two_remedies_is_right() -> None:
    assert acceptable(0.5, 0.0, {"loader_workers": 1.4, "preprocessing": 1.3}) == {"loader_workers", "preprocessing"}


def test_where_nothing_helps_and_nothing_is_waited_for_it_is_the_gpu() -> None:
    assert acceptable(0.02, 0.01, {"loader_workers": 1.0}) == {"gpu"}


def test_where_nothing_helps_a_loop_that_waits_it_is_preparation() -> None:
    assert acceptable(0.5, 0.0, {"loader_workers": 1.0}) == {"preprocessing", "host"}


def test_ranks_that_lose_time_outside_data_and_step_exchange() -> None:
    assert "communication" in acceptable(0.1, 0.3, {"loader_workers": 1.0}, ranks=True)
    assert "communication" not in acceptable(0.1, 0.3, {"loader_workers": 1.0})
    assert "gpu" not in acceptable(0.1, 0.3, {"loader_workers": 1.0})


def report(verdict: str, *actions: str) -> dict[str, Any]:
    return {"verdict": {"bottleneck": verdict}, "next_step": {"actions": actions, "expected_speedup": GAIN}}


def test_a_promise_is_compared_with_the_step_that_it_is_made_for() -> None:
    beside = Drawn("images", 20, 480, 2, "company", 2)
    move, smaller = "Move the other programs elsewhere", "Store the images at 224x224 pixels"
    assert step_taken(beside, report("preprocessing", move, smaller)) == "without it"
    assert step_taken(beside, report("preprocessing", smaller, move)) == "224 pixels"
    assert step_taken(beside, report("gpu", "Nothing to cure.")) is None
    assert step_taken(beside, report("loader_workers", "DataLoader(..., num_workers=3)")) == "3 workers"


def test_draws_are_the_same_for_a_seed_and_of_every_kind() -> None:
    first, second = random.Random(5), random.Random(5)
    drawn = [draw(first) for _ in range(400)]
    assert drawn == [draw(second) for _ in range(400)]
    assert {one.kind for one in drawn} == set(KINDS)
    assert {one.circumstance for one in drawn} == {NOTHING, *CIRCUMSTANCES}
