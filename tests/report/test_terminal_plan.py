"""Recommendations and comparisons in a terminal: they fit, and say what matters."""

from __future__ import annotations

import re
from dataclasses import replace

import hostile
import pytest
import samples_plan
from rich.cells import cell_len
from test_markdown import KINDS

from mlscale.report.charts import Frontier, Point
from mlscale.report.charts_text import chart_lines
from mlscale.report.document import Picture, document_of
from mlscale.report.formats import render

PLANS = {name: KINDS[name] for name in ("plan", "no plan", "diff", "diff without a rate", "probe", "failed probe")}


@pytest.mark.parametrize("width", [40, 80, 120, 300])
@pytest.mark.parametrize("name", PLANS)
def test_it_fits(name: str, width: int) -> None:
    for report in (PLANS[name](), hostile.poisoned(PLANS[name]())):
        text = render(report, "terminal", False, width)  # type: ignore[arg-type]
        assert max(map(cell_len, text.splitlines())) <= width
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)


def test_the_pick_comes_first() -> None:
    plan = samples_plan.plan()
    assert plan.pick is not None
    pick = plan.candidates[plan.pick]
    text = render(plan, "terminal", False, 100)
    top, _, rest = text.partition("The goal")
    for said in (pick.instance_type, "6.16 h", "5.36 h – 7.25 h", "$136", pick.file_system):
        assert said in " ".join(top.replace("│", " ").split())
    rows = [line for line in rest.partition("The candidates")[2].splitlines() if "×" in line]
    assert rows[0].split()[0] == "pick" and "h" in rows[0]
    assert "◆" in rest and "◆ the pick" in rest


def test_colours_are_only_for_terminals() -> None:
    plain, coloured = (render(samples_plan.plan(), "terminal", color, 80) for color in (False, True))
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured).split() == plain.split()


def test_nothing_that_meets_the_goal_is_said() -> None:
    text = render(samples_plan.no_plan(), "terminal", False, 100)
    assert "nothing yet: no way that was weighed meets the goal" in text


def test_a_goal_that_is_met_takes_nothing() -> None:
    plan = samples_plan.no_plan()
    plan = replace(plan, verdict=replace(plan.verdict, bottleneck="none", headline="It does so already."))
    assert "nothing: the goal is met as it is" in render(plan, "terminal", False, 100)


def frontier() -> Frontier:
    blocks = [block for section in document_of(samples_plan.plan()).sections for block in section.blocks]
    return next(b.chart for b in blocks if isinstance(b, Picture) and isinstance(b.chart, Frontier))


def test_the_frontier_is_what_nothing_beats() -> None:
    points = frontier().points
    for point in points:
        beaten = any(
            other.hours <= point.hours
            and other.usd <= point.usd
            and (other.hours, other.usd) != (point.hours, point.usd)
            for other in points
        )
        assert point.frontier != beaten, point


def test_the_text_chart_puts_cost_upwards_and_time_to_the_right() -> None:
    points = (
        Point("cheap", 40.0, 10.0, 40, 40, "cheapest"),
        Point("fast", 2.0, 400.0, 2, 2, "fastest"),
        Point("mid", 9.0, 60.0, 9, 9, "pick"),
    )
    lines = chart_lines(Frontier("", "", points), 70)
    place = {
        mark: next(
            (y, line.index(mark))
            for y, line in enumerate(lines)
            if mark in line and "│" in line and (mark != "$" or line.rindex("$") > 10)
        )
        for mark in "»◆"
    }
    assert place["»"][0] < place["◆"][0] and place["»"][1] < place["◆"][1]
    assert lines[0].lstrip().startswith("$400") and "2 h" in lines[-2] and "40 h" in lines[-2]
    assert max(map(len, lines)) <= 70
