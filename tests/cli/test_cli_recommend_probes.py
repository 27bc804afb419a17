"""`mlscale recommend --from` with probes of a step and a loader."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from cli_runner import Run

from mlscale.probe.result import CodeFound, GpuSeen, LoaderTrial, Part, StepTrial
from mlscale.report.build_probe_code import probe_of_loader, probe_of_step
from mlscale.report.formats import render
from mlscale.report.json import schema
from mlscale.report.report import Cpus, Host

HOST = Host("box", Cpus(8, None), 32 << 30)
NOW = datetime(2026, 11, 26, 21, tzinfo=timezone.utc)
BATCH = 64
JOB = ("--samples", "10M", "--epochs", "10", "--dataset-gb", "100", "--parameters", "25.6M")


def parts(rate: float, cpu_s: float, size: int | None = BATCH) -> tuple[Part, ...]:
    """Six seconds of `rate` batches, `cpu_s` CPU seconds each second."""
    return tuple(Part(1.0, round(rate), size and size * round(rate), cpu_s) for _ in range(6))


def write(path: Path, probe: Any) -> Path:
    path.write_text(render(probe, "json", False, 80))
    return path


@pytest.fixture
def step(tmp_path: Path) -> Path:
    """Five steps a second on a T4 that is busy 80% of the time: 2.5 ms of it for each of 64 samples."""
    gpu = GpuSeen("Tesla T4", 16 << 30, (0.8,) * 20, 6 << 30)
    trial = StepTrial(5, parts(5, 0.9), True, gpu)
    return write(tmp_path / "step.json", probe_of_step(CodeFound("train:step", step=trial), HOST, NOW))


@pytest.fixture
def loader(tmp_path: Path) -> Path:
    """Six batches a second from four workers, which fill four cores: 10.4 ms of a core for each sample."""
    found = CodeFound("train:loader", (LoaderTrial(4, True, 1.0, parts(6, 4.0)),), batch_size=BATCH)
    return write(tmp_path / "loader.json", probe_of_loader(found, HOST, 8.0, NOW))


def planned(mlscale: Run, *arguments: str | Path) -> dict[str, Any]:
    done = mlscale("recommend", *arguments, "-f", "json")
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(report, schema())
    return report


def on(report: dict[str, Any], machine: str) -> dict[str, Any]:
    """The fastest way on one such machine, by itself, that was weighed."""
    ways = [
        c
        for c in report["candidates"]
        if c["instance_type"] == machine and c["nodes"] == 1 and c["rung"] != "prep_cluster"
    ]
    best: dict[str, Any] = max(ways, key=lambda way: way["samples_per_second"]["value"])
    return best


def test_step_and_loader_are_the_job(mlscale: Run, step: Path, loader: Path) -> None:
    report = planned(mlscale, "--from", step, "--from", loader, *JOB, "--compare", "g4dn.xlarge,g4dn.16xlarge")
    wide, narrow = on(report, "g4dn.16xlarge"), on(report, "g4dn.xlarge")
    # 32 cores feed the T4, which then does what it did in the probe; 2 cores with 4 threads do not.
    assert wide["bottleneck"] == "gpu"
    assert 5 * BATCH * 0.95 <= wide["samples_per_second"]["value"] <= 5 * BATCH / 0.8 * 1.05
    assert narrow["bottleneck"] == "preprocessing" and narrow["samples_per_second"]["value"] < 4 / (4 / 6 / BATCH)
    assert report["workload"] == "train:step" and report["goal"]["samples"] == 10e6
    assert report["measurements"]["gpu_seconds_per_sample"]["value"] == pytest.approx(0.8 / 5 / BATCH, rel=1e-3)
    assert report["measurements"]["prep_cpu_seconds_per_sample"]["value"] == pytest.approx(4 / 6 / BATCH, rel=1e-3)
    assert not any("bytes a sample" in warning for warning in report["warnings"])
    for format in ("terminal", "markdown", "html", "jira"):
        done = mlscale("recommend", "--from", step, "--from", loader, *JOB, "--deadline", "24h", "-f", format)
        assert done.returncode == 0 and "train:step" in done.stdout, done.stderr


def test_a_step_alone_counts_no_preparation_and_says_so(mlscale: Run, step: Path) -> None:
    report = planned(mlscale, "--from", step, *JOB, "--instance", "g4dn.xlarge", "--deadline", "30h")
    assert report["baseline"]["bottleneck"] == "gpu"
    assert any("No loader was probed" in warning and "none is counted" in warning for warning in report["warnings"])
    like = planned(mlscale, "--from", step, "-w", "resnet50-imagenet", "--deadline", "30h")
    assert any("is the profile's" in warning for warning in like["warnings"])


def test_a_gpu_that_was_never_seen_busy_is_no_step_without_work(mlscale: Run, tmp_path: Path, loader: Path) -> None:
    trial = StepTrial(5, parts(5, 0.9), True, GpuSeen("Tesla T4", 16 << 30, (0.0,) * 20, 6 << 30))
    idle = write(tmp_path / "idle.json", probe_of_step(CodeFound("train:step", step=trial), HOST, NOW))
    report = planned(mlscale, "--from", idle, "--from", loader, *JOB)
    assert any("the whole step is taken" in warning for warning in report["warnings"])


def test_a_step_whose_gpu_was_not_seen(mlscale: Run, tmp_path: Path, loader: Path) -> None:
    trial = StepTrial(5, parts(5, 0.9), True)
    blind = write(tmp_path / "blind.json", probe_of_step(CodeFound("train:step", step=trial), HOST, NOW))
    refused = mlscale("recommend", "--from", blind, "--from", loader, *JOB)
    assert refused.returncode == 2 and "--accelerator" in refused.stderr
    report = planned(mlscale, "--from", blind, "--from", loader, *JOB, "--accelerator", "T4")
    assert any("the whole step is taken" in warning for warning in report["warnings"])


def test_refusals_are_one_line(mlscale: Run, tmp_path: Path, step: Path, loader: Path) -> None:
    recording = Path(__file__).parent.parent / "recordings/no_workers.mlscale"
    unsized = CodeFound("t:s", step=StepTrial(5, parts(5, 0.9, size=None), True))
    nameless = write(tmp_path / "nameless.json", probe_of_step(unsized, HOST, NOW))
    store = tmp_path / "store.json"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x").write_bytes(bytes(1 << 20))
    assert mlscale("probe", "storage", tmp_path / "data", "--duration", "300ms", "-o", store).returncode == 0
    for arguments, said in (
        ((loader,), "mlscale probe step"),
        ((step, step), "a second probe of a step"),
        ((step, recording), "a diagnosis"),
        ((recording, recording), "a diagnosis"),
        ((nameless,), "--batch-size"),
        ((step, store), "--set file_system"),
    ):
        options = [option for path in arguments for option in ("--from", path)]
        done = mlscale("recommend", *options, *JOB)
        assert done.returncode == 2, done.stdout
        told = done.stderr.strip().splitlines()
        assert len(told) == 1 and said in told[0], done.stderr
