"""`mlscale probe storage` on real stores: a throttled disk, a mount that answers late, memory, and what cannot be read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.faults import inject
from tests.running import environment

from mlscale.probe.files import BLOCK_BYTES, MOST_FILES, WHOLE_BYTES, find_files, reads_of
from mlscale.report.json import schema

KB20, MB1 = 20_000, 1 << 20


def files(folder: Path, count: int, size: int) -> Path:
    """Files on the disk, written out, so that they can be dropped from the page cache."""
    folder.mkdir()
    for number in range(count):
        with open(folder / f"{number:03}.bin", "wb") as file:
            file.write(os.urandom(size))
            file.flush()
            os.fsync(file.fileno())
    return folder


def run(*arguments: object, prefix: Sequence[str] = (), **more: Any) -> subprocess.CompletedProcess[str]:
    command = [*prefix, sys.executable, "-m", "mlscale", "probe", "storage", *map(str, arguments)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120, check=False, **more)


def probed(*arguments: object, prefix: Sequence[str] = ()) -> dict[str, Any]:
    done = run(*arguments, "-f", "json", "--quiet", prefix=prefix)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def value(report: dict[str, Any], name: str) -> float:
    return float(report["measurements"][name]["value"])


@pytest.mark.slow
def test_a_throttled_disk_gives_what_it_is_held_to(tmp_path: Path) -> None:
    folder = files(tmp_path / "data", 120, MB1)
    with inject.throttled_reads(folder, 20_000_000) as prefix:
        report = probed(folder, "--duration", "9s", "--readers", "1,2,4", prefix=prefix)
    assert value(report, "store_bytes_per_s") == pytest.approx(20e6, rel=0.15)
    assert value(report, "store_readers") <= 2, "more readers do not help a line that is full"
    assert value(report, "page_cache_bytes_per_s") > 10 * value(report, "store_bytes_per_s")
    assert report["limited"] and len(report["trials"]) == 3
    assert report["kind"] == "probe" and report["of"] == "storage"


@pytest.mark.slow
def test_a_mount_that_answers_late_gives_more_to_more(tmp_path: Path) -> None:
    folder = files(tmp_path / "data", 400, KB20)
    with inject.slow_mount(folder, tmp_path / "mount", 20) as mount:
        report = probed(mount, "--duration", "8s", "--readers", "1,8")
    assert 0.020 <= value(report, "store_read_s") <= 0.030
    one, eight = (trial["measurements"]["store_reads_per_s"]["value"] for trial in report["trials"])
    assert one == pytest.approx(1 / value(report, "store_read_s"), rel=0.1)
    assert eight > 5 * one
    assert not report["limited"], "the last number of readers still brought more"
    assert any("cannot be seen from here" in warning for warning in report["warnings"])


def test_memory_is_not_dropped_from_memory() -> None:
    folder = Path(f"/dev/shm/mlscale-test-{os.getpid()}")
    try:
        report = probed(files(folder, 20, KB20), "--duration", "600ms", "--readers", "1,2")
    finally:
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    assert "page_cache_bytes_per_s" not in report["measurements"]
    assert "tmpfs" in report["because"][0] and value(report, "store_bytes_per_s") > 50e6


def test_what_is_read_comes_from_the_disk_and_stays_as_it_is(tmp_path: Path) -> None:
    folder = files(tmp_path / "data", 40, KB20)
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()}
    report = probed(folder, "--duration", "1s", "--readers", "1,2")
    assert not any("came from the disk" in warning for warning in report["warnings"]), report["warnings"]
    assert {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()} == before
    again = probed(folder, "--duration", "1s", "--readers", "1,2", "--cached")
    assert any("--cached" in warning for warning in again["warnings"])
    assert "page_cache_bytes_per_s" not in again["measurements"]


def test_a_large_file_is_read_in_blocks(tmp_path: Path) -> None:
    folder = files(tmp_path / "data", 1, WHOLE_BYTES + 3 * BLOCK_BYTES)
    report = probed(folder, "--duration", "1s", "--readers", "1")
    assert "blocks of 1.05 MB" in report["because"][0]


def test_reads_cover_each_block_once() -> None:
    reads = reads_of([("small", 5), ("large", WHOLE_BYTES + BLOCK_BYTES // 2)])
    assert sorted((r.path, r.offset, r.length) for r in reads) == [
        *(("large", place * BLOCK_BYTES, BLOCK_BYTES) for place in range(8)),
        ("small", 0, 5),
    ]
    assert reads_of([("a", 1), ("b", 1), ("c", 1)]) == reads_of([("a", 1), ("b", 1), ("c", 1)])
    huge = reads_of([("huge", 100 * MOST_FILES * BLOCK_BYTES)])
    assert len(huge) == MOST_FILES and len({read.offset for read in huge}) == MOST_FILES


def test_links_to_folders_do_not_lead_in_circles(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(b"x")
    (tmp_path / "a" / "empty").touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "linked").symlink_to(tmp_path / "a" / "file")
    os.mkfifo(tmp_path / "pipe")
    found = find_files(str(tmp_path), lambda: False)
    assert sorted(Path(path).name for path, _ in found.files) == ["file", "linked"] and not found.cut


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "No such file"),
        (["s3://bucket/data"], "Mount it"),
        (["/dev/null"], "neither a file nor a folder"),
        ([".", "--readers", "0"], "numbers from 1"),
        ([".", "--readers", "1,x"], "numbers from 1"),
        ([".", "--duration", "soon"], "not a length of time"),
        (["."], "no file with content"),
    ],
)
def test_refusals_are_one_line(tmp_path: Path, arguments: list[str], says: str) -> None:
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == ""
    assert says in done.stderr and done.stderr.count("\n") == 1 and done.stderr.startswith("mlscale: ")


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_files_of_somebody_else() -> None:
    code = """
import os, sys
from mlscale.errors import NotPermitted
from mlscale.probe.store import probe_store
os.setgid(65534)
os.setuid(65534)
try:
    probe_store(sys.argv[1], duration_s=0.2, readers=(1,))
except NotPermitted as refused:
    print(refused.exit_code, refused.message)
"""
    with tempfile.TemporaryDirectory(dir="/tmp") as parent:
        os.chmod(parent, 0o755)
        folder = files(Path(parent) / "data", 3, KB20)
        for mode, what in ((0o755, folder / "00"), (0o700, folder)):
            folder.chmod(mode)
            for file in folder.iterdir():
                file.chmod(0o600)
            done = subprocess.run(
                [sys.executable, "-c", code, str(folder)],
                env=environment(),
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.stdout.startswith("3 ") and "may not read it" in done.stdout, (done.stdout, done.stderr)
            assert str(what) in done.stdout


def test_ctrl_c_reports_what_was_read(tmp_path: Path) -> None:
    folder = files(tmp_path / "data", 30, KB20)
    command = [sys.executable, "-m", "mlscale", "probe", "storage", str(folder), "-f", "json", "--duration", "60s"]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "reading" in process.stderr.readline()
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    report = json.loads(out)
    assert report["ended"] == "interrupted" and value(report, "store_reads_per_s") > 0


def test_every_format_and_back(tmp_path: Path) -> None:
    import jsonschema

    folder = files(tmp_path / "data", 10, KB20)
    saved = tmp_path / "probe.json"
    done = run(folder, "--duration", "600ms", "--readers", "1,2", "-o", saved)
    assert done.returncode == 0, done.stderr
    report = json.loads(saved.read_text())
    jsonschema.validate(report, schema())
    for format in ("terminal", "json", "markdown", "html", "jira"):
        shown = subprocess.run(
            [sys.executable, "-m", "mlscale", "report", str(saved), "-f", format],
            env=environment(COLUMNS="80"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert shown.returncode == 0 and shown.stderr == "", shown.stderr
        if format == "json":
            assert json.loads(shown.stdout) == report
        if format == "terminal":
            assert max(map(len, shown.stdout.splitlines())) <= 80
            assert "2 readers" in shown.stdout
