"""Markdown: read by a CommonMark parser, and by eye for what GitHub and GitLab add to it."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import golden
import hostile
import pytest
import samples
import samples_plan
from markdown_it import MarkdownIt

from mlscale.profile.job import Gpu, Rank
from mlscale.report import markdown
from mlscale.report.document import document_of
from mlscale.report.formats import render
from mlscale.report.report import Report

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
KINDS = {
    **samples.ALL,
    "plan": samples_plan.plan,
    "no plan": samples_plan.no_plan,
    "diff": samples_plan.comparison,
    "diff without a rate": samples_plan.unmeasured_comparison,
    "probe": samples_plan.probe,
    "failed probe": samples_plan.failed_probe,
}


def of(report: object) -> str:
    return render(report, "markdown", False, 80)  # type: ignore[arg-type]


def text_in(page: str) -> str:
    """What a reader sees."""
    return html.unescape(re.sub(r"<[^>]+>", "", page)).replace("\u200b", "")


@pytest.mark.parametrize(
    "text",
    [
        hostile.EVIL,
        "# head",
        "- item",
        "+ item",
        "12. item",
        "12) item",
        "> quote",
        "***",
        "---",
        "===",
        "__init__",
        "a__b__c _x_ snake_case",
        "\\| \\\\| \\",
        "`` ` ``",
        "~~x~~",
        "&lt; &#64; &copy;",
        "<!-- -->",
        "[a]: http://x",
        "a@b.c",
        "1",
        "|",
    ],
)
@pytest.mark.parametrize("form", ["text", "code"])
@pytest.mark.parametrize("place", ["paragraph", "cell", "item"])
def test_what_is_escaped_reads_as_it_was(text: str, form: str, place: str) -> None:
    escaped = markdown.code_of(text, table=place == "cell") if form == "code" else markdown.text_of(text)
    source = {"paragraph": escaped, "item": f"- {escaped}", "cell": f"| a | b |\n|---|---|\n| {escaped} | z |"}[place]
    page = PARSER.render(source)
    seen = text_in(page).strip()
    if place == "cell":
        cells = re.findall(r"<td>(.*?)</td>", page, re.DOTALL)
        assert len(cells) == 2 and cells[1] == "z"
        seen = text_in(cells[0])
    assert " ".join(seen.split()) == " ".join(text.split())
    tags = set(re.findall(r"<(\w+)", page)) - {"p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"}
    assert tags <= {"code"}, page


@pytest.mark.parametrize(
    "text", ["@octocat", "see #123", "org/repo#5", "GH-7", "!9", "~bug", "a@b.c", ":boom:", "http://x.y"]
)
def test_nothing_is_a_mention_or_a_reference(text: str) -> None:
    """GitHub and GitLab look for these in what a parser gives, so that a backslash alone does not help."""
    shown = html.unescape(PARSER.render(markdown.text_of(text)))
    assert "\u200b" in shown and text not in shown
    assert text_in(shown).strip() == text


def test_times_and_paths_are_left_alone() -> None:
    for text in ("2025-11-23T19:30:05Z", "num_workers=4", "/data/a-b/c_d.jpg:12", "1.90× (90% interval 1.73 – 2.06×)"):
        assert markdown.text_of(text) == text


@pytest.mark.parametrize("name", KINDS)
def test_a_hostile_report_keeps_its_shape(name: str) -> None:
    evil = of(hostile.poisoned(KINDS[name]())).replace(markdown.CUT, "")
    page = PARSER.render(evil)
    assert set(re.findall(r"<(\w+)", page)) <= set(
        "h2 h3 p ul ol li table thead tbody tr th td strong code pre details summary b sub".split()
    )
    assert page.count("<details>") == page.count("</details>") == evil.count("\n<details>\n")
    for line in evil.split("\n"):
        assert not line.startswith(("/", "<!--")), line  # a command of GitLab; a comment
    for table in re.findall(r"<table>.*?</table>", page, re.DOTALL):
        widths = {len(re.findall(r"<t[hd]", row)) for row in re.findall(r"<tr>.*?</tr>", table, re.DOTALL)}
        assert len(widths) == 1
    headings = re.findall(r"<h(\d)", page)
    assert headings[0] == "2" and set(headings[1:]) <= {"3"}


@pytest.mark.parametrize("name", KINDS)
def test_fences_hold(name: str) -> None:
    """A chart's block of code ends where it should."""
    text = of(hostile.poisoned(KINDS[name]()))
    fences = [line for line in text.split("\n") if line.startswith("```")]
    assert fences == ["```text", "```"] * (len(fences) // 2)
    assert all(
        len(line) <= 100 for block in text.split("```text\n")[1:] for line in block.split("\n```")[0].split("\n")
    )


def many_gpus(count: int, evil: bool = False) -> Report:
    report = samples.gpu_report()
    gpus = tuple(replace(report.host.gpus[0], index=i, throttle_reasons=("thermal slowdown",)) for i in range(count))
    ranks = tuple(Rank(i, 1000 + i, 0.1, 0.7, 0.1, i / 10 / count) for i in range(count))
    report = replace(
        report, host=replace(report.host, gpus=gpus), job=replace(report.job, ranks=ranks, command="x " * 70_000)
    )
    return hostile.poisoned(report, hostile.EVIL * 30) if evil else report


@pytest.mark.parametrize("evil", [False, True])
@pytest.mark.parametrize("count", [8, 512, 16384])
def test_it_fits_an_issue_however_many_gpus(count: int, evil: bool) -> None:
    text = of(many_gpus(count, evil))
    assert len(text) < 65_000
    assert ("Cut here" in text) == evil
    assert text.startswith("## ") and "**Verdict**" in text and text.rstrip().endswith("</sub>")
    page = PARSER.render(text)
    assert page.count("<details>") == page.count("</details>")


def test_evidence_is_folded_and_the_answer_is_not() -> None:
    text = of(golden.report_of("no_workers"))
    before_folds = text.partition("<details>")[0]
    for said in ("**Verdict**", "**Do this**", "**It brings**", "### The ladder", "```text"):
        assert said in before_folds
    folded = re.findall(r"<summary><b>(.*?)</b></summary>", text)
    assert folded == ["Evidence", "Why not the other rungs", "How it was measured", "Raw numbers"]


def test_secrets_stay_out() -> None:
    from mlscale.report.build import build_report

    profile = samples.profile()
    job = replace(profile.job, command="python t.py --api-key abc123secret --data s3://u:hunter2pw@b/x")
    report = build_report(replace(profile, job=job), samples.diagnosis(), samples.ENDED_AT)
    for format in ("markdown", "html", "jira", "terminal", "json"):
        text = render(report, format, False, 80)
        assert "abc123secret" not in text and "hunter2pw" not in text and "redacted" in text


def test_a_bare_name_of_a_gpu_reaches_the_page() -> None:
    report = samples.gpu_report()
    report = replace(report, host=replace(report.host, gpus=(Gpu(0, "GPU|<b>", None),)))
    assert "GPU\\|&lt;b&gt;" in of(report)
    assert document_of(report).tone == "calm"
