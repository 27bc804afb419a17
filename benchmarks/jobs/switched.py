"""Files, a step and checkpoints, whose faults are switched from outside while it trains: by a file of four numbers."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from benchmarks.jobs.common import Counts, accelerator, options
from torch.utils.data import DataLoader, Dataset

NUMBERS = ("cpu_ms", "host_ms", "save_ms", "save_every")  # of a sample; of a step; of a checkpoint


def switch(control: Path, **values: float) -> None:
    """Writes the numbers in place: a running job sees them at once. What is not given is 0."""
    if not control.exists():
        control.write_bytes(bytes(8 * len(NUMBERS)))
    np.memmap(control, dtype=np.float64, mode="r+")[:] = [values.get(name, 0.0) for name in NUMBERS]


def work(seconds: float) -> None:
    """Pure Python for so much CPU time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(50))


class Files(Dataset):
    """One file, one sample; then as much computing as the control file says."""

    def __init__(self, folder: Path, control: Path) -> None:
        self.files = sorted(folder.iterdir())
        self.numbers = np.memmap(control, dtype=np.float64, mode="r")

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, index: int) -> torch.Tensor:
        data = self.files[index % len(self.files)].read_bytes()
        work(self.numbers[0] / 1e3)
        return torch.frombuffer(bytearray(data[:4096]), dtype=torch.uint8)


def log_statistics(seconds: float) -> None:
    """Python between two steps."""
    work(seconds)


def save_checkpoint(folder: Path, seconds: float) -> None:
    """Takes so long."""
    began = time.monotonic()
    torch.save(torch.zeros(100_000), folder / "model.pt")
    time.sleep(max(0.0, seconds - (time.monotonic() - began)))


def main() -> None:
    args = options(control="")
    torch.set_num_threads(1)
    control = Path(args.control)
    numbers = np.memmap(control, dtype=np.float64, mode="r")
    train_step, counts = accelerator(args.step_ms), Counts(args.log)
    loader = DataLoader(Files(args.data, control), batch_size=16, num_workers=args.workers)
    asked = time.monotonic()
    for steps, batch in enumerate(loader, 1):
        waited = time.monotonic() - asked
        train_step()
        log_statistics(numbers[1] / 1e3)
        if numbers[3] and steps % int(numbers[3]) == 0:
            save_checkpoint(control.parent, numbers[2] / 1e3)
        counts.add(len(batch), waited)
        asked = time.monotonic()


if __name__ == "__main__":
    main()
