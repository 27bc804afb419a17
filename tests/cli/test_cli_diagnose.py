"""`mlscale diagnose` on real processes: launching, attaching, recording, replaying, and every way to be cut short."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
from cli_runner import EXAMPLE, ROOT, Run, environment, one_line

from mlscale.observe import proc
from mlscale.report.json import schema

# Trains nothing and stays: what happens around a watch needs no PyTorch.
IDLE = "import time\nwhile True: time.sleep(0.01)"
JOB = [sys.executable, EXAMPLE, "--workers", "1", "--batch-size", "8", "--step-ms", "20"]


@contextlib.contextmanager
def running(command: list[str], **more: object) -> Iterator[subprocess.Popen[str]]:
    """A process of its own, ended with its group on leaving."""
    process = subprocess.Popen(command, text=True, start_new_session=True, **more)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def watching(
    *arguments: str | Path, cwd: Path, **more: object
) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    """`mlscale diagnose ARGUMENTS` that runs on."""
    return running(
        [sys.executable, "-m", "mlscale", "diagnose", *map(str, arguments)],
        cwd=cwd, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more,
    )  # fmt: skip


def until_it_watches(process: subprocess.Popen[str]) -> None:
    """Waits for the first line of progress."""
    assert process.stderr is not None
    for line in process.stderr:
        if "ing " in line and "mlscale:" in line and "found" not in line:
            return
    raise AssertionError("it ended before it watched")


def gone(pid: int) -> bool:
    return not proc.alive(pid)


@pytest.mark.slow
def test_launch_record_and_replay(mlscale: Run, tmp_path: Path) -> None:
    done = mlscale("diagnose", "--duration", "6s", "--record", "r.mls", "-o", "r.json", "--", *JOB)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""  # neither the report nor what the job prints
    assert "simulated accelerator" in done.stderr  # the job's own words
    assert "mlscale: Watching the job" in done.stderr and "The report is in r.json" in done.stderr
    report = json.loads((tmp_path / "r.json").read_text())
    jsonschema.validate(report, schema())
    assert report["verdict"]["bottleneck"] != "inconclusive"
    assert report["job"]["loader"]["workers"] == 1 and report["job"]["loader"]["batch_size"] == 8
    assert gone(report["job"]["pid"])
    # The same report, to the letter, from the file.
    replayed = mlscale("diagnose", "--replay", "r.mls", "-f", "json")
    assert replayed.returncode == 0 and replayed.stderr == ""
    assert replayed.stdout == (tmp_path / "r.json").read_text()
    # And for people, at the width that they have.
    text = mlscale("diagnose", "--replay", "r.mls", env=environment(COLUMNS="100")).stdout
    assert report["verdict"]["headline"].split()[0] in text and "The ladder" in text
    assert max(map(len, text.splitlines())) <= 100
    # For CI.
    found = report["verdict"]["bottleneck"]
    assert mlscale("diagnose", "--replay", "r.mls", "--fail-on", found).returncode == 1
    assert mlscale("diagnose", "--replay", "r.mls", "--fail-on", f"inconclusive,{found}", "-q").returncode == 1
    assert mlscale("diagnose", "--replay", "r.mls", "--fail-on", "inconclusive").returncode == 0
    # A recording that was cut gives a report of what it holds.
    whole = (tmp_path / "r.mls").read_bytes()
    (tmp_path / "cut.mls").write_bytes(whole[: len(whole) * 3 // 4])
    cut = mlscale("diagnose", "--replay", "cut.mls", "-f", "json")
    assert cut.returncode == 0
    assert any("cut off" in warning for warning in json.loads(cut.stdout)["warnings"])


@pytest.mark.slow
def test_attaching_leaves_the_job_alone(mlscale: Run) -> None:
    with running(JOB, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as job:
        time.sleep(6)
        done = mlscale("diagnose", "--pid", job.pid, "--duration", "4", "-f", "json", "--quiet")
        assert job.poll() is None
        assert done.returncode == 0 and done.stderr == ""
        report = json.loads(done.stdout)  # one document, and nothing else
        assert report["job"]["pid"] == job.pid
        found = mlscale("diagnose", "--duration", "2", "-f", "json")
        assert f"mlscale: found process {job.pid}" in found.stderr


@pytest.mark.slow
@pytest.mark.flaky(reruns=2)  # beside other work the answer takes longer to settle
def test_it_stops_early_when_the_answer_is_stable(mlscale: Run) -> None:
    steady = [sys.executable, EXAMPLE, "--workers", "2", "--batch-size", "4", "--step-ms", "100"]
    done = mlscale("diagnose", "--duration", "2m", "-f", "json", "-q", "--", *steady)
    report = json.loads(done.stdout)
    assert report["verdict"]["bottleneck"] == "gpu"
    assert report["window"]["ended"] == "stable" and report["window"]["observed_s"] < 60


def test_ctrl_c_reports_what_was_seen_and_keeps_the_recording(mlscale: Run, tmp_path: Path) -> None:
    command = ["-f", "json", "--record", "r.mls", "--", sys.executable, "-c", IDLE]
    with watching(*command, cwd=tmp_path) as process:
        until_it_watches(process)
        time.sleep(2.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    report = json.loads(out)
    assert report["window"]["ended"] == "interrupted" and report["window"]["observed_s"] >= 2
    assert "interrupted" in err and "Traceback" not in err
    assert gone(report["job"]["pid"])
    replayed = mlscale("diagnose", "--replay", "r.mls", "-f", "json")
    assert replayed.returncode == 0 and replayed.stdout == out


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    stubborn = "import signal\nsignal.signal(15, signal.SIG_IGN)\n" + IDLE
    with watching("--", sys.executable, "-c", stubborn, cwd=tmp_path) as process:
        until_it_watches(process)
        time.sleep(1)
        job = next(pid for pid in proc.children_of(process.pid))
        process.send_signal(signal.SIGINT)
        time.sleep(1.5)  # it now waits for the job, which does not go
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        out, err = process.communicate(timeout=20)
    assert process.returncode == 130 and time.monotonic() - began < 2
    assert out == "" and "Traceback" not in err
    assert gone(job)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_polite_kill_leaves_no_job_behind(tmp_path: Path, number: signal.Signals) -> None:
    with watching("-f", "json", "--", sys.executable, "-c", IDLE, cwd=tmp_path) as process:
        until_it_watches(process)
        process.send_signal(number)
        out, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert gone(json.loads(out)["job"]["pid"])


def test_keep_running(mlscale: Run, tmp_path: Path) -> None:
    with open(tmp_path / "err", "w+") as err:  # a file: the job holds it open for as long as it runs
        command = ["--keep-running", "-f", "json", "--", sys.executable, "-c", IDLE]
        done = mlscale("diagnose", "--duration", "1", *command, stderr=err)
        pid = json.loads(done.stdout)["job"]["pid"]
        try:
            assert done.returncode == 0 and proc.alive(pid)
            assert f"goes on as process {pid}" in (tmp_path / "err").read_text()
        finally:
            os.kill(pid, signal.SIGKILL)


def test_a_job_that_fails_at_once(mlscale: Run) -> None:
    done = mlscale("diagnose", "--quiet", "--", sys.executable, "-c", "raise SystemExit(4)")
    assert done.returncode == 3
    assert "status 4" in one_line(done.stderr) and done.stdout == ""


def test_a_job_that_is_killed(mlscale: Run, tmp_path: Path) -> None:
    code = "import os, time\ntime.sleep(2)\nos.kill(os.getpid(), 9)"
    done = mlscale("diagnose", "-q", "--record", "r.mls", "--", sys.executable, "-c", code)
    assert done.returncode == 3 and "SIGKILL" in one_line(done.stderr)
    assert mlscale("diagnose", "--replay", "r.mls").stderr == done.stderr  # the recording knows it too


def test_a_job_that_ends_well_is_reported(mlscale: Run) -> None:
    done = mlscale("diagnose", "-f", "json", "--", sys.executable, "-c", "import time\ntime.sleep(3)")
    report = json.loads(done.stdout)
    assert done.returncode == 0 and report["window"]["ended"] == "job exited"
    assert any("status 0" in warning for warning in report["warnings"])


def test_the_jobs_output_goes_to_stderr_and_its_input_is_ours(mlscale: Run) -> None:
    code = "import sys, time\nprint('heard', sys.stdin.readline(), flush=True)\ntime.sleep(3)"
    done = mlscale("diagnose", "-q", "-f", "json", "--", sys.executable, "-c", code, stdin=None, input="hello\n")
    assert "heard hello" in done.stderr
    json.loads(done.stdout)


def test_options_after_the_command_are_the_jobs(mlscale: Run) -> None:
    code = "import sys\nprint(sys.argv[1:])\nraise SystemExit(1)"
    done = mlscale("diagnose", "-q", sys.executable, "-c", code, "--pid", "7", "-f", "x")
    assert "['--pid', '7', '-f', 'x']" in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_costs_neither_watch_nor_report(mlscale: Run) -> None:
    command = ["--duration", "2", "--", sys.executable, "-c", IDLE]
    done = mlscale("diagnose", "-f", "json", "-o", "/dev/full", "--record", "/dev/full", *command)
    assert done.returncode == 2
    report = json.loads(done.stdout)
    assert "No space left" in done.stderr and "on stdout instead" in done.stderr
    assert any("No space left" in warning for warning in report["warnings"])


def test_nobody_reads_on(tmp_path: Path) -> None:
    command = f"{sys.executable} -m mlscale diagnose --duration 1 -q -- {sys.executable} -c '{IDLE}' | true"
    done = subprocess.run(
        ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"], env=environment(), cwd=tmp_path,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and done.stderr == ""


def test_it_runs_as_installed_too() -> None:
    """The entry point of pyproject.toml is the function that these tests run."""
    text = (ROOT / "pyproject.toml").read_text()
    assert 'mlscale = "mlscale.__main__:main"' in text
