"""Small training jobs, each with one kind of loader. They look like what people write: nothing here knows mlscale.

Each writes its own truth (--log): JSON lines with the time, steps, samples, and seconds spent in the loader's next().
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

BATCH = 16


class Files(Dataset):
    """Reads whole files, and computes a little."""

    def __init__(self, folder: Path, cpu_s: float) -> None:
        self.files, self.cpu_s = sorted(folder.iterdir()), cpu_s

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, index: int) -> torch.Tensor:
        data = self.files[index % len(self.files)].read_bytes()
        work(self.cpu_s)
        return torch.frombuffer(bytearray(data[:4096]), dtype=torch.uint8)


class Tokens(Dataset):
    """Rows of one large file of tokens, through a memory map."""

    def __init__(self, path: Path, row: int = 65536) -> None:
        self.path, self.row = path, row
        self.rows = path.stat().st_size // row

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, index: int) -> torch.Tensor:
        tokens = np.memmap(self.path, dtype=np.uint8, mode="r")
        start = (index * 7919 % self.rows) * self.row
        return torch.from_numpy(tokens[start : start + self.row].copy())


class Remote(Dataset):
    """Objects of a server far away."""

    def __init__(self, folder: Path, port: int) -> None:
        self.names, self.port = sorted(path.name for path in folder.iterdir()), port
        self.connection: socket.socket | None = None

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, index: int) -> torch.Tensor:
        if self.connection is None:
            self.connection = socket.create_connection(("127.0.0.1", self.port))
        self.connection.sendall(self.names[index % len(self.names)].encode() + b"\n")
        length = struct.unpack("<I", self._receive(4))[0]
        return torch.frombuffer(bytearray(self._receive(length)[:4096]), dtype=torch.uint8)

    def _receive(self, count: int) -> bytes:
        assert self.connection is not None
        parts = b""
        while len(parts) < count:
            parts += self.connection.recv(count - len(parts))
        return parts


def work(seconds: float) -> int:
    """Pure Python for so much CPU time."""
    end, total = time.thread_time() + seconds, 0
    while time.thread_time() < end:
        total += sum(range(50))
    return total


def threaded(count: int, cpu_s: float) -> Iterable[torch.Tensor]:
    """A home-made loader: threads that prepare batches in Python, and a queue."""
    ready: queue.Queue[torch.Tensor] = queue.Queue(maxsize=8)

    def prepare() -> None:
        while True:
            for _ in range(BATCH):
                work(cpu_s)
            ready.put(torch.zeros(BATCH, 16))

    for _ in range(count):
        threading.Thread(target=prepare, daemon=True).start()
    while True:
        yield ready.get()


def log_statistics(seconds: float) -> None:
    """Python between two steps."""
    work(seconds)


def save_checkpoint(folder: Path, seconds: float) -> None:
    began = time.monotonic()
    with open(folder / "model.pt", "wb") as file:
        torch.save(torch.zeros(1_000_000), file)
        os.fsync(file.fileno())
    time.sleep(max(0.0, seconds - (time.monotonic() - began)))


def evaluate(seconds: float) -> None:
    time.sleep(seconds)


def make_step(step_s: float) -> Callable[[], None]:
    """The accelerator: it takes time, and no CPU."""
    busy: Callable[[float], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
    if os.environ.get("VIRTUAL_NVML_STATE"):
        from tests.virtual_nvml.gpu import VirtualGpu

        busy = VirtualGpu().busy

    def train_step() -> None:
        with busy(step_s):
            time.sleep(step_s)

    return train_step


def main() -> None:
    parser = argparse.ArgumentParser()
    add = parser.add_argument
    add("kind", choices=["files", "tokens", "remote", "threads"])
    add("--data", type=Path, default=Path("."))
    add("--workers", type=int, default=2)
    add("--port", type=int, default=0)
    add("--cpu-ms", type=float, default=0.5, help="preparation of one sample")
    add("--step-ms", type=float, default=20)
    add("--host-ms", type=float, default=0)
    add("--save-every", type=int, default=0)
    add("--save-ms", type=float, default=300)
    add("--evaluate-every", type=int, default=0)
    add("--epoch", type=int, default=0, help="batches in an epoch; 0: endless")
    add("--slow-start", type=float, default=0)
    add("--seconds", type=float, default=600)
    add("--log", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    data: Dataset[torch.Tensor]
    if args.kind == "threads":
        batches: Iterable[torch.Tensor] = threaded(args.workers, args.cpu_ms / 1e3)
    else:
        if args.kind == "files":
            data = Files(args.data, args.cpu_ms / 1e3)
        elif args.kind == "tokens":
            data = Tokens(args.data)
        else:
            data = Remote(args.data, args.port)
        batches = DataLoader(data, batch_size=BATCH, num_workers=args.workers)
    train_step = make_step(args.step_ms / 1e3)
    log = open(args.log, "a", buffering=1) if args.log else None
    time.sleep(args.slow_start)
    ends, steps, waited = time.monotonic() + args.seconds, 0, 0.0
    while time.monotonic() < ends:
        asked = time.monotonic()
        for number, _batch in enumerate(batches, 1):
            waited += time.monotonic() - asked
            train_step()
            if args.host_ms:
                log_statistics(args.host_ms / 1e3)
            steps += 1
            if args.save_every and steps % args.save_every == 0:
                save_checkpoint(args.log.parent if args.log else Path("."), args.save_ms / 1e3)
            if args.evaluate_every and steps % args.evaluate_every == 0:
                evaluate(2.0)
            if log:
                row = {"t": time.monotonic(), "steps": steps, "samples": steps * BATCH, "waited_s": waited}
                log.write(json.dumps(row) + "\n")
            if time.monotonic() > ends or (args.epoch and number >= args.epoch):
                break
            asked = time.monotonic()


if __name__ == "__main__":
    main()
