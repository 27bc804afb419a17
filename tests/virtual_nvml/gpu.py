"""A GPU that jobs pretend to use: they mark when they are busy, in a file that the virtual driver reads.

Layout of the file: a header of 64 bytes (u32 magic, u32 GPUs, u32 result of nvmlInit, u32 GPM, u32 lost, u32 intensity
in per cent), then 64 bytes for each GPU (u64 nanoseconds busy so far, u64 busy since or 0, u32 pid, u64 until when at most
or 0, at an offset of 24).

With VIRTUAL_NVML_EXACT in the environment the GPU works for as long as it was told to, as a real one does; else until the job
has seen that it is done, which is later where the job's thread has to wait for a core.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

MAGIC = 0x4D4C5343
SLOT = 64


def build_driver(folder: Path) -> Path:
    """Compiles libnvidia-ml.so.1 into `folder`, for LD_LIBRARY_PATH."""
    source = Path(__file__).with_name("nvml.c")
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", folder / "libnvidia-ml.so.1", source], check=True)
    return folder


def make_state(path: Path, *, gpus: int = 1, init: int = 0, gpm: bool = False, intensity: int = 80) -> Path:
    """A new state file. `init`: what nvmlInit answers; `intensity`: of the work, in per cent of power and of the SMs."""
    head = struct.pack("<6I", MAGIC, gpus, init, int(gpm), 0, intensity)
    path.write_bytes(head.ljust(SLOT, b"\0") + bytes(SLOT * gpus))
    return path


def lose(path: Path) -> None:
    """From now on the driver answers: GPU is lost."""
    with open(path, "r+b") as file:
        file.seek(16)
        file.write(struct.pack("<I", 1))


class VirtualGpu:
    """One GPU as a job sees it."""

    def __init__(self, index: int = 0) -> None:
        self._file = open(os.environ["VIRTUAL_NVML_STATE"], "r+b")
        self._map = mmap.mmap(self._file.fileno(), 0)
        self._at = SLOT * (1 + index)
        self._exact = bool(os.environ.get("VIRTUAL_NVML_EXACT"))
        struct.pack_into("<I", self._map, self._at + 16, os.getpid())

    @contextlib.contextmanager
    def busy(self, seconds: float | None = None) -> Iterator[None]:
        """The GPU works while this is open; for `seconds` at most, where it is to be exact."""
        began = time.monotonic_ns()
        until = began + round(seconds * 1e9) if seconds is not None and self._exact else 0
        struct.pack_into("<Q", self._map, self._at + 24, until)
        struct.pack_into("<Q", self._map, self._at + 8, began)
        try:
            yield
        finally:
            ended = time.monotonic_ns()
            total = struct.unpack_from("<Q", self._map, self._at)[0] + min(ended, until or ended) - began
            struct.pack_into("<QQ", self._map, self._at, total, 0)
