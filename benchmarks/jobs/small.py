"""Many small files in folders by class, as torchvision's ImageFolder has them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch
from benchmarks.jobs.common import Counts, accelerator, options
from torch.utils.data import DataLoader, Dataset


class Folder(Dataset):
    """All files below a folder."""

    def __init__(self, root: Path, cpu_ms: float) -> None:
        self.files = sorted(os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names)
        self.cpu_s = cpu_ms / 1e3

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, index: int) -> torch.Tensor:
        with open(self.files[index * 7919 % len(self.files)], "rb") as file:
            data = file.read()
        end = time.thread_time() + self.cpu_s
        while time.thread_time() < end:
            sum(data[:100])
        return torch.frombuffer(bytearray(data[:2048]), dtype=torch.uint8)


def make(root: Path, count: int = 4000) -> Path:
    for number in range(count):
        path = root / str(number % 40) / f"{number}.bin"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(3000))
    return root


def main() -> None:
    args = options(cpu_ms=0.1)
    torch.set_num_threads(1)
    data = Folder(args.data, args.cpu_ms)
    train_step, counts = accelerator(args.step_ms), Counts(args.log)
    asked = time.monotonic()
    for batch in DataLoader(data, batch_size=32, shuffle=True, num_workers=args.workers):
        waited = time.monotonic() - asked
        train_step()
        counts.add(len(batch), waited)
        asked = time.monotonic()


if __name__ == "__main__":
    main()
