"""`mlscale probe loader` and `probe step`, on real PyTorch loaders, with real workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.running import ROOT, environment
from tests.virtual_nvml.gpu import build_driver, make_state

from mlscale.observe import proc
from mlscale.report.json import schema

TRAIN = """
import os, sys, time
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

print("a line that is no JSON")

class Waits(Dataset):
    def __init__(self, count=100_000): self.count = count
    def __len__(self): return self.count
    def __getitem__(self, index):
        time.sleep(0.004)
        return torch.zeros(8), index

class Computes(Waits):
    def __getitem__(self, index):
        until = time.thread_time() + 0.002
        while time.thread_time() < until: pass
        return {"x": torch.zeros(8)}

class Fails(Waits):
    def __getitem__(self, index):
        raise KeyError("no such label")

loader = DataLoader(Waits(), batch_size=8, num_workers=1)
computes = DataLoader(Computes(), batch_size=16, num_workers=0)
short = DataLoader(Waits(16), batch_size=8, num_workers=2)
fails = DataLoader(Fails(), batch_size=8)
empty = DataLoader(Waits(0), batch_size=8)
plain = [torch.zeros(4, 3)] * 50
number = 5

def make():
    return DataLoader(Waits(), batch_size=8, num_workers=2)

def exits():
    sys.exit(3)

def dies():
    os.kill(os.getpid(), 9)

def later(calls=[]):
    calls.append(1)
    time.sleep(0.02)
    if len(calls) > 120: raise RuntimeError("out of\\nmemory")

def step():
    time.sleep(0.02)

if "VIRTUAL_NVML_STATE" in os.environ:
    from tests.virtual_nvml.gpu import VirtualGpu
    gpu = VirtualGpu()
    def on_gpu():
        with gpu.busy(): time.sleep(0.015)
        time.sleep(0.005)
"""


@pytest.fixture
def train(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(TRAIN)
    return tmp_path


def run(kind: str, *arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mlscale", "probe", kind, *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment(**env), capture_output=True, text=True, timeout=120, check=False
    )


def probed(kind: str, *arguments: str, cwd: Path, **env: str) -> dict[str, Any]:
    import jsonschema

    done = run(kind, *arguments, "-f", "json", "--quiet", cwd=cwd, **env)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    jsonschema.validate(report, schema())
    return report


def value(report: dict[str, Any], name: str) -> float:
    return float(report["measurements"][name]["value"])


@pytest.mark.slow
@pytest.mark.flaky(reruns=2)
def test_workers_that_wait_overlap(train: Path) -> None:
    report = probed("loader", "train:loader", "--workers", "0,1,4", "--duration", "9s", cwd=train)
    settings = [trial["setting"] for trial in report["trials"]]
    assert settings == ["num_workers=0", "num_workers=1 (as it is)", "num_workers=4"]
    none, one, four = (trial["measurements"]["throughput"]["value"] for trial in report["trials"])
    assert none == pytest.approx(1 / 0.0041, rel=0.1) and one == pytest.approx(none, rel=0.1)
    assert four == pytest.approx(4 * one, rel=0.15)
    assert value(report, "throughput") == pytest.approx(four, rel=1e-3) and report["trials"][2]["chosen"]
    assert "num_workers=4" in report["headline"] and "as it is, with 1" in report["headline"]


@pytest.mark.slow
@pytest.mark.flaky(reruns=2)
def test_cpu_time_of_a_sample(train: Path) -> None:
    report = probed("loader", "train.py:computes", "--duration", "4s", cwd=train)
    assert value(report, "prep_cpu_seconds_per_sample") == pytest.approx(0.002, rel=0.2)
    assert value(report, "cpu_used_cores") == pytest.approx(1.0, abs=0.15)
    with_worker = probed("loader", "train.py:computes", "--workers", "1", "--duration", "4s", cwd=train)
    assert value(with_worker, "prep_cpu_seconds_per_sample") == pytest.approx(0.002, rel=0.3)


def test_a_function_that_gives_a_loader_and_a_list(train: Path) -> None:
    report = probed("loader", "train:make", "--duration", "1500ms", cwd=train)
    assert report["measurements"]["throughput"]["unit"] == "samples/s" and "num_workers=2" in report["headline"]
    listed = probed("loader", "train:plain", "--duration", "500ms", cwd=train)
    assert value(listed, "throughput") == pytest.approx(4 * value(listed, "batch_rate"), rel=0.01)
    assert any("more than once" in warning for warning in listed["warnings"])


def test_an_epoch_too_short_for_a_rate(train: Path) -> None:
    report = probed("loader", "train:short", "--duration", "1s", cwd=train)
    assert "throughput" not in report["measurements"]
    assert "an epoch has 2 batches" in report["warnings"][0]


@pytest.mark.slow
@pytest.mark.flaky(reruns=2)
def test_a_step_alone(train: Path, tmp_path: Path) -> None:
    report = probed("step", "train:step", "--batch-size", "32", "--duration", "3s", cwd=train)
    assert value(report, "step_s") == pytest.approx(0.0202, rel=0.05)
    assert value(report, "throughput") == pytest.approx(32 / value(report, "step_s"), rel=0.01)
    assert value(report, "cpu_used_cores") < 0.2
    (tmp_path / "driver").mkdir()
    driver = build_driver(tmp_path / "driver")
    gpu = {"VIRTUAL_NVML_STATE": str(make_state(tmp_path / "gpu")), "LD_LIBRARY_PATH": str(driver)}
    report = probed("step", "train:on_gpu", "--batch-size", "32", "--duration", "4s", cwd=train, **gpu)
    assert value(report, "gpu_busy_fraction") == pytest.approx(0.74, abs=0.08)
    assert value(report, "gpu_seconds_per_sample") == pytest.approx(0.015 / 32, rel=0.12)
    assert value(report, "gpu_memory_used_bytes") == 4 << 30 and report["host"]["gpus"][0]["name"] == "Virtual GPU"


@pytest.mark.parametrize(
    ("kind", "target", "more", "says"),
    [
        ("loader", "train", [], "MODULE:NAME"),
        ("loader", "nowhere:loader", [], "No module named 'nowhere'"),
        ("loader", "nowhere.py:loader", [], "no such file"),
        ("loader", "train:loade", [], "did you mean loader? Run it"),
        ("loader", "train:number", [], "cannot be iterated"),
        ("loader", "train:fails", [], "no such label"),
        ("loader", "train:empty", [], "gives no batch"),
        ("loader", "train:exits", [], "SystemExit"),
        ("loader", "train:dies", [], "signal SIGKILL"),
        ("loader", "train:plain", ["--workers", "2"], "leave --workers out"),
        ("loader", "train:loader", ["--workers", "two"], "numbers from 0"),
        ("loader", "train:loader", ["--python", "no-such-python"], "no such program"),
        ("step", "train:number", [], "cannot be called"),
        ("step", "train:fails.dataset.__getitem__", [], "TypeError"),
    ],
)
def test_refusals_are_one_line(train: Path, kind: str, target: str, more: list[str], says: str) -> None:
    done = run(kind, target, "--duration", "2s", "--quiet", *more, cwd=train)
    assert done.returncode == 2 and done.stdout == ""
    told = [line for line in done.stderr.splitlines() if line.startswith("mlscale: ")]
    assert len(told) == 1 and says in told[0], done.stderr
    assert "Traceback" not in told[0]


def test_what_fails_later_costs_nothing_of_what_was_measured(train: Path) -> None:
    report = probed("step", "train:later", "--duration", "4s", cwd=train)
    assert value(report, "step_s") == pytest.approx(0.0202, rel=0.2)
    assert report["ended"] == "failed"
    assert any("RuntimeError: out of memory (" in w and "train.py, line" in w for w in report["warnings"])


def test_ctrl_c_reports_and_leaves_nothing_running(train: Path) -> None:
    command = [sys.executable, "-m", "mlscale", "probe", "loader", "train:make", "--duration", "60s", "-f", "json"]
    process = subprocess.Popen(
        command, cwd=train, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    while "iterating" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(12)
    below = proc.tree_of(process.pid)[1:]
    assert below
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    report = json.loads(out)
    assert report["ended"] == "interrupted" and value(report, "throughput") > 0
    assert not any(proc.alive(pid) for pid in below)


def test_the_child_needs_nothing_of_mlscale(train: Path) -> None:
    """The job's Python need not have mlscale: the child runs without it, and without site packages."""
    (train / "bare.py").write_text("loader = [[1, 2, 3]] * 40\n")
    receiving, sending = os.pipe()
    spec = {
        "kind": "loader",
        "target": "bare:loader",
        "seconds": 0.3,
        "workers": [],
        "batch_size": None,
        "out": sending,
    }
    child = ROOT / "src/mlscale/probe/child.py"
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(child), json.dumps(spec)],
        cwd=train,
        pass_fds=(sending,),
        check=False,
        timeout=60,
    )
    os.close(sending)
    with os.fdopen(receiving) as file:
        events = [json.loads(line) for line in file]
    assert done.returncode == 0
    assert events[0]["event"] == "trial" and events[-1] == {"event": "end"}, events
