"""Two ranks that average their gradients over gloo, under torchrun. One of them may lag."""

from __future__ import annotations

import argparse
import os
import time

import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, Dataset


class Small(Dataset):
    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.full((64,), float(index % 7))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lag-rank", type=int, default=-1)
    parser.add_argument("--lag-ms", type=float, default=0)
    parser.add_argument("--step-ms", type=float, default=20)
    args = parser.parse_args()
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank = int(os.environ["RANK"])
    model = torch.nn.Linear(64, 64)
    for batch in DataLoader(Small(), batch_size=16, num_workers=1):
        model.zero_grad()
        model(batch).sum().backward()
        train_step(args.step_ms)
        if rank == args.lag_rank:
            time.sleep(args.lag_ms / 1e3)
        for parameter in model.parameters():
            dist.all_reduce(parameter.grad)


def train_step(milliseconds: float) -> None:
    time.sleep(milliseconds / 1e3)


if __name__ == "__main__":
    main()
