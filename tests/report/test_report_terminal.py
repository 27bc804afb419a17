from __future__ import annotations

import re
from dataclasses import replace

import pytest
import samples
from rich.cells import cell_len

from mlscale.ladder.result import NextStep, Verdict
from mlscale.profile.job import FunctionShare
from mlscale.report import layout, terminal, words
from mlscale.report.build import build_report
from mlscale.report.report import Report
from mlscale.report.symbols import fit

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def flat(text: str) -> str:
    """The words of a report, whatever line they are on."""
    return " ".join(text.replace("│", " ").split())


@pytest.mark.parametrize("name", samples.ALL)
@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
def test_no_line_is_wider_than_it_may_be(name: str, width: int) -> None:
    lines = terminal.render(samples.ALL[name](), color=False, width=width).splitlines()
    assert max(map(cell_len, lines)) <= min(width, layout.WIDEST)
    assert not any(line != line.rstrip() for line in lines)


def test_the_first_lines_say_what_to_do_and_what_it_brings() -> None:
    top = flat(terminal.render(samples.workers_report(), color=False, width=80)[: 80 * 12])
    assert "The training loop waits for data 47% of the time" in top
    assert "high confidence (93%)" in top
    assert "Do this Start more workers: DataLoader(num_workers=4)" in top
    assert "It brings 1.83× (90% interval 1.71 – 1.95×)" in top


def test_sections_come_in_the_order_in_which_they_are_needed() -> None:
    text = terminal.render(samples.workers_report(), color=False, width=80)
    titles = re.findall(r"^(\S.*?) ─+$", text, re.MULTILINE)
    assert titles == [
        "The ladder",
        "Next step: loader_workers",
        "Evidence",
        "Why not the other rungs",
        "Also note",
        "Not measured",
        "How it was measured",
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_the_ladder_has_all_rungs_with_status_and_promise(width: int) -> None:
    report = samples.workers_report()
    text = terminal.render(report, color=False, width=width)
    table = text.split("The ladder", 1)[1].split("Next step", 1)[0]
    for rung in report.ladder:
        assert re.search(rf"^  \S  {rung.rung} +{rung.status} ", table, re.MULTILINE), rung.rung
        if rung.expected_speedup:
            assert f"{rung.expected_speedup.low:.2f} – {rung.expected_speedup.high:.2f}" in table


def test_nothing_of_a_reason_is_lost() -> None:
    """The table shows the first sentence; the rest comes in a later section."""
    report = samples.workers_report()
    said = flat(terminal.render(report, color=False, width=80))
    for rung in report.ladder:
        for sentence in rung.because.split(". "):
            assert set(sentence.rstrip(".").split()) <= set(said.replace(".", "").split()) | set(said.split())


def test_figures_carry_interval_and_source() -> None:
    text = terminal.render(samples.workers_report(), color=False, width=120)
    assert re.search(r"Throughput +431 samples/s +425 – 437 +batch numbers in the loader's memory", text)
    assert re.search(r"Preparation per sample +4\.55 ms +4\.4 – 4\.7 ", text)


def test_absent_figures_are_grouped_by_reason() -> None:
    text = flat(terminal.render(samples.workers_report(), color=False, width=80))
    assert f"GPU busy, GPU power: {samples.NO_GPU}" in text
    assert text.count(samples.NO_GPU) == 1


def test_colour_changes_nothing_but_colour() -> None:
    for build in samples.ALL.values():
        plain = terminal.render(build(), color=False, width=80)
        coloured = terminal.render(build(), color=True, width=80)
        assert "\x1b" not in plain
        assert "\x1b[" in coloured
        stripped = [line.rstrip() for line in ESCAPE.sub("", coloured).splitlines()]
        assert stripped == plain.splitlines()


def test_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = terminal.render(samples.workers_report(), color=True, width=80)
    for name, value in {"NO_COLOR": "1", "COLUMNS": "47", "TERM": "dumb", "FORCE_COLOR": "0"}.items():
        monkeypatch.setenv(name, value)
    assert terminal.render(samples.workers_report(), color=True, width=80) == before


def test_ascii_keeps_the_columns() -> None:
    for build in samples.ALL.values():
        text = terminal.render(build(), color=False, width=80)
        plain = fit(text, "ascii")
        plain.encode("ascii")
        assert [len(line) for line in plain.splitlines()] == [len(line) for line in text.splitlines()]
        assert "?" not in plain.replace("  ?  ", "")  # each symbol has its stand-in; "?" alone marks an unknown rung


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("ascii", "5 us e > 2x"),
        ("latin-1", "5 µs é > 2×"),
        ("utf-8", "5 µs é → 2×"),
        (None, "5 us e > 2x"),
        ("no-such", "5 us e > 2x"),
    ],
)
def test_only_what_an_encoding_lacks_is_replaced(encoding: str | None, expected: str) -> None:
    assert fit("5 µs é → 2×", encoding) == expected


def hostile_report() -> Report:
    evil = (
        "[red]x[/red] [/] [link=http://e.vil]y[/link] :boom: \x1b[31mred\x1b[0m \x1b]0;title\x07 \u202egnol\r\n"
        + "z" * 300
    )
    profile, diagnosis = samples.profile(), samples.diagnosis()
    assert profile.training and profile.workers and profile.job.loader
    functions = (FunctionShare(evil, evil, 3, "host", 0.4),)
    profile = replace(
        profile,
        job=replace(profile.job, command=evil, framework=evil, loader=replace(profile.job.loader, label=evil)),
        host=replace(profile.host, hostname=evil, gpu_missing_reason=evil, accelerator_simulated=False),
        training=replace(profile.training, functions=functions),
        workers=replace(profile.workers, functions=functions),
        stores=(replace(profile.stores[0], where=evil, device=evil, why=evil),),
        warnings=(evil,),
    )
    verdict = Verdict("host", evil, 0.9, (evil,))
    step = NextStep(None, (evil,))
    ladder = tuple(replace(rung, because=evil, actions=(evil,), citation=evil) for rung in diagnosis.ladder)
    return build_report(profile, replace(diagnosis, verdict=verdict, next_step=step, ladder=ladder), samples.ENDED_AT)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_text_from_the_job_is_text(width: int) -> None:
    text = terminal.render(hostile_report(), color=False, width=width)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert "[red]x[/red]" in text and ":boom:" in text
    assert max(map(cell_len, text.splitlines())) <= width
    coloured = terminal.render(hostile_report(), color=True, width=width)
    assert "\x1b]" not in ESCAPE.sub("", coloured) and "e.vil\x1b" not in coloured


def test_a_code_fix_is_no_rung() -> None:
    text = terminal.render(hostile_report(), color=False, width=80)
    assert "Next step: a change in the job" in text


def test_the_rank_that_lags_is_marked() -> None:
    text = terminal.render(samples.gpu_report(), color=False, width=80)
    marked = [line.split() for line in text.splitlines() if line.endswith("waits least")]
    assert [words[:2] for words in marked] == [["1", "101"]]


def test_an_interval_says_its_unit_once() -> None:
    from mlscale.measure import Measurement, exact

    assert words.interval(Measurement(25.1e6, "bytes/s", 24e6, 26e6, "")) == "24 – 26"
    assert words.interval(Measurement(1.02e6, "bytes/s", 0.9e6, 1.1e6, "")) == "900 kB/s – 1.1 MB/s"
    assert words.interval(exact(8, "cores", "")) == ""


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0042, "s", "4.2 ms"),
        (9e-7, "s", "0.9 µs"),
        (0.00455, "s/sample", "4.55 ms/sample"),
        (0.004, "fraction", "0.4%"),
        (0.0, "fraction", "0%"),
        (0.00001, "fraction", "<0.1%"),
        (431.24, "samples/s", "431 samples/s"),
        (13.48, "1/s", "13.5/s"),
        (42.3 * 2**30, "bytes", "45.4 GB"),
        (999999, "bytes", "1 MB"),
        (123456.0, "1/s", "123456/s"),
    ],
)
def test_quantities_read_well(value: float, unit: str, text: str) -> None:
    assert words.quantity(value, unit) == text


def test_taking_batches_over_is_shown_apart_from_waiting() -> None:
    profile = samples.profile()
    assert profile.training
    profile = replace(profile, training=replace(profile.training, data=0.47, receive=0.12))
    text = terminal.render(build_report(profile, samples.diagnosis(), samples.ENDED_AT), color=False, width=80)
    assert re.search(r"waits for data +35% ", text) and re.search(r"takes batches over +12% ", text)
