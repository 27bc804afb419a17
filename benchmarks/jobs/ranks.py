"""Ranks that train together, each with its loader of small files and its GPU, and average their gradients over gloo.

    python -m benchmarks.jobs.ranks --data FOLDER --workers 1 [--log FILE]

One of them may do more than the others in each step. Rank 0 counts for all.
"""

from __future__ import annotations

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

LOG = "MLSCALE_BENCHMARK_LOG"  # torchrun takes `--log` for one of its own options, wherever it stands


def launch() -> None:
    """Becomes torchrun with two ranks on this machine."""
    at = sys.argv.index("--log") if "--log" in sys.argv else len(sys.argv)
    os.environ[LOG] = "".join(sys.argv[at + 1 : at + 2])
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    os.execv(sys.executable, [*run, "-m", "benchmarks.jobs.ranks", *sys.argv[1:at], *sys.argv[at + 2 :]])


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
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(64, 64))
    train_step = accelerator(args.step_ms, int(os.environ["LOCAL_RANK"]))
    counts = Counts(Path(os.environ[LOG]) if rank == 0 and os.environ.get(LOG) else None)
    loader = DataLoader(data, batch_size=32, num_workers=args.workers, sampler=DistributedSampler(data))
    asked = time.monotonic()
    for batch in loader:
        waited = time.monotonic() - asked
        model.zero_grad()
        loss = model(batch[:, :64].float()).sum()
        train_step()
        if rank == args.lag_rank:
            log_statistics(args.lag_ms / 1e3)
        loss.backward()
        counts.add(len(batch) * world, waited)
        asked = time.monotonic()


if __name__ == "__main__":
    main() if "RANK" in os.environ else launch()
