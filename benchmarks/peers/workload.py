"""The training loop that all tools watch: files through a DataLoader, a small model whose step takes time, and its faults."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from benchmarks.jobs.common import Counts, accelerator
from benchmarks.jobs.switched import log_statistics, save_checkpoint, work
from torch import nn
from torch.utils.data import DataLoader, Dataset

BATCH = 16


class Files(Dataset):
    """One file, one sample, with so much computing. `cached`: all files in memory, as DS-Analyzer's second run has them."""

    def __init__(self, folder: Path, cpu_ms: float, cached: bool = False) -> None:
        self.files, self.cpu_ms = sorted(folder.iterdir()), cpu_ms
        self.cached = [path.read_bytes() for path in self.files] if cached else None

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, index: int) -> torch.Tensor:
        number = index % len(self.files)
        data = self.cached[number] if self.cached else self.files[number].read_bytes()
        work(self.cpu_ms / 1e3)
        return torch.frombuffer(bytearray(data[:4096]), dtype=torch.uint8)


class Model(nn.Module):
    """A linear layer behind a step that takes time, and no CPU."""

    def __init__(self, step_ms: float) -> None:
        super().__init__()
        self.step, self.linear = accelerator(step_ms), nn.Linear(16, 1)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """The step, and a loss."""
        self.step()
        return self.linear(batch[:, :16].float()).mean()


class Workload:
    """What the command line asks for."""

    def __init__(self) -> None:
        parser = argparse.ArgumentParser()
        add = parser.add_argument
        add("--data", type=Path, required=True)
        add("--workers", type=int, default=2)
        add("--step-ms", type=float, default=40)
        add("--cpu-ms", type=float, default=0.3)
        add("--host-ms", type=float, default=0)
        add("--save-ms", type=float, default=0)
        add("--seconds", type=float, default=15)
        add("--log", type=Path)
        self.args = parser.parse_args()
        torch.set_num_threads(1)
        self.counts = Counts(self.args.log)
        self.model = Model(self.args.step_ms)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01)
        self.began = self.first = time.monotonic()

    def dataset(self, cached: bool = False) -> Dataset:
        """The data."""
        return Files(self.args.data, self.args.cpu_ms, cached)

    def loader(self, cached: bool = False) -> DataLoader:
        """Batches."""
        return DataLoader(self.dataset(cached), batch_size=BATCH, num_workers=self.args.workers)

    def step(self, batch: torch.Tensor) -> None:
        """One training step."""
        self.optimizer.zero_grad(set_to_none=True)
        self.model(batch).backward()
        self.optimizer.step()

    def between(self) -> bool:
        """Host work, a save each 20 steps, and the count. False when time is over."""
        log_statistics(self.args.host_ms / 1e3)
        if self.args.save_ms and self.counts.steps % 20 == 19:
            save_checkpoint(Path("/tmp"), self.args.save_ms / 1e3)
        self.counts.add(BATCH, 0.0)
        if self.counts.steps == 10:
            self.first = time.monotonic()  # the first ones pay for starting
        return time.monotonic() - self.began < self.args.seconds

    @property
    def samples_per_s(self) -> float:
        """By its own count, from the tenth step on."""
        return (self.counts.steps - 10) * BATCH / (time.monotonic() - self.first)


def tell(workload: Workload, said: str) -> None:
    """The line that the benchmark reads."""
    print("PEER " + json.dumps({"said": said, "samples_per_s": workload.samples_per_s}), flush=True)
    sys.stdout.flush()


def run(watch: Callable[[Workload], str]) -> None:
    """A peer's `main`."""
    workload = Workload()
    tell(workload, watch(workload))
