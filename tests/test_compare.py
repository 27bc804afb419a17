"""The comparison with other tools: their words are judged alike, and ours no more kindly."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from benchmarks.compare import TOOLS, judged, named, tables


def result(tool: str, said: str, cause: str, names: list[str]) -> dict[str, Any]:
    row = {"case": "a fault", "tool": tool, "cause": cause, "said": said, "names": names, "took_s": 20.0}
    return {**row, "samples_per_s": 98.0, "alone_samples_per_s": 100.0}


@pytest.mark.parametrize(
    ("names", "verdict"),
    [
        (["storage"], "right"),
        (["storage", "preprocessing", "loader_workers"], "not told apart"),
        (["preprocessing"], "wrong"),
        (["gpu"], "wrong"),
        ([], "nothing"),
    ],
)
def test_what_words_are_worth(names: list[str], verdict: str) -> None:
    assert judged(result("x", "", "storage", names)) == verdict


@pytest.mark.parametrize(
    ("tool", "said", "names"),
    [
        ("traceml", "Verdict: INPUT-BOUND (CRITICAL)", {"loader_workers", "storage", "preprocessing"}),
        ("traceml", "Verdict: COMPUTE-BOUND", {"gpu"}),
        ("gpuprof", "[HIGH] CPU pegged: workers are CPU-bound", {"preprocessing"}),
        ("datapath", "small-file I/O overhead (high)", {"storage"}),
        ("datapath", "no findings", {"gpu"}),
        ("datapath", "Data pipeline is the training bottleneck", {"loader_workers", "storage", "preprocessing"}),
        ("fournex", "input_bound: Increase DataLoader workers", {"loader_workers"}),
        ("ds_analyzer", "largest is fetch: preparation stall 3%, fetch stall 80%", {"storage"}),
        ("loadtune", "something else", set()),
    ],
)
def test_their_own_words(tool: str, said: str, names: set[str]) -> None:
    assert set(named(said, importlib.import_module(f"benchmarks.peers.with_{tool}").NAMES)) == names


def test_each_tool_says_how_the_job_has_to_change() -> None:
    assert all(importlib.import_module(f"benchmarks.peers.with_{tool}").CHANGE for tool in TOOLS)


def test_the_tables_hold_case_by_tool_and_what_it_costs() -> None:
    rows = [result("mlscale", "the disk", "storage", ["storage"]), result("traceml", "INPUT-BOUND", "storage", ["gpu"])]
    shown = tables(rows)
    assert "| a fault | right | wrong |" in shown
    assert "| mlscale | no | 1 of 1 | 20 s | +2.0% | the disk |" in shown
    assert "| traceml | two lines, started by it | 0 of 1 | 20 s | +2.0% | INPUT-BOUND |" in shown
