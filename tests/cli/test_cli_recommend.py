"""`mlscale recommend` as its user runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cli_runner import Run

from mlscale.report.json import schema

RECORDING = Path(__file__).parent.parent / "recordings/no_workers.mlscale"
QUESTION = ("recommend", "--workload", "resnet50-imagenet", "--epochs", "90", "--region", "us-east-1")


def planned(mlscale: Run, *arguments: str | Path) -> dict[str, Any]:
    done = mlscale(*arguments, "-f", "json")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(report, schema())
    return report


def test_the_question(mlscale: Run) -> None:
    report = planned(mlscale, *QUESTION, "--deadline", "24h", "--budget", "300")
    pick = report["candidates"][report["pick"]]
    assert report["kind"] == "recommendation"
    assert pick["meets_goal"] and pick["hours"]["value"] <= 24 and pick["cost_usd"]["total"] <= 300
    assert pick["cost_usd"]["total"] == pytest.approx(
        pick["cost_usd"]["compute"] + pick["cost_usd"]["storage"], rel=1e-3
    )
    assert pick["samples_per_second"]["low"] < pick["samples_per_second"]["value"] < pick["samples_per_second"]["high"]
    assert report["goal"]["samples"] == 90 * 1281167
    assert report["ladder"][0]["rung"] == "cpu_to_gpu"
    assert report["next_step"]["rung"] == pick["rung"]


@pytest.mark.parametrize("format", ["terminal", "markdown", "html", "jira"])
def test_every_format_names_the_pick(mlscale: Run, format: str) -> None:
    report = planned(mlscale, *QUESTION, "--deadline", "24h")
    done = mlscale(*QUESTION, "--deadline", "24h", "-f", format)
    assert done.returncode == 0, done.stderr
    assert report["candidates"][report["pick"]]["instance_type"] in done.stdout


def test_a_goal_nobody_can_meet_and_one_already_met(mlscale: Run) -> None:
    none = planned(mlscale, *QUESTION, "--deadline", "10m", "--budget", "2")
    assert none["pick"] is None and none["verdict"]["headline"].startswith("Nothing does it")
    met = planned(mlscale, *QUESTION, "--instance", "p4d.24xlarge", "--deadline", "5d")
    assert met["verdict"]["bottleneck"] == "none" and met["pick"] is None
    assert "met already" in met["verdict"]["headline"]


def test_what_ifs(mlscale: Run) -> None:
    what_if = ("--set", "loader_workers=16", "--set", "file_system=fsx-lustre")
    report = planned(mlscale, *QUESTION, "--deadline", "24h", *what_if)
    assert {c["loader_workers"] for c in report["candidates"]} == {16}
    assert all(c["file_system"].startswith("fsx-lustre") for c in report["candidates"])
    two = planned(mlscale, *QUESTION, "--compare", "p5.48xlarge,g6e.48xlarge")
    assert {c["instance_type"] for c in two["candidates"]} == {"p5.48xlarge", "g6e.48xlarge"}


def test_it_continues_a_diagnosis(mlscale: Run, tmp_path: Path) -> None:
    saved = tmp_path / "report.json"
    assert mlscale("diagnose", "--replay", RECORDING, "-o", saved).returncode == 0
    measured = json.loads(saved.read_text())["measurements"]["throughput"]["value"]
    more = ("--accelerator", "T4", "--parameters", "25.6M", "--samples", "100M", "--dataset-gb", "150")
    report = planned(mlscale, "recommend", "--from", saved, *more, "--deadline", "48h")
    assert report["baseline"]["samples_per_second"]["value"] == pytest.approx(measured, rel=0.01)
    assert report["measurements"]["throughput"]["value"] == pytest.approx(measured)
    assert report["job"]["loader"]["workers"] == 0
    assert any("no price" in warning for warning in report["warnings"])
    promised = json.loads(saved.read_text())["next_step"]["expected_speedup"]["value"]
    workers = next(rung for rung in report["ladder"] if rung["rung"] == "loader_workers")
    assert workers["expected_speedup"]["value"] == pytest.approx(promised, rel=0.1)  # the plan's model, and diagnose's
    here = planned(mlscale, "recommend", "--from", saved, *more, "--deadline", "80h")
    assert here["candidates"][here["pick"]]["instance_type"] == "this machine"
    assert here["candidates"][here["pick"]]["rung"] == "loader_workers"
    tight = planned(mlscale, "recommend", "--from", saved, *more, "--budget", "1000000")
    own = [c for c in tight["candidates"] if c["instance_type"] == "this machine"]
    assert own and all(c["cost_usd"] is None and not c["meets_goal"] for c in own)  # unknown is not nothing
    assert tight["candidates"][tight["cheapest"]]["cost_usd"] is not None
    for format in ("terminal", "markdown", "html", "jira"):
        done = mlscale("recommend", "--from", saved, *more, "--deadline", "80h", "-f", format)
        assert done.returncode == 0, done.stderr
        assert "no known price" in done.stdout
    same = planned(mlscale, "recommend", "--from", RECORDING, *more, "--deadline", "48h")
    assert same["pick"] == report["pick"]


def test_what_watching_cannot_tell_is_said(mlscale: Run) -> None:
    report = planned(mlscale, "recommend", "--from", RECORDING, "--accelerator", "T4", "--samples-per-second", "500")
    told = " ".join(report["warnings"])
    for word in ("--parameters", "--dataset-gb", "--samples", "precision"):
        assert word in told
    assert {c["rung"] for c in report["candidates"]}.isdisjoint({"multi_gpu_node", "cluster"})
    statuses = {rung["rung"]: rung["because"] for rung in report["ladder"]}
    assert "--parameters" in statuses["multi_gpu_node"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("recommend",), "--workload"),
        (("recommend", "--workload", "resnet51-imagenet"), "resnet50-imagenet"),
        ((*QUESTION, "--instance", "p5.47xlarge"), "p5.48xlarge"),
        ((*QUESTION, "--families", "g6x"), "g6e"),
        ((*QUESTION, "--set", "loader_worker=3"), "loader_workers"),
        ((*QUESTION, "--set", "loader_workers=-3"), "0 to 256"),
        ((*QUESTION, "--set", "file_system=fsx-lustra"), "fsx-lustre"),
        ((*QUESTION, "--deadline", "soon"), "6h"),
        ((*QUESTION, "--budget", "-5"), "above 0"),
        ((*QUESTION, "--epochs", "0"), "above 0"),
        ((*QUESTION, "--purchase", "sport"), "spot"),
        ((*QUESTION, "--families", "g4ad"), "no longer offers"),
        ((*QUESTION, "--families", "g5", "--region", "us-east-9"), "us-east-1"),
        ((*QUESTION, "--compare", "g5.xlarge", "--efa"), "EFA"),
        ((*QUESTION, "--max-nodes", "0"), "from 1"),
        (("recommend", "--from", "nothing.json"), "nothing.json"),
        (("recommend", "--from", RECORDING), "--accelerator"),
    ],
)
def test_one_clear_line(mlscale: Run, arguments: tuple[str | Path, ...], said: str) -> None:
    done = mlscale(*arguments)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_a_wrong_profile_names_file_and_key(mlscale: Run, tmp_path: Path) -> None:
    assert mlscale("workloads", "new", "mine", tmp_path / "mine.yaml").returncode == 0
    text = (tmp_path / "mine.yaml").read_text().replace("  samples: 1281167", "  samples: -5")
    (tmp_path / "mine.yaml").write_text(text)
    done = mlscale("recommend", "--workload", tmp_path / "mine.yaml")
    assert done.returncode == 2
    assert "mine.yaml" in done.stderr and "samples" in done.stderr
