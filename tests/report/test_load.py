"""Saved JSON is read back as what it was; anything else is refused in one line that names the place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import golden
import hostile
import pytest
import samples
from test_markdown import KINDS

from mlscale.errors import MlscaleError, UnreadableInput
from mlscale.report.formats import FORMATS, render
from mlscale.report.load import load

PATH = Path("r.json")


def saved(name: str = "workers") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(render(KINDS[name](), "json", False, 80))
    return document


def loaded(document: object) -> object:
    return load(PATH, json.dumps(document).encode())


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("format", FORMATS)
def test_a_saved_report_renders_as_it_did(name: str, format: str) -> None:
    report = KINDS[name]()
    again = load(PATH, render(report, "json", False, 80).encode())
    assert render(again, format, False, 100) == render(report, format, False, 100)


@pytest.mark.parametrize("name", golden.RUNS)
def test_a_recorded_run_comes_back_to_the_letter(name: str) -> None:
    text = render(golden.report_of(name), "json", False, 80)
    again = load(PATH, text.encode())
    assert render(again, "json", False, 80) == text
    assert render(again, "html", False, 80).count("<svg") == render(golden.report_of(name), "html", False, 80).count(
        "<svg"
    )


def test_fields_of_a_newer_mlscale_are_passed_over_and_new_ones_may_be_absent() -> None:
    document = saved()
    document["verdict"]["since_version_9"] = {"x": [1]}
    del document["series"], document["oversized"], document["training"]["gil"], document["window"]["phases"]
    assert render(loaded(document), "terminal", False, 80)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("schema_version",), "0", "schema version \"0\"; this mlscale reads version '1'"),
        (("schema_version",), 1, "schema version 1;"),
        (("schema_version",), "2", "Render it with mlscale 0.1.0"),
        (("schema_version",), None, "no schema_version"),
        (("kind",), "forecast", 'kind "forecast" is none of diagnosis, recommendation, diff'),
        (("verdict", "confidence"), "high", 'verdict.confidence is "high", not a number'),
        (("verdict", "bottleneck"), "storag", "did you mean storage?"),
        (("verdict", "headline"), None, "verdict.headline is missing"),
        (("ladder", 3, "status"), "done", 'ladder[3].status is "done", none of clear, climb'),
        (("ladder",), {}, "ladder is an object, not a list"),
        (("measurements", "throughput", "low"), True, "measurements.throughput.low is true, not a number"),
        (("measurements",), [], "measurements is a list, not an object"),
        (("job", "loader", "workers"), 2.5, "job.loader.workers is 2.5, not a whole number"),
        (("job",), "x" * 500, "…, not an object"),
        (("oversized", "stored"), [1], "oversized.stored has 1 items, not 2"),
        (("tool", "name"), 5, "tool.name is 5, not a text"),
        (("warnings", 0), "", ""),
    ],
)
def test_what_does_not_fit_is_named(path: tuple[str | int, ...], value: object, says: str) -> None:
    document = saved()
    place: Any = document
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    if not says:
        loaded(document)
        return
    with pytest.raises(UnreadableInput) as refused:
        loaded(document)
    message = refused.value.message
    assert says in message and message.startswith("r.json: ")
    assert "\n" not in message and len(message) < 300


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"{", "not JSON, from line 1, column 2"),
        (b'{"schema_version": "1", ', "It looks cut off"),
        (b'{"schema_version": "1", "kind": "diagnosis", "x": NaN}', "NaN is no number that JSON has"),
        (b"[1, 2]", "the JSON is a list, not a report"),
        (b'{"a": 1}', "no schema_version"),
        (b'{"\xff": 1}', "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"schema_version": "1", "kind": ["diagnosis"]}', "kind a list is none of"),
        (b'{"schema_version": "1", "kind": "diagnosis"}', "tool is missing"),
        (b'{"schema_version": ["1"]}', "schema version a list"),
        (b'{"schema_version": "1", "kind": "diagnosis", "tool": {"name": "x", "version": 1e999}}', "tool.version"),
    ],
)
def test_files_that_are_none(data: bytes, says: str) -> None:
    with pytest.raises(UnreadableInput) as refused:
        load(PATH, data)
    assert says in refused.value.message and "\n" not in refused.value.message


def test_a_pick_that_is_not_in_the_list_is_refused() -> None:
    document = saved("plan")
    document["pick"] = 999
    with pytest.raises(UnreadableInput, match="pick is 999, and there are 30 candidates"):
        loaded(document)


def test_secrets_are_removed_from_what_is_read() -> None:
    document = saved()
    document["job"]["command"] = "python t.py --api-key abc123secret \x1b[2Jx\u202e"
    document["stores"][0]["where"] = "https://user:hunter2pw@host/x"
    for format in FORMATS:
        text = render(loaded(document), format, False, 80)  # type: ignore[arg-type]
        assert "abc123secret" not in text and "hunter2pw" not in text and "\x1b" not in text and "\u202e" not in text


def test_any_cut_is_refused_or_read_never_worse() -> None:
    """A file that was cut anywhere, or has a byte changed, gives one line or a report; never a traceback."""
    text = render(samples.workers_report(), "json", False, 80).encode()
    for place in range(0, len(text), 97):
        for data in (text[:place], text[:place] + b"\x00" + text[place + 1 :], text[:place] + b"9" + text[place + 1 :]):
            try:
                report = load(PATH, data)
            except MlscaleError as refused:
                assert "\n" not in refused.message
            else:
                assert render(report, "markdown", False, 80)


def test_a_hostile_report_comes_back() -> None:
    evil = hostile.poisoned(samples.workers_report())
    again = load(PATH, render(evil, "json", False, 80).encode())
    assert render(again, "html", False, 80) == render(evil, "html", False, 80)
