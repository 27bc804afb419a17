"""Bad input: one clear line that says what is wrong and what to do, exit 2 or 3, nothing on stdout."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cli_runner import Run, environment, one_line

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["doctr"], "doctor"),
        (["diagnose", "--frmat", "json"], "--frmat"),
        (["diagnose", "-f", "pdf"], "terminal and json"),
        (["diagnose", "-o", "report.pdf"], ".json or .txt"),
        (["diagnose", "-o", "no/such/folder/r.json"], "no folder"),
        (["diagnose", "-o", "."], "folder"),
        (["diagnose", "--fail-on", "storag"], "Did you mean storage?"),
        (["diagnose", "--fail-on", "gpu,disk"], "loader_workers, storage"),
        (["diagnose", "--duration", "soon"], "30s, 1m or 500ms"),
        (["diagnose", "--duration", "-5"], "not a length of time"),
        (["diagnose", "--duration", "0"], "0.1s to 24h"),
        (["diagnose", "--duration", "inf"], "not a length of time"),
        (["diagnose", "--rate", "0"], "1 to 200"),
        (["diagnose", "--rate", "nan"], "1 to 200"),
        (["diagnose", "--pid", "x"], "--pid"),
        (["diagnose", "--pid", "-3"], "positive"),
        (["diagnose", "--pid", "1", "--", "sleep", "1"], "--pid attaches"),
        (["diagnose", "--keep-running"], "-- COMMAND"),
        (["diagnose", "--replay", "r.mls", "--pid", "1"], "Leave one of them out"),
        (["diagnose", "--replay", "r.mls", "--", "sleep", "1"], "Leave one of them out"),
        (["diagnose", "--record", "no/such/folder/r.mls"], "no folder"),
        (["diagnose", "--record", "a.json", "-o", "a.json"], "same file"),
        (["diagnose", "--", "no-such-program"], "command not found"),
        (["diagnose", "4711"], "--pid 4711"),
        (["explain", "loader_worker"], "loader_workers"),
        (["explain", "-f", "yaml"], "terminal and json"),
    ],
)
def test_wrong_usage(mlscale: Run, arguments: list[str], says: str) -> None:
    done = mlscale(*arguments)
    assert done.returncode == 2
    assert says in one_line(done.stderr)
    assert done.stdout == ""


def test_a_script_without_its_interpreter(mlscale: Run, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("pass")
    done = mlscale("diagnose", "--", "train.py")
    assert done.returncode == 2 and "python train.py" in one_line(done.stderr)


def test_a_program_that_cannot_start(mlscale: Run, tmp_path: Path) -> None:
    (tmp_path / "broken").write_bytes(b"\x7fELF no program")
    (tmp_path / "broken").chmod(0o755)
    done = mlscale("diagnose", "--", "./broken")
    assert done.returncode == 2 and "cannot be started" in one_line(done.stderr)


def test_no_such_process(mlscale: Run) -> None:
    done = mlscale("diagnose", "--pid", "4194304")  # above the largest pid_max
    assert done.returncode == 3 and "no process" in one_line(done.stderr)


@ROOT_ONLY
def test_a_job_of_another_user(mlscale: Run, tmp_path: Path) -> None:
    """As a user who may not: the line says so, and how to get there."""
    python = next((p for p in ("/usr/bin/python3",) if os.path.exists(p)), None)
    if python is None:
        pytest.skip("no Python that another user may run")
    import subprocess
    import sys

    import typer

    libraries = str(Path(typer.__file__).parents[1])
    env = environment(PYTHONPATH=os.pathsep.join([environment()["PYTHONPATH"], libraries]))
    done = subprocess.run(
        [python, "-m", "mlscale", "diagnose", "--pid", str(os.getpid())],
        user=65534,
        group=65534,
        extra_groups=[],
        env=env,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    if "No module named" in done.stderr:
        pytest.skip(f"the user nobody cannot read the packages of {sys.executable}")
    assert done.returncode == 3 and "sudo" in one_line(done.stderr)


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "No such file"), (b"", "empty"), (b"hello\n", "not a recording"), (b"\x78\x9c\x03\x00", "not a recording")],
)
def test_unreadable_recordings(mlscale: Run, tmp_path: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / "r.mls").write_bytes(content)
    done = mlscale("diagnose", "--replay", "r.mls")
    assert done.returncode == 2 and says in one_line(done.stderr)


def test_a_recording_whose_content_makes_no_sense(mlscale: Run, tmp_path: Path) -> None:
    import zlib

    lines = b'{"format":"mlscale-recording","version":1}\n["p",0.1,5,0,0,0,0,0,0,1,1]\n["e","duration",1.0,[]]\n'
    (tmp_path / "r.mls").write_bytes(zlib.compress(lines))
    done = mlscale("diagnose", "--replay", "r.mls")
    assert done.returncode == 2 and "cannot be used" in one_line(done.stderr)
    debugged = mlscale("diagnose", "--replay", "r.mls", env=environment(MLSCALE_DEBUG="1"))
    assert "Traceback" in debugged.stderr


def test_a_slip_does_not_overwrite_a_file(mlscale: Run, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print('precious')")
    for arguments in (["--record", "train.py"], ["-o", "train.py"]):
        done = mlscale("diagnose", *arguments, "--", "sleep", "60")
        assert done.returncode == 2
        one_line(done.stderr)
    assert (tmp_path / "train.py").read_text() == "print('precious')"


def test_a_fault_of_its_own_is_one_line_too(mlscale: Run, tmp_path: Path) -> None:
    """A broken installation stands in for a bug: the ladder cannot be imported."""
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['mlscale.ladder.walk'] = None\n")
    path = os.pathsep.join([str(tmp_path), environment()["PYTHONPATH"]])
    done = mlscale("explain", env=environment(PYTHONPATH=path))
    assert done.returncode == 70 and "MLSCALE_DEBUG=1" in one_line(done.stderr)
    debugged = mlscale("explain", env=environment(PYTHONPATH=path, MLSCALE_DEBUG="1"))
    assert "Traceback" in debugged.stderr


def test_version_and_help(mlscale: Run) -> None:
    from mlscale import __version__

    assert mlscale("--version").stdout == f"mlscale {__version__}\n"
    bare, helped = mlscale(), mlscale("--help")
    assert bare.returncode == helped.returncode == 0
    assert bare.stdout == helped.stdout
    assert [w for w in ("diagnose", "doctor", "explain") if f"\n  {w} " in helped.stdout] == [
        "diagnose",
        "doctor",
        "explain",
    ]
    assert "..." not in helped.stdout.split("Commands:")[1]  # each summary fits its line


def test_help_imports_nothing_heavy(mlscale: Run, tmp_path: Path) -> None:
    """Neither a renderer, nor a driver, nor AWS: the parser alone."""
    code = (
        "import sys\nsys.argv = ['mlscale', *sys.argv[1:]]\nfrom mlscale.__main__ import main\ncode = main()\n"
        "heavy = ('rich', 'pynvml', 'boto3', 'psutil', 'yaml', 'mlscale.observe', 'mlscale.profile', 'mlscale.ladder')\n"
        "print(code, sorted(m for m in sys.modules if m.startswith(heavy)), file=sys.stderr)\n"
    )
    import subprocess
    import sys

    for arguments in (["--help"], ["diagnose", "--help"], ["--version"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], env=environment(), capture_output=True, text=True, check=False
        )
        assert done.stderr == "0 []\n"
