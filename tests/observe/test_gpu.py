"""NVML through the real pynvml, against the virtual driver."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.running import environment
from tests.virtual_nvml.gpu import build_driver, lose, make_state

LOOK = """
import json, sys, time
from mlscale.observe.gpu import Gpus
from tests.virtual_nvml.gpu import lose
from pathlib import Path
gpus = Gpus()
out = {"count": gpus.count, "reason": gpus.reason, "facts": gpus.facts(), "samples": []}
if gpus.count:
    for turn in range(12):
        time.sleep(0.25)
        if turn == 8 and sys.argv[1] == "lose":
            lose(Path(sys.argv[2]))
        out["samples"].append(gpus.sample(0))
    out["holders"] = {k: sorted(v) for k, v in gpus.holders().items()}
gpus.close()
print(json.dumps(out))
"""
WORK = """
import time
from tests.virtual_nvml.gpu import VirtualGpu
gpu = VirtualGpu()
while True:
    with gpu.busy(): time.sleep(0.030)
    time.sleep(0.020)
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_driver(tmp_path_factory.mktemp("driver"))


def look(state: Path, driver: Path, what: str = "") -> dict[str, object]:
    env = environment(VIRTUAL_NVML_STATE=str(state), LD_LIBRARY_PATH=str(driver))
    work = subprocess.Popen([sys.executable, "-c", WORK], env=env)
    try:
        done = subprocess.run(
            [sys.executable, "-c", LOOK, what, str(state)], env=env, capture_output=True, text=True, check=True
        )
        found: dict[str, object] = json.loads(done.stdout)
        return {**found, "pid": work.pid}
    finally:
        work.kill()
        work.wait()


def test_the_busy_share_is_what_the_job_spends(tmp_path: Path, driver: Path) -> None:
    found = look(make_state(tmp_path / "gpu"), driver)
    samples = found["samples"]
    assert isinstance(samples, list)
    busy = [sample["busy"] for sample in samples[1:]]
    power = [sample["power_w"] for sample in samples if "power_w" in sample]
    assert sum(busy) / len(busy) == pytest.approx(0.6, abs=0.05)
    assert all(60 <= watts <= 350 for watts in power)
    assert 2 <= len(power) <= 4  # of what changes slowly, one a second is enough
    assert found["holders"] == {"0": [found["pid"]]}
    assert "gpm_sm" not in samples[-1]


def test_the_units_at_work_come_from_gpm(tmp_path: Path, driver: Path) -> None:
    found = look(make_state(tmp_path / "gpu", gpm=True, intensity=50), driver)
    samples = found["samples"]
    assert isinstance(samples, list)
    active = [sample["gpm_sm"] for sample in samples if "gpm_sm" in sample]
    assert sum(active) / len(active) == pytest.approx(0.3, abs=0.05)
    assert all(
        "pcie_bytes_per_s" not in sample for sample in samples if "gpm_sm" not in sample
    )  # dear to ask for beside it


def test_a_gpu_that_is_lost_on_the_way(tmp_path: Path, driver: Path) -> None:
    found = look(make_state(tmp_path / "gpu"), driver, "lose")
    samples = found["samples"]
    assert isinstance(samples, list)
    assert "busy" in samples[7]
    assert "lost" in samples[-1]


@pytest.mark.parametrize(("init", "says"), [(9, "not loaded"), (4, "refuses this user"), (15, "GPU is lost")])
def test_a_driver_that_refuses_says_why(tmp_path: Path, driver: Path, init: int, says: str) -> None:
    env = environment(VIRTUAL_NVML_STATE=str(make_state(tmp_path / "gpu", init=init)), LD_LIBRARY_PATH=str(driver))
    done = subprocess.run([sys.executable, "-c", LOOK, "", ""], env=env, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["count"] == 0
    assert says in found["reason"]


def test_no_driver_at_all() -> None:
    if Path("/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1").exists() or "LD_LIBRARY_PATH" in os.environ:
        pytest.skip("a driver is here")
    done = subprocess.run(
        [sys.executable, "-c", LOOK, "", ""], env=environment(), capture_output=True, text=True, check=True
    )
    assert "no NVIDIA driver library" in json.loads(done.stdout)["reason"]
    assert lose is not None
