"""Images whose every single sample is counted where another process can read it: the finest clock a job can offer.

The same file each time, so that all samples cost the same; the counts, one 8-byte integer per worker, are in the file `--log`
with `.counts` after its name.
"""

from __future__ import annotations

import mmap
import struct
import time
from pathlib import Path

import torch
from benchmarks.jobs.common import Counts, accelerator, options
from examples.train_images import Images, make_images
from torch.utils.data import DataLoader, Dataset, get_worker_info


class Counted(Dataset):
    """One image, again and again."""

    def __init__(self, images: Images, counts: Path, workers: int) -> None:
        self.images = images
        counts.write_bytes(bytes(8 * workers))
        with counts.open("r+b") as file:
            self.counts = mmap.mmap(file.fileno(), 8 * workers)  # shared with the workers, who are forked

    def __len__(self) -> int:
        return 100_000_000

    def __getitem__(self, index: int) -> torch.Tensor:
        pixels, _ = self.images[0]
        place = 8 * get_worker_info().id
        struct.pack_into("q", self.counts, place, struct.unpack_from("q", self.counts, place)[0] + 1)
        return pixels


def main() -> None:
    args = options()
    torch.set_num_threads(1)
    images = Images(make_images(args.data, 1, 256), 1, 224, 0.0)
    dataset = Counted(images, args.log.with_suffix(".counts"), args.workers)
    sampler = torch.utils.data.SequentialSampler(dataset)
    loader = DataLoader(dataset, batch_size=16, sampler=sampler, num_workers=args.workers)
    train_step, counts = accelerator(args.step_ms), Counts(args.log)
    asked = time.monotonic()
    for batch in loader:
        waited = time.monotonic() - asked
        train_step()
        counts.add(len(batch), waited)
        asked = time.monotonic()


if __name__ == "__main__":
    main()
