"""Jira's wiki markup: nothing that came from the job is markup. There is no parser of it here: its rules are in the test."""

from __future__ import annotations

import html
import re

import hostile
import pytest
from test_markdown import KINDS, many_gpus

from mlscale.report import jira
from mlscale.report.formats import render

ESCAPED = re.compile(r"\\([{}\[\]|*_~^+\-!?#])")


def of(report: object) -> str:
    return render(report, "jira", False, 80)  # type: ignore[arg-type]


def shown(source: str) -> str:
    """Escaped text as Jira shows it: a backslash before markup goes, entities are characters."""
    return html.unescape(ESCAPED.sub(r"\1", source))


@pytest.mark.parametrize(
    "text",
    [
        hostile.EVIL,
        "h1. head",
        "bq. quote",
        "# item",
        "* item",
        "- item",
        "----",
        "a\\b \\{",
        "(x) (on) :) ;)",
        "a_b -x- 1-2",
    ],
)
def test_what_is_escaped_reads_as_it_was(text: str) -> None:
    assert shown(jira.text_of(text)) == text


@pytest.mark.parametrize(
    ("text", "markup"),
    [
        ("{code}", r"(?<!\\)[{}]"),
        ("[~user] [x|http://e.vil]", r"(?<!\\)[\[\]|]|://"),
        ("*b* _i_ -d- +i+ ^u^ ~l~", r"(?<!\\)[*_^~+-](?=\w)"),
        ("!i.png! ??c?? {{m}}", r"(?<!\\)(!(?=\S)|\?|\{)"),
        ("PROJ-12", r"[A-Z]-\d"),
        ("@user <b> &lt;", r"@|<|&lt;(?!b)(?!lt)"),
        ("(x) (!) :)", r"\((?=[x!])|:\)"),
        ("h1. x", r"^h1\."),
        ("a -- b --- c", r"(?<!\\)--"),
    ],
)
def test_markup_is_escaped(text: str, markup: str) -> None:
    assert not re.search(markup, jira.text_of(text)), jira.text_of(text)


@pytest.mark.parametrize("name", KINDS)
def test_a_hostile_report_keeps_its_shape(name: str) -> None:
    text = of(hostile.poisoned(KINDS[name]()))
    outside = re.sub(r"\{noformat\}\n.*?\n\{noformat\}", "", text, flags=re.DOTALL)
    assert text.count("{noformat}") % 2 == 0 and "{noformat}" not in outside
    macros = re.findall(r"(?<!\\)\{(?!\{)([^}{]*)(?<!\\)\}", outside.replace("{{", "").replace("}}", ""))
    assert set(macros) <= {"color:#707070", "color"}
    assert "<" not in outside and "@" not in outside and not re.search(r"(?<!\\)\](?!\\?\[)", outside)
    for line in outside.split("\n"):
        assert not re.match(r"(h1\.|bq\.|----)", line)
        if line.startswith("|"):
            assert re.search(r"(?<!\\)\|\|?$", line), line  # each row is closed
    tables = [part.split("\n") for part in re.findall(r"(?:^\|\|.*\n)(?:\|[^|].*\n)+", outside, re.MULTILINE)]
    for head, *rows in tables:
        width = len(re.findall(r"(?<!\\)\|\|", head)) - 1
        for row in filter(None, rows):
            assert len(re.findall(r"(?<!\\)\|", row)) - 1 == width, row


@pytest.mark.parametrize("evil", [False, True])
def test_it_fits_a_description_however_many_gpus(evil: bool) -> None:
    text = of(many_gpus(4096, evil))
    assert len(text) < 32_767
    assert text.startswith("h2. ") and "||Verdict|" in text
