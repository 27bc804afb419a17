"""What the README and the docs say exists, and is shown as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mlscale.ladder.rungs import RUNGS
from mlscale.ladder.walk import EXPLAINABLE, explain
from mlscale.loaders.known import LOADERS

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    for name in re.findall(r"`((?:src|scripts|examples|benchmarks|tests)/[\w./-]+)`", page.read_text()):
        assert (ROOT / name).exists(), name
    assert "@@" not in page.read_text()


def test_the_readme_shows_the_ladder_as_it_is() -> None:
    shown = (ROOT / "README.md").read_text()
    places = [shown.index(f"  {rung.id}  ") for rung in RUNGS]
    assert places == sorted(places)


def test_the_readme_names_each_verdict() -> None:
    text = (ROOT / "README.md").read_text()
    for name in EXPLAINABLE:
        if name not in {rung.id for rung in RUNGS}:
            assert f"`{name}`" in text


@pytest.mark.parametrize("name", EXPLAINABLE)
def test_each_rung_and_rule_cites_and_sources(name: str) -> None:
    told = explain(name)
    assert "White paper" in told.citation
    assert told.question.endswith("?")
    assert told.why
    assert told.advice
    assert all(source for _, _, source in told.thresholds)


def test_loaders_are_distinct() -> None:
    assert len({kind.id for kind in LOADERS}) == len(LOADERS)
    assert all(kind.waits for kind in LOADERS)
