"""Where results go: whole files or none, full disks, closed pipes, encodings, colours."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_runner import Run, environment

from mlscale.cli.output import Output, choose, colored, emit, save


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system with room for a few kilobytes."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system may be mounted here: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize(
    ("format", "path", "expected"),
    [
        (None, None, "terminal"),
        (None, "r.json", "json"),
        (None, "r.JSON", "json"),
        (None, "r.txt", "terminal"),
        ("json", "r.txt", "json"),
        ("terminal", "r.md", "terminal"),
        (None, "/dev/null", "terminal"),
    ],
)
def test_the_format_follows_the_suffix_unless_it_is_named(
    format: str | None, path: str | None, expected: str, tmp_path: Path
) -> None:
    chosen = choose(format, tmp_path / path if path else None, no_color=False)
    assert chosen.format == expected


def test_a_dash_is_stdout() -> None:
    assert choose("json", Path("-"), no_color=False).path is None


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path, link = tmp_path / "r.json", tmp_path / "link.json"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)
    save(link, "new")
    assert path.read_text() == "new" and link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(tmp_path)) == ["link.json", "r.json"]


def test_a_full_disk_leaves_the_old_file_and_no_rubbish(tiny_disk: Path) -> None:
    path = tiny_disk / "r.json"
    save(path, "old")
    with pytest.raises(OSError, match="No space"):
        save(path, "x" * 100_000)
    assert path.read_text() == "old"
    assert os.listdir(tiny_disk) == ["r.json"]


def test_a_full_disk_does_not_cost_the_report(tiny_disk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = emit(Output("json", tiny_disk / "r.json"), lambda color, width: "x" * 100_000 + "\n")
    out, err = capfd.readouterr()
    assert code == 2
    assert out == "x" * 100_000 + "\n"
    assert err.startswith("mlscale: --output") and "No space left" in err and err.count("\n") == 1


def test_a_file_gets_no_colours(tmp_path: Path) -> None:
    seen = []
    emit(Output("terminal", tmp_path / "r.txt"), lambda color, width: seen.append((color, width)) or "text\n")
    assert seen == [(False, 80)]


def test_a_closed_pipe_is_quiet(mlscale: Run) -> None:
    read, write = os.pipe()
    os.close(read)
    done = mlscale("explain", stdout=write)
    os.close(write)
    assert done.returncode == 0 and done.stderr == ""


def test_a_closed_stdout_is_quiet() -> None:
    command = f"exec {sys.executable} -m mlscale explain >&-"
    done = subprocess.run(["sh", "-c", command], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_stdout_is_one_line(mlscale: Run) -> None:
    with open("/dev/full", "w") as full:
        done = mlscale("explain", stdout=full)
    assert done.returncode == 2
    assert "No space left" in done.stderr and done.stderr.count("\n") == 1


def test_an_ascii_terminal_gets_ascii(mlscale: Run) -> None:
    done = mlscale("doctor", env=environment(PYTHONUTF8="0", PYTHONIOENCODING="ascii", LC_ALL="C"))
    assert done.returncode == 0
    assert done.stdout.isascii() and "What mlscale can see here ----" in done.stdout


@pytest.mark.parametrize(("format", "expected"), [("json", "5 µs → é"), ("terminal", "5 us → e")])
def test_json_is_utf8_whatever_the_locale(format: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="shift_jis"))  # has neither µ nor é
    emit(Output(format, None), lambda color, width: "5 µs → é")
    text = raw.getvalue().decode("utf-8" if format == "json" else "shift_jis")
    assert text == expected


class Terminal:
    def __init__(self, tty: bool) -> None:
        self.tty = tty

    def isatty(self) -> bool:
        return self.tty


@pytest.mark.parametrize(
    ("tty", "no_color", "env", "expected"),
    [
        (True, False, {}, True),
        (False, False, {}, False),
        (True, True, {}, False),
        (True, False, {"NO_COLOR": "1"}, False),
        (True, False, {"NO_COLOR": ""}, True),
        (True, False, {"TERM": "dumb"}, False),
        (False, False, {"FORCE_COLOR": "1"}, True),
        (False, False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colours(
    tty: bool, no_color: bool, env: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert colored(Terminal(tty), no_color) is expected  # type: ignore[arg-type]


def test_columns_are_the_users(mlscale: Run) -> None:
    done = mlscale("explain", env=environment(COLUMNS="60"))
    assert max(map(len, done.stdout.splitlines())) == 60
