"""workloads list, show, new: what is shown and written, called as the command line will."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlscale.catalog.workloads import find_workload, load_workloads, read_workload, seconds_per_sample
from mlscale.cli.output import Output
from mlscale.cli.workloads import as_text, as_yaml, derived, list_text, run_list, run_new, run_show
from mlscale.errors import MlscaleError, UsageProblem

PROFILES = load_workloads()
TERMINAL, JSON = Output("terminal", None, no_color=True), Output("json", None)


def test_the_list_names_all(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run_list(TERMINAL) == 0
    shown = capsysbinary.readouterr().out.decode()
    assert run_list(JSON) == 0
    listed = json.loads(capsysbinary.readouterr().out)["workloads"]
    assert [item["name"] for item in listed] == sorted(PROFILES)
    for item in listed:
        assert item["name"] in shown
        assert item["samples_per_s_on_reference"] == pytest.approx(1 / seconds_per_sample(PROFILES[item["name"]].step))


def test_one_is_shown_with_its_sources(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run_show("resnet50-imagenet", TERMINAL) == 0
    flat = " ".join(capsysbinary.readouterr().out.decode().split())
    profile = PROFILES["resnet50-imagenet"]
    for text in ("1,281,167", "147 GB", "A100-80GB", "2897/s", profile.source.name, "2024-04-04", "confidence: high"):
        assert text in flat
    for note in profile.notes.values():
        assert note in flat


def test_json_is_the_profile_and_what_follows(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run_show("llama2-7b-lora", JSON) == 0
    shown = json.loads(capsysbinary.readouterr().out)
    profile = PROFILES["llama2-7b-lora"]
    assert shown["source"] == {"name": profile.source.name, "date": "2024-08-12", "confidence": "high"}
    assert shown["dataset"] == dataclasses.asdict(profile.dataset)
    assert shown["measured"]["column"] == "Tokens / sec / GPU"
    assert set(shown) == {field.name for field in dataclasses.fields(profile)} | {"derived"}
    # 10 million tokens, three times, at 25,206 tokens/s (the published row) on one: 0.33 h.
    assert shown["derived"]["reference_hours"] == pytest.approx(3 * 2441 * 4096 / 25206 / 3600, rel=1e-3)


def test_what_follows_for_resnet50() -> None:
    """By hand: 2,897 images/s, of 114,660 bytes, at 4 ms of a core."""
    more = derived(PROFILES["resnet50-imagenet"])
    assert more["prep_cores_per_reference"] == pytest.approx(11.59, rel=1e-3)
    assert more["read_bytes_per_s_per_reference"] == pytest.approx(332.2e6, rel=1e-3)
    assert more["flops_per_s_on_reference"] == pytest.approx(71.44e12, rel=1e-3)
    assert more["weights_and_optimizer_bytes"] == pytest.approx(306.7e6, rel=1e-3)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_texts_fit(width: int) -> None:
    texts = [list_text(list(PROFILES.values()), color=False, width=width)]
    texts += [as_text(item, color=False, width=width) for item in PROFILES.values()]
    for text in texts:
        assert max(map(len, text.splitlines())) <= width
        assert "\x1b" not in text
    assert "\x1b" in list_text(list(PROFILES.values()), color=True, width=width)


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_a_profile_written_reads_the_same(name: str, tmp_path: Path) -> None:
    file = tmp_path / f"{name}.yaml"
    text = as_yaml(PROFILES[name], "A head\nof two lines.")
    file.write_text(text, encoding="utf-8")
    assert text.startswith("# A head\n# of two lines.\n")
    assert max(map(len, text.splitlines())) <= 130
    assert read_workload(file) == PROFILES[name]


@pytest.mark.parametrize(
    "text", ["yes", "No", "null", "1e3", "2024-01-01", "a: b", "#no", 'say "x"', "ü - é", "~", "- a", "0x10", "on", "N"]
)
def test_texts_stay_texts(text: str, tmp_path: Path) -> None:
    long = " ".join([text] * 60)
    base = PROFILES["resnet50-imagenet"]
    changed = dataclasses.replace(base, title=text, notes={text: text, f"{text} too": long})
    file = tmp_path / "mine.yaml"
    file.write_text(as_yaml(changed, text), encoding="utf-8")
    assert read_workload(file) == changed


def test_new_starts_a_profile(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    file = tmp_path / "mine.yaml"
    assert run_new("mine", file, "bert-large-squad") == 0
    assert str(file) in capsysbinary.readouterr().out.decode()
    found, base = find_workload(str(file)), PROFILES["bert-large-squad"]
    assert (found.name, found.step, found.dataset) == ("mine", base.step, base.dataset)
    # The figures are another job's: the file does not claim a measured row, and says so.
    assert found.measured is None and found.source.confidence == "low" and "bert-large-squad" in found.source.name
    text = file.read_text(encoding="utf-8")
    for key in ("dataset:", "epochs:", "prep_cpu_s_per_sample:", "step:", "gradient_bytes:"):
        above = text[: text.index(f"\n{key}")].splitlines()[-1]
        assert above.startswith("# "), key


def test_new_goes_where_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.chdir(tmp_path)
    run_new("mine", None, "resnet50-imagenet")
    assert find_workload("mine.yaml").name == "mine"
    (tmp_path / "below").mkdir()
    run_new("other", tmp_path / "below", "mine.yaml")  # like a file of one's own
    assert find_workload("below/other.yaml").name == "other"


def test_new_never_overwrites(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("precious", encoding="utf-8")
    with pytest.raises(UsageProblem, match="is there already"):
        run_new("mine", file, "resnet50-imagenet")
    assert file.read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize(
    ("name", "path", "like", "told"),
    [
        ("a/b", "x.yaml", "resnet50-imagenet", "letters, digits"),
        ("", "x.yaml", "resnet50-imagenet", "letters, digits"),
        ("mine", "x.txt", "resnet50-imagenet", ".yaml"),
        ("mine", "gone/x.yaml", "resnet50-imagenet", "No such file"),
        ("mine", "x.yaml", "resnet5-imagenet", "Did you mean resnet50-imagenet"),
    ],
)
def test_new_refuses_in_one_line(tmp_path: Path, name: str, path: str, like: str, told: str) -> None:
    with pytest.raises(MlscaleError) as refused:
        run_new(name, tmp_path / path, like)
    assert told in refused.value.message and "\n" not in refused.value.message
    assert list(tmp_path.iterdir()) == []


def test_show_refuses_an_unknown_name() -> None:
    with pytest.raises(UsageProblem, match="bert-large"):
        run_show("bert-larg", TERMINAL)


def test_help_stays_light() -> None:
    """Neither module pulls YAML or a renderer in before it is used."""
    code = (
        "import sys, mlscale.cli.workloads, mlscale.catalog.workloads\n"
        "print([name for name in ('yaml', 'rich', 'boto3') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
