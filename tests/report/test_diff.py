"""What a step brought: ratios with their intervals, judged against the promise."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import jsonschema
import pytest
import samples
import samples_plan

from mlscale.measure import Measurement, exact
from mlscale.model.speedup import SpeedUp
from mlscale.report import json as report_json
from mlscale.report.diff import diff_of, ratio
from mlscale.report.document_diff import headline
from mlscale.report.formats import render
from mlscale.report.report import Report


def rated(report: Report, value: float, low: float, high: float) -> Report:
    rate = Measurement(value, "samples/s", low, high, "counter")
    return replace(report, measurements={**report.measurements, "throughput": rate})


def promising(report: Report, gain: SpeedUp | None) -> Report:
    return replace(report, next_step=replace(report.next_step, expected_speedup=gain))


@pytest.mark.parametrize(
    ("before", "after", "promise", "kept"),
    [
        ((100, 98, 102), (183, 180, 186), SpeedUp(1.83, 1.71, 1.95), "kept"),
        ((100, 98, 102), (168, 165, 171), SpeedUp(1.83, 1.71, 1.95), "kept"),  # the intervals meet
        ((100, 98, 102), (120, 118, 122), SpeedUp(1.83, 1.71, 1.95), "less"),
        ((100, 98, 102), (250, 245, 255), SpeedUp(1.83, 1.71, 1.95), "more"),
        ((100, 98, 102), (250, 245, 255), None, "no promise"),
        ((0, 0, 0), (250, 245, 255), SpeedUp(1.83, 1.71, 1.95), "not measured"),
    ],
)
def test_the_promise_is_judged_by_the_intervals(
    before: tuple[float, float, float], after: tuple[float, float, float], promise: SpeedUp | None, kept: str
) -> None:
    base = samples.workers_report()
    diff = diff_of(promising(rated(base, *before), promise), rated(base, *after))
    assert diff.kept == kept
    said = headline(diff)
    if kept in ("less", "more"):
        assert f"{kept} than the 1.83×" in said
    if diff.real is not None:
        assert f"{diff.real.value:.2f}×" in said
        assert diff.real.low <= diff.real.value <= diff.real.high


def test_the_interval_of_a_ratio_covers_nine_of_ten() -> None:
    """Two rates with normal errors of 3% and 2%: how often does the interval hold the true ratio?"""
    draw, held, tries = random.Random(5), 0, 4000
    for _ in range(tries):
        one, two = draw.gauss(100, 3), draw.gauss(150, 3)
        before = Measurement(one, "samples/s", one - 1.645 * 3, one + 1.645 * 3, "")
        after = Measurement(two, "samples/s", two - 1.645 * 3, two + 1.645 * 3, "")
        found = ratio(after, before)
        assert found is not None
        held += found.low <= 1.5 <= found.high
    assert 0.88 <= held / tries <= 0.92


def test_counted_figures_have_an_exact_ratio() -> None:
    assert ratio(exact(8, "cores", ""), exact(4, "cores", "")) == SpeedUp(2.0, 2.0, 2.0)
    assert ratio(exact(8, "cores", ""), exact(0, "cores", "")) is None


def test_steps_stand_in_for_samples_only_where_batches_are_alike() -> None:
    base = samples.workers_report()
    assert base.job.loader is not None
    steps = {name: figure for name, figure in base.measurements.items() if name != "throughput"}
    before = replace(base, measurements=steps)
    assert diff_of(before, before).real_of == "step_rate"
    larger = replace(before, job=replace(base.job, loader=replace(base.job.loader, batch_size=64)))
    assert diff_of(before, larger).kept == "not measured"


def test_what_changed_in_the_job_is_told() -> None:
    told = {change.what: (change.before, change.after) for change in samples_plan.comparison().changes}
    assert told["loader workers"] == ("2", "4")
    assert set(told) == {"command", "loader workers"}
    assert not diff_of(samples.workers_report(), samples.workers_report()).changes


def test_doubts_are_told() -> None:
    before, after = samples.workers_report(), samples_plan.after()
    assert not diff_of(before, after).warnings
    turned = " ".join(diff_of(after, before).warnings)
    assert "older than the first" in turned
    elsewhere = replace(
        after, host=replace(after.host, hostname="other"), job=replace(after.job, command="python x.py")
    )
    said = " ".join(diff_of(before, elsewhere).warnings)
    assert "different machines" in said and "different programs" in said
    assert "was it made?" in " ".join(diff_of(before, before).warnings)
    assert "no steady training" in " ".join(samples_plan.unmeasured_comparison().warnings)


def test_both_speed_ups_stand_on_the_first_screen() -> None:
    diff = samples_plan.comparison()
    for format in ("terminal", "markdown", "jira", "html"):
        text = render(diff, format, False, 100)
        top = text[: text.index("Verdict before and after")]
        assert "1.79×" in top and "1.74 – 1.84×" in top and "1.83×" in top and "1.71 – 1.95×" in top


@pytest.mark.parametrize("diff", [samples_plan.comparison(), samples_plan.unmeasured_comparison()])
def test_it_keeps_to_the_schema(diff: object) -> None:
    document = json.loads(render(diff, "json", False, 80))  # type: ignore[arg-type]
    jsonschema.Draft202012Validator(report_json.schema()).validate(document)
    assert document["kind"] == "diff"
    document["kept"] = "perhaps"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(report_json.schema()).validate(document)
