"""What the README and the docs say exists, holds, and is shown as it is.

`python -m tests.test_docs` writes the parts anew that are made by commands: the README's report, the thresholds.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mlscale.cli.output import FORMATS
from mlscale.ladder.result import Bottleneck
from mlscale.ladder.rungs import RUNGS
from mlscale.ladder.walk import EXPLAINABLE, explain
from mlscale.loaders.known import LOADERS
from mlscale.observe.python.layout import LAYOUTS
from mlscale.recording import _TAGS
from tests.running import environment

ROOT = Path(__file__).parent.parent
README, VERDICTS = ROOT / "README.md", ROOT / "docs/3-verdicts.md"
PAGES = sorted([README, ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
RENEW = "it has changed: run `python -m tests.test_docs`, and read what it wrote"
# <!-- made by: COMMAND -->, then a fenced block or a table, up to <!-- end -->. "COMMAND up to SECTION" stops before a
# section, "COMMAND first N lines" after some lines.
MADE = re.compile(r"(<!-- made by: (?P<command>[^\n]+?) -->\n)(?P<body>.*?)(<!-- end -->)", re.DOTALL)


def run(*arguments: str) -> str:
    """What a command prints to stdout, 80 columns wide."""
    command = [sys.executable, "-m", *arguments]
    env = {**environment(), "COLUMNS": "80", "PYTHONUTF8": "1"}
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def made(command: str) -> str:
    """The text that belongs between the marks."""
    if command == "mlscale explain":
        return f"\n{thresholds()}\n"
    text, _, section = command.partition(" up to ")
    text, _, lines = text.partition(" first ")
    shown = run(*shlex.split(text))
    if lines:
        kept = shown.splitlines()[: int(lines.split()[0])]
        return "\n````\n" + "\n".join(kept) + "\n...\n````\n"
    if section:
        assert f"\n{section} ─" in shown, f"{text}: no section {section}"
        shown = shown[: shown.index(f"\n{section} ─")].rstrip() + "\n"
    return f"\n```\n{shown}```\n"


def thresholds() -> str:
    """All thresholds of `mlscale explain NAME -f json`, as a table."""
    lines = ["| rung or verdict | threshold | value | why this value |", "|---|---|---|---|"]
    for name in EXPLAINABLE:
        lines += [f"| `{name}` | {what} | {value} | {why} |" for what, value, why in explain(name).thresholds]
    return "\n".join(lines)


def renewed(page: Path) -> str:
    return MADE.sub(lambda m: f"{m[1]}{made(m['command'])}{m[4]}", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", [README, VERDICTS], ids=lambda page: page.name)
def test_what_commands_print_is_shown_as_they_print_it(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(MADE.findall(text)) == text.count("<!-- made by:") >= 1
    assert renewed(page) == text, RENEW


def test_explain_prints_the_thresholds_of_the_page() -> None:
    shown = json.loads(run("mlscale", "explain", "data_store", "-f", "json"))
    assert shown["thresholds"]
    rows = VERDICTS.read_text(encoding="utf-8")
    for what, value, why in shown["thresholds"]:
        assert f"| `data_store` | {what} | {value} | {why} |" in rows


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"(?:src|scripts|examples|benchmarks|tests)/[\w./-]*\w", text):
        if "NAME" not in name:  # what is yet to be written
            assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_waits_for_its_figures(page: Path) -> None:
    assert not re.search(r"@@|COMES-HERE|TODO|TBD|XXX", page.read_text(encoding="utf-8"))


def test_every_page_is_reached_from_the_readme() -> None:
    seen, to_read = set(), [README]
    while to_read:
        page = to_read.pop()
        seen.add(page)
        for target in re.findall(r"\]\(([^)#]+\.md)\)", page.read_text(encoding="utf-8")):
            found = (page.parent / target).resolve()
            if not target.startswith("http") and found not in seen:
                to_read.append(found)
    assert set(PAGES) <= seen


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_options_that_are_named_exist(page: Path) -> None:
    """On each line that calls mlscale, a benchmark or the example job."""
    known = {
        "mlscale diagnose": run("mlscale", "diagnose", "--help"),
        "mlscale recommend": run("mlscale", "recommend", "--help"),
        "scripts/demo.sh": (ROOT / "examples/train_images.py").read_text(encoding="utf-8"),
    }
    known |= {
        f"benchmarks/{path.name}": path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").glob("*.py")
    }
    for line in page.read_text(encoding="utf-8").splitlines():
        for program, told in known.items():
            if program in line:
                called = re.split(r" -- |  #|`", line[line.index(program) :])[0]
                for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", called):
                    assert option in told, f"{program} {option}"


def test_the_readme_names_each_verdict_but_the_one_that_needs_a_goal() -> None:
    text = README.read_text(encoding="utf-8")
    for name in Bottleneck.__args__:  # type: ignore[attr-defined]
        assert (f"`{name}`" in text) == (name != "none"), name


def test_the_readme_names_what_is_supported() -> None:
    text = README.read_text(encoding="utf-8")
    first, last = (".".join(map(str, version)) for version in (min(LAYOUTS), max(LAYOUTS)))
    assert f"CPython {first} to {last}" in text
    assert all(name in text for name in FORMATS)


def test_the_recording_page_has_each_event_and_field() -> None:
    text = (ROOT / "docs/recording.md").read_text(encoding="utf-8")
    for tag, kind in _TAGS.items():
        row = next((line for line in text.splitlines() if line.startswith(f"| `{tag}` |")), "")
        assert row, tag
        for field in kind._fields:
            assert re.search(rf"\b{field}\b", row), f"{tag}: {field}"


@pytest.mark.parametrize("name", EXPLAINABLE)
def test_each_rung_and_rule_cites_and_sources(name: str) -> None:
    told = explain(name)
    assert "White paper" in told.citation
    assert told.question.endswith("?")
    assert told.why
    assert told.advice
    assert all(source for _, _, source in told.thresholds)


def test_the_verdicts_page_walks_the_rungs_in_order() -> None:
    text = VERDICTS.read_text(encoding="utf-8")
    places = [text.index(f"`{rung.id}`") for rung in RUNGS]
    assert places == sorted(places)


def test_loaders_are_distinct() -> None:
    assert len({kind.id for kind in LOADERS}) == len(LOADERS)
    assert all(kind.waits for kind in LOADERS)


if __name__ == "__main__":
    for target in (README, VERDICTS):
        target.write_text(renewed(target), encoding="utf-8")
        print(target)
