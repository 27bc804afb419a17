"""Ranks that train together, each with its loader of small files and its GPU, and average their gradients over gloo.

    torchrun --nproc-per-node 2 -m benchmarks.jobs.ranks --data FOLDER --workers 1

One of them may do more than the others in each step. Rank 0 counts for all.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path

import torch
import torch.distributed as dist
from benchmarks.jobs.common import Counts, accelerator, options
from benchmarks.jobs.small import Folder
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler


def command(data: Path, *arguments: object) -> list[str]:
    """Two ranks on this machine, as torchrun starts them."""
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return [*run, "-m", "benchmarks.jobs.ranks", "--data", str(data), *map(str, arguments)]


def log_statistics(seconds: float) -> None:
    """Python between two steps."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(50))


def main() -> None:
    args = options(cpu_ms=0.1, lag_rank=-1, lag_ms=0.0)
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    data = Folder(args.data, args.cpu_ms)
    model = torch.nn.Linear(64, 64)
    train_step = accelerator(args.step_ms, int(os.environ["LOCAL_RANK"]))
    counts = Counts(args.log if rank == 0 else None)
    loader = DataLoader(data, batch_size=32, num_workers=args.workers, sampler=DistributedSampler(data))
    asked = time.monotonic()
    for batch in loader:
        waited = time.monotonic() - asked
        model.zero_grad()
        model(batch[:, :64].float()).sum().backward()
        train_step()
        if rank == args.lag_rank:
            log_statistics(args.lag_ms / 1e3)
        for parameter in model.parameters():
            dist.all_reduce(parameter.grad)
        counts.add(len(batch) * world, waited)
        asked = time.monotonic()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
