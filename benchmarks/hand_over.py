"""What it costs to get a batch from a worker of PyTorch's DataLoader, by the number of its tensors.

Run: python benchmarks/hand_over.py     some 20 seconds, on an idle machine. Needs the extra `demo`.
The constants LEAST_TAKE_OVER_S and LEAST_HAND_OVER_S of mlscale.model.whatif come from here.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from mlscale.observe import proc

BATCHES, STEP_S = 1000, 0.005
TENSORS, BYTES = (1, 2, 4), (32, 400_000, 4_000_000)


class Nothing(Dataset[int]):
    """Samples that cost nothing."""

    def __len__(self) -> int:
        return 100_000_000

    def __getitem__(self, index: int) -> int:
        return index


class Batch:
    """A collate_fn that gives so many fresh tensors."""

    def __init__(self, tensors: int, size_bytes: int) -> None:
        self.tensors = [torch.zeros(size_bytes // 4) for _ in range(tensors)]

    def __call__(self, samples: Any) -> list[torch.Tensor]:
        """A batch."""
        return [tensor.clone() for tensor in self.tensors]


def measure(tensors: int, size_bytes: int) -> tuple[float, float, float]:
    """Seconds per batch: to take one over that is ready, and the CPU time of the training thread and of the worker."""
    data = Nothing()
    order = torch.utils.data.SequentialSampler(data)
    batches: Any = iter(DataLoader(data, 1, sampler=order, num_workers=1, collate_fn=Batch(tensors, size_bytes)))
    for _ in range(50):
        next(batches)
    worker = batches._workers[0].pid
    own, theirs = time.thread_time(), proc.stat(worker).cpu_s
    for _ in range(BATCHES):
        next(batches)
    own, theirs = time.thread_time() - own, proc.stat(worker).cpu_s - theirs
    taking = 0.0
    for _ in range(100):
        time.sleep(STEP_S)  # by then the next one is ready
        began = time.monotonic()
        next(batches)
        taking += time.monotonic() - began
    return taking / 100, own / BATCHES, theirs / BATCHES


def main() -> None:
    torch.set_num_threads(1)
    print("| tensors | bytes of each | taking over | CPU of the training thread | CPU of the worker |")
    print("|---|---|---|---|---|")
    for tensors, size_bytes in [(tensors, BYTES[0]) for tensors in TENSORS] + [(1, size) for size in BYTES[1:]]:
        found = " | ".join(f"{seconds * 1e3:.2f} ms" for seconds in measure(tensors, size_bytes))
        print(f"| {tensors} | {size_bytes} | {found} |")


if __name__ == "__main__":
    main()
