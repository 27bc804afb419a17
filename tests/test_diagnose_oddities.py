"""Real jobs with harmless oddities: the verdict must not follow them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.faults import inject
from tests.running import EXAMPLE, JOBS, ROOT, Seen, diagnose, environment, job
from tests.virtual_nvml.gpu import build_driver, make_state

# Someone else's load on the machine may spoil one run, and chance one in many; two in a row are a fault.
pytestmark = [pytest.mark.slow, pytest.mark.flaky(reruns=2)]


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_driver(tmp_path_factory.mktemp("driver"))


@pytest.fixture
def gpu(driver: Path, tmp_path: Path) -> dict[str, str]:
    return {"VIRTUAL_NVML_STATE": str(make_state(tmp_path / "gpu")), "LD_LIBRARY_PATH": str(driver)}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(64):
        (folder / f"{number:03}.bin").write_bytes(bytes(20_000))
    return folder


def test_evaluation_is_kept_apart(tmp_path: Path, files: Path, gpu: dict[str, str]) -> None:
    log = tmp_path / "log"
    command = [*JOBS, "files", "--data", str(files), "--workers", "1", "--step-ms", "50", "--evaluate-every", "80"]
    with job(command, log, ready_steps=20, **gpu) as pid:
        seen = diagnose(pid, log)
    assert [p["name"] for p in seen.report["window"]["phases"]].count("evaluation") >= 1
    assert seen.verdict == "gpu"


def test_short_epochs_with_new_workers_each(tmp_path: Path, files: Path, gpu: dict[str, str]) -> None:
    log = tmp_path / "log"
    command = [*JOBS, "files", "--data", str(files), "--workers", "2", "--step-ms", "30", "--epoch", "60"]
    with job(command, log, **gpu) as pid:
        seen = diagnose(pid, log, **gpu)
    assert seen.truth is not None
    assert seen.value("throughput") == pytest.approx(seen.truth.samples_per_s, rel=0.03)
    assert seen.report["job"]["loader"]["workers"] == 2


def test_epochs_so_short_that_starting_their_workers_shows(tmp_path: Path, files: Path, gpu: dict[str, str]) -> None:
    log = tmp_path / "log"
    command = [*JOBS, "files", "--data", str(files), "--workers", "2", "--step-ms", "40", "--epoch", "8"]
    with job(command, log, **gpu) as pid:
        seen = diagnose(pid, log, **gpu)
    assert seen.verdict == "loader_workers"
    assert "persistent_workers=True" in seen.report["next_step"]["actions"][0]
    assert "start of each epoch" in seen.report["verdict"]["headline"]
    assert seen.truth is not None
    assert seen.value("throughput") == pytest.approx(seen.truth.samples_per_s, rel=0.05)


def test_a_cold_first_epoch(tmp_path: Path, gpu: dict[str, str]) -> None:
    """The first pass over the data comes from a slow disk, the next ones from memory: these are the steady ones."""
    log, folder = tmp_path / "log", tmp_path / "data"
    folder.mkdir()
    for number in range(192):
        (folder / f"{number:03}.bin").write_bytes(os.urandom(1 << 20))
    for path in folder.iterdir():  # once, so that what is read stays
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
    command = [*JOBS, "files", "--data", str(folder), "--workers", "2", "--step-ms", "100", "--epoch", "12"]
    with (
        inject.throttled_reads(folder, 25_000_000) as prefix,
        job(command, log, prefix=prefix, ready_steps=1, **gpu) as pid,
    ):
        seen = diagnose(pid, log, **gpu, duration_s=25)
    assert "cold epoch" in [phase["name"] for phase in seen.report["window"]["phases"]]
    assert seen.verdict != "storage"


def test_tar_shards(tmp_path: Path, gpu: dict[str, str]) -> None:
    """WebDataset, in a DataLoader of its own."""
    log = tmp_path / "log"
    shards = [sys.executable, "-m", "benchmarks.jobs.shards", "--data", str(tmp_path / "shards"), "--workers", "1"]
    with job([*shards, "--step-ms", "5"], log, **gpu) as pid:
        seen = diagnose(pid, log, **gpu)
    assert seen.verdict == "loader_workers"
    assert seen.truth is not None
    assert seen.value("data_wait_fraction") == pytest.approx(seen.truth.data_wait_fraction, abs=0.03)


@pytest.mark.parametrize("option", ["--spawn", "--iterable", "--persistent"])
def test_other_ways_to_load(tmp_path: Path, gpu: dict[str, str], option: str) -> None:
    log = tmp_path / "log"
    with job([*EXAMPLE, "--workers", "1", "--step-ms", "10", option], log, **gpu) as pid:
        seen = diagnose(pid, log, **gpu)
    assert seen.verdict == "loader_workers"
    assert seen.truth is not None
    assert seen.value("throughput") == pytest.approx(seen.truth.samples_per_s, rel=0.03)
    assert seen.report["job"]["loader"]["start_method"] == ("spawn" if option == "--spawn" else "fork")


@pytest.mark.parametrize("gpm", [True, False])
def test_a_gpu_that_is_busy_with_next_to_nothing(tmp_path: Path, driver: Path, gpm: bool) -> None:
    log = tmp_path / "log"
    state = make_state(tmp_path / "gpu", gpm=gpm, intensity=8)
    env = {"VIRTUAL_NVML_STATE": str(state), "LD_LIBRARY_PATH": str(driver)}
    with job([*EXAMPLE, "--workers", "2", "--step-ms", "150"], log, ready_steps=10, **env) as pid:
        seen = diagnose(pid, log, duration_s=10, **env)
    assert seen.verdict == "gpu_underfilled"
    assert ("GPM" in seen.report["host"]["gpus"][0]["signal"]) is gpm


def test_a_job_below_a_shell(tmp_path: Path, gpu: dict[str, str]) -> None:
    log = tmp_path / "log"
    command = ["sh", "-c", f"{' '.join(EXAMPLE)} --workers 0 --log {log}; echo done"]
    with job(command, log, **gpu) as pid:
        seen = diagnose(pid, log, **gpu)
    assert seen.verdict == "loader_workers"


def test_a_job_that_hides_its_memory(tmp_path: Path, driver: Path) -> None:
    """Not dumpable, and watched by its own user: no stacks and no system calls; states alone still tell something."""
    state = make_state(tmp_path / "gpu")
    state.chmod(0o666)
    for folder in [driver, tmp_path, *list(tmp_path.parents)[:-2]]:
        folder.chmod(0o755)
    hide = (
        "import ctypes, runpy, sys; ctypes.CDLL(None).prctl(4, 0); sys.argv = sys.argv[1:]; "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    log = tmp_path / "log"
    log.touch()
    log.chmod(0o666)
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    env = {"VIRTUAL_NVML_STATE": str(state), "LD_LIBRARY_PATH": str(driver), "HOME": "/tmp"}
    data = Path("/tmp/mlscale-test-nobody")
    data.mkdir(exist_ok=True)
    data.chmod(0o777)
    command = [sys.executable, "-c", hide, *EXAMPLE[1:], "--workers", "2", "--step-ms", "150", "--data", str(data)]
    arguments = ["diagnose", "-f", "json", "--duration", "10s", "--pid"]
    with job(command, log, prefix=user, ready_steps=5, **env) as pid:
        seen = [
            subprocess.run(
                [*user, sys.executable, "-m", "mlscale", *arguments, str(pid)],
                env=environment(**found),
                capture_output=True,
                text=True,
                timeout=120,
                check=True,
                cwd=ROOT,
            ).stdout
            for found in (env, {})
        ]
    assert all("could not be read" in text for text in seen)
    assert '"bottleneck": "gpu"' in seen[0]  # the GPU itself tells it
    assert '"bottleneck": "inconclusive"' in seen[1]  # nothing does


def diagnosed_script(tmp_path: Path, source: str, *, settles_s: float) -> Seen:
    """A script that keeps no log, diagnosed for ten seconds once it runs."""
    script = tmp_path / "train.py"
    script.write_text(textwrap.dedent(source))
    process = subprocess.Popen([sys.executable, str(script)])
    try:
        time.sleep(settles_s)
        return diagnose(process.pid, tmp_path / "log", duration_s=10)
    finally:
        process.kill()
        process.wait()


def test_a_pool_of_processes(tmp_path: Path) -> None:
    """A home-made loader, without torch, on whatever Python runs the tests."""
    seen = diagnosed_script(
        tmp_path,
        """
        import multiprocessing, time
        def prepare(n):
            end = time.process_time() + 0.05
            while time.process_time() < end: sum(range(100))
            return n
        def train_step(batch): time.sleep(0.01)
        if __name__ == "__main__":
            with multiprocessing.Pool(1) as pool:
                for batch in pool.imap(prepare, range(100000)): train_step(batch)
        """,
        settles_s=2,
    )
    assert seen.report["job"]["loader"]["kind"] == "processes"
    assert seen.verdict == "loader_workers"


def test_a_model_that_is_trained_on_the_cpu(tmp_path: Path) -> None:
    """A plain PyTorch loop without a GPU: it wants one, of any size, before a bigger one or several."""
    seen = diagnosed_script(
        tmp_path,
        """
        import torch
        from torch import nn
        from torch.utils.data import DataLoader, TensorDataset
        data = TensorDataset(torch.randn(4096, 3, 32, 32), torch.randint(0, 10, (4096,)))
        model = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))
        loader = DataLoader(data, batch_size=32, shuffle=True)
        model(next(iter(loader))[0])
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        def train():
            for epoch in range(10000):
                for images, labels in loader:
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(model(images), labels).backward()
                    optimizer.step()
        train()
        """,
        settles_s=4,
    )
    rungs = {rung["rung"]: rung for rung in seen.report["ladder"]}
    assert (seen.verdict, seen.report["next_step"]["rung"]) == ("gpu", "cpu_to_gpu")
    assert "wants a GPU" in seen.report["verdict"]["headline"]
    assert all("one GPU" in rungs[name]["because"] for name in ("bigger_gpu", "multi_gpu_node", "cluster"))


def test_batches_so_small_that_workers_would_slow_the_loop_down(tmp_path: Path) -> None:
    """Some thousand steps a second: with one worker this job runs at a third of its speed (benchmarks/hand_over.py)."""
    log = tmp_path / "log"
    with job([sys.executable, "-m", "tests.jobs.tiny"], log) as pid:
        seen = diagnose(pid, log)
    assert seen.truth is not None
    assert seen.value("throughput") == pytest.approx(seen.truth.samples_per_s, rel=0.05)
    assert seen.value("data_wait_fraction") == pytest.approx(seen.truth.data_wait_fraction, abs=0.08)
    rungs = {rung["rung"]: rung for rung in seen.report["ladder"]}
    assert (seen.verdict, rungs["loader_workers"]["status"]) == ("preprocessing", "blocked")
    assert rungs["loader_workers"]["expected_speedup"]["high"] < 0.6
