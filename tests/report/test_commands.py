"""`mlscale report` and `mlscale diff`: files in, formats out, one line where it cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import golden
import pytest

from mlscale.cli import diff, report
from mlscale.cli.output import Output, choose
from mlscale.errors import MlscaleError, UsageProblem
from mlscale.report.formats import FORMATS, render

RECORDING = golden.RECORDINGS / "no_workers.mlscale"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "saved.txt"  # its content says what it is, not its name
    path.write_text(render(golden.report_of("no_workers"), "json", False, 80), "utf-8")
    return path


@pytest.mark.parametrize("format", FORMATS)
def test_a_recording_and_saved_json_give_the_same(format: str, saved: Path, tmp_path: Path) -> None:
    texts = []
    for source in (RECORDING, saved):
        out = tmp_path / "out"
        assert report.run(source, Output(format, out)) == 0
        texts.append(out.read_text("utf-8"))
    assert texts[0] == texts[1] and len(texts[0]) > 500


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("r.md", "## "),
        ("r.html", "<!doctype html>"),
        ("r.jira", "h2. "),
        ("r.json", "{\n"),
        ("r.txt", "╭"),
        ("r.HTM", "<!doctype html>"),
    ],
)
def test_the_suffix_chooses(name: str, begins: str, saved: Path, tmp_path: Path) -> None:
    out = tmp_path / name
    assert report.run(saved, choose(None, out, no_color=False)) == 0
    assert out.read_text("utf-8").startswith(begins)


def test_results_go_to_stdout(saved: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert report.run(saved, Output("json", None)) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["kind"] == "diagnosis" and err == ""


def test_old_fixed_json_gets_no_colour_codes(
    saved: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    for format in ("markdown", "html", "jira"):
        report.run(saved, Output(format, None))
        assert "\x1b" not in capfd.readouterr().out


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"hello", "neither a report in JSON nor a recording"),
        (b"\x89PNG\r\n", "neither a report in JSON nor a recording"),
        (b"x\x9c\x03\x00", "not a recording of mlscale"),
        (
            b'{"schema_version": "7", "tool": {"version": "9.1"}}',
            "schema version \"7\"; this mlscale reads version '1'",
        ),
        (b"{}", "no schema_version"),
    ],
)
def test_unreadable_files_are_one_line(content: bytes | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MlscaleError) as refused:
        report.run(path, Output("terminal", None))
    assert says in refused.value.message and "\n" not in refused.value.message
    assert refused.value.exit_code == 2


def test_a_folder_is_none(tmp_path: Path) -> None:
    with pytest.raises(MlscaleError, match="Is a directory"):
        report.run(tmp_path, Output("terminal", None))


def test_the_source_is_never_written_over(saved: Path) -> None:
    before = saved.read_text()
    for action in (
        lambda: report.run(saved, Output("html", saved)),
        lambda: diff.run(RECORDING, saved, Output("html", saved)),
    ):
        with pytest.raises(UsageProblem, match="the file it is made from"):
            action()
    assert saved.read_text() == before


@pytest.mark.parametrize("format", FORMATS)
def test_diff_in_every_format(format: str, saved: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert diff.run(saved, golden.RECORDINGS / "too_few_workers.mlscale", Output(format, out)) == 0
    text = out.read_text("utf-8")
    assert "1.9" in text and "2.4" in text  # promised and measured
    assert report.run(out, Output("terminal", None)) == 0 if format == "json" else True


def test_diff_wants_two_diagnoses(saved: Path, tmp_path: Path) -> None:
    made = tmp_path / "diff.json"
    assert diff.run(saved, RECORDING, Output("json", made)) == 0
    with pytest.raises(MlscaleError, match=r"diff\.json: a diff\. diff compares two diagnoses"):
        diff.run(saved, made, Output("terminal", None))


def test_doctor_and_explain_have_no_pages() -> None:
    from mlscale.cli import doctor, explain

    for format in ("markdown", "html", "jira"):
        for action in (
            lambda format=format: doctor.run(Output(format, None)),
            lambda format=format: explain.run(None, Output(format, None)),
        ):
            with pytest.raises(UsageProblem, match="It is shown as terminal or json"):
                action()
