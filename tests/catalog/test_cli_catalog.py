"""catalog list and show: what is shown, and that every value has its source and date."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import mlscale.catalog.current
from mlscale.catalog.read import load
from mlscale.catalog.snapshot import FILE, FamilyFacts, Snapshot, as_json
from mlscale.cli.catalog import WHAT, run_list, run_show
from mlscale.cli.output import Output
from mlscale.errors import UsageProblem

CATALOG = load()
TERMINAL, JSON = Output("terminal", None, no_color=True), Output("json", None)
EVERYTHING = [*CATALOG.instances, *CATALOG.hosts, *CATALOG.accelerators, *CATALOG.file_systems]


@pytest.fixture(autouse=True)
def shipped_facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped facts alone, read once."""
    monkeypatch.setenv("MLSCALE_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(mlscale.catalog.current, "load", lambda: CATALOG)
    monkeypatch.delenv("FORCE_COLOR", raising=False)


@pytest.fixture
def shown(capsysbinary: pytest.CaptureFixture[bytes]) -> Any:
    def run(command: Any, *arguments: Any) -> str:
        assert command(*arguments) == 0
        out, err = capsysbinary.readouterr()
        assert err == b""
        return out.decode()

    return run


def test_lists_name_everything(shown: Any) -> None:
    for what, known in (
        ("instances", CATALOG.instances),
        ("hosts", CATALOG.hosts),
        ("accelerators", CATALOG.accelerators),
        ("file-systems", CATALOG.file_systems),
    ):
        text = shown(run_list, what, None, None, None, TERMINAL)
        listed = json.loads(shown(run_list, what, None, None, None, JSON))[what.replace("-", "_")]
        assert [item["name"] for item in listed] == list(known)
        assert all(name in text.split() for name in known)


def test_a_list_is_narrowed(shown: Any) -> None:
    def names(*arguments: str | None) -> set[str]:
        return {item["name"] for item in json.loads(shown(run_list, "instances", *arguments, JSON))["instances"]}

    assert names("p5", None, None) == {"p5.4xlarge", "p5.48xlarge"}
    assert names(None, None, "V100") == {"p3.2xlarge", "p3.8xlarge", "p3.16xlarge", "p3dn.24xlarge"}
    assert names(None, "EU-West-1", "V100") == {"p3dn.24xlarge"}  # p3 is retired: offered nowhere
    assert names(None, None, "Tesla T4") == {name for name in CATALOG.instances if name.startswith("g4dn.")}
    assert "p4d.24xlarge" in names(None, "eu-west-1", None) and "p5.48xlarge" not in names(None, "eu-west-1", None)


def test_a_list_has_prices_of_its_region_and_warns_of_their_age(shown: Any) -> None:
    text = shown(run_list, "instances", "p3dn", "eu-west-1", None, TERMINAL)
    assert "~33.709" in text and "eu-west-1" in text and "mlscale catalog refresh" in text
    assert "31.212" in shown(run_list, "instances", "p3dn", None, None, TERMINAL)
    found = json.loads(shown(run_list, "instances", "p3dn", None, None, JSON))
    assert found["instances"][0]["on_demand"]["us-east-1"] == 31.212
    assert found["prices_since"] == CATALOG.taken.isoformat() and found["warnings"]


@pytest.mark.parametrize("name", EVERYTHING)
def test_every_value_names_its_source_and_date(shown: Any, name: str) -> None:
    found = json.loads(shown(run_show, name, JSON))
    assert found["name"] == name and found["values"]
    text = " ".join(shown(run_show, name, TERMINAL).split())
    for value in found["values"].values():
        assert value["source"] and date.fromisoformat(value["date"]) > date(2018, 1, 1)
        assert " ".join(value["source"].split()) in text and value["date"] in text


def test_an_instance_is_shown_in_the_units_of_the_field(shown: Any) -> None:
    text = shown(run_show, "p4d.24xlarge", TERMINAL)
    for said in (
        "1,152 GiB",
        "400 Gbit/s",
        "2.38 GB/s",
        "nvswitch",
        "2,000,000/s",
        "$21.957642/h",
        "computed, not seen",
    ):
        assert said in text
    values = json.loads(shown(run_show, "p4d.24xlarge", JSON))["values"]
    assert (values["memory_bytes"]["value"], values["memory_bytes"]["unit"]) == (1152 * 2**30, "B")
    assert (values["network_bytes_per_s"]["value"], values["network_bytes_per_s"]["unit"]) == (50e9, "B/s")
    assert values["on_demand.ap-northeast-1"]["derived"] and not values["on_demand.us-east-1"]["derived"]
    assert values["nvme_iops"]["date"] == "2023-06-15" and values["spot.us-east-1"]["date"] == "2026-02-01"
    retired = shown(run_show, "p2.xlarge", TERMINAL)
    assert "retired" in retired and "no region" in retired and "On demand, eu-west-1" not in retired


def test_refreshed_facts_are_shown(shown: Any, tmp_path: Path) -> None:
    day = date(2026, 11, 24)
    family = FamilyFacts(day, ("p5.48xlarge", "p5.4xlarge"), {"p5.48xlarge": 44.5}, {"p5.48xlarge": 17.25})
    (tmp_path / FILE).write_text(as_json(Snapshot({}, {"us-east-1": {"p5": family}})), encoding="utf-8")
    values = json.loads(shown(run_show, "p5.48xlarge", JSON))["values"]
    for name, usd in (("on_demand.us-east-1", 44.5), ("spot.us-east-1", 17.25)):
        assert (values[name]["value"], values[name]["date"]) == (usd, day.isoformat())
    assert "44.500" in shown(run_list, "instances", "p5", None, None, TERMINAL)


@pytest.mark.parametrize("width", ["40", "80", "120"])
def test_it_fits(shown: Any, monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    monkeypatch.setenv("COLUMNS", width)
    texts = [shown(run_list, what, None, None, None, TERMINAL) for what in WHAT]
    texts += [shown(run_show, name, TERMINAL) for name in ("p6-b300.48xlarge", "RTX-PRO-6000-Server", "efs-elastic")]
    assert max(len(line) for text in texts for line in text.splitlines()) <= int(width)
    assert all("…" not in text for text in texts)


@pytest.mark.parametrize(
    ("command", "arguments", "told"),
    [
        (run_show, ("p5.48xlage",), "Did you mean p5.48xlarge"),
        (run_show, ("fsx-lustre",), "Did you mean fsx-lustre-"),
        (run_show, ("",), "There are: "),
        (run_list, ("instance", None, None, None), "There are instances, accelerators, file-systems, hosts."),
        (run_list, ("instances", "p44", None, None), "--family p44: the catalog has no type of it. Did you mean"),
        (run_list, ("instances", None, "us-est-1", None), "--region us-est-1: no type is offered there. Did you mean"),
        (run_list, ("instances", None, None, "H1000"), "The catalog has no accelerator 'H1000'. Did you mean H100"),
        (run_list, ("accelerators", "p3", None, None), "--family goes with instances. Leave it out."),
    ],
)
def test_what_is_unknown_is_one_line(command: Any, arguments: tuple[Any, ...], told: str) -> None:
    with pytest.raises(UsageProblem) as caught:
        command(*arguments, TERMINAL)
    assert told in caught.value.message and "\n" not in caught.value.message


def test_the_command_line_stays_light() -> None:
    code = (
        "import sys, mlscale.cli.catalog, mlscale.catalog.read; "
        "print(*(name for name in ('yaml', 'rich', 'boto3', 'pynvml') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
