"""Real faults for real jobs: throttled disks, quotas, pinned cores, slow mounts. Each raises where it cannot be made."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def cgroup(controller: str, settings: dict[str, str]) -> Iterator[Path]:
    """A cgroup (v1) with settings, e.g. {"blkio.throttle.read_bps_device": "254:0 25000000"}. Join with `join`."""
    parent = _CGROUP / controller
    if not parent.is_dir():
        raise RuntimeError(f"no cgroup v1 controller {controller} here: this test needs root on such a machine")
    folder = parent / f"mlscale-test-{os.getpid()}-{time.monotonic_ns()}"
    folder.mkdir()
    try:
        for name, value in settings.items():
            (folder / name).write_text(value)
        yield folder
    finally:
        for _ in range(100):
            for pid in (folder / "cgroup.procs").read_text().split():
                with contextlib.suppress(OSError):
                    (parent / "cgroup.procs").write_text(pid)
            with contextlib.suppress(OSError):
                folder.rmdir()
                break
            time.sleep(0.05)


def join(folder: Path) -> list[str]:
    """A command prefix that moves what follows into a cgroup."""
    return ["sh", "-c", f'echo $$ > {folder}/cgroup.procs && exec "$@"', "sh"]


def disk_of(path: Path) -> str:
    """The whole disk below a path, as "major:minor"."""
    device = os.stat(path).st_dev
    name = f"{os.major(device)}:{os.minor(device)}"
    whole = Path(f"/sys/dev/block/{name}")
    if (whole / "partition").exists():
        return (whole.resolve().parent / "dev").read_text().strip()
    return name


@contextlib.contextmanager
def throttled_reads(path: Path, bytes_per_s: int) -> Iterator[list[str]]:
    """Reads from the disk below `path` are held to a rate, for commands with the prefix that this gives."""
    with cgroup("blkio", {"blkio.throttle.read_bps_device": f"{disk_of(path)} {bytes_per_s}"}) as folder:
        yield join(folder)


@contextlib.contextmanager
def cpu_quota(cores: float) -> Iterator[list[str]]:
    """A container's CPU quota, for commands with the prefix that this gives."""
    settings = {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": str(int(cores * 100_000))}
    with cgroup("cpu", settings) as folder:
        yield join(folder)


def one_core() -> list[str]:
    """Pins what follows to the first core."""
    return ["taskset", "-c", str(min(os.sched_getaffinity(0)))]


@contextlib.contextmanager
def cold(files: Sequence[Path], every_s: float = 0.5) -> Iterator[None]:
    """Keeps files out of the page cache, as a data set larger than memory would be."""
    for path in files:  # what is dirty cannot be dropped
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    stop = threading.Event()

    def drop() -> None:
        while not stop.is_set():
            for path in files:
                with contextlib.suppress(OSError):
                    fd = os.open(path, os.O_RDONLY)
                    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                    os.close(fd)
            stop.wait(every_s)

    thread = threading.Thread(target=drop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def cpu_hogs(count: int) -> Iterator[list[int]]:
    """Processes of someone else that compute all the time. Gives their pids."""
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield [hog.pid for hog in hogs]
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


@contextlib.contextmanager
def slow_mount(source: Path, point: Path, latency_ms: float | Path) -> Iterator[Path]:
    """`source` seen through a FUSE mount that answers each read late; a file may hold how late, and change."""
    point.mkdir(exist_ok=True)
    script = Path(__file__).with_name("slow_fuse.py")
    server = subprocess.Popen([sys.executable, str(script), str(source), str(point), str(latency_ms)])
    try:
        for _ in range(200):
            if os.path.ismount(point):
                break
            if server.poll() is not None:
                raise RuntimeError("the FUSE server did not start: apt-get install fuse libfuse2")
            time.sleep(0.05)
        yield point
    finally:
        subprocess.run(["umount", "-l", str(point)], check=False)
        server.terminate()
        server.wait()


@contextlib.contextmanager
def object_store(source: Path, latency_ms: float, bytes_per_s: float | None = None) -> Iterator[int]:
    """A server of the files in `source` that answers late, or slowly, over TCP. Gives its port."""
    script = Path(__file__).with_name("object_store.py")
    server = subprocess.Popen(
        [sys.executable, str(script), str(source), str(latency_ms), *([str(bytes_per_s)] if bytes_per_s else [])],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        yield int(server.stdout.readline())
    finally:
        server.terminate()
        server.wait()
