"""A small training job to try mlscale on: real JPEG files, real decoding, real DataLoader workers.

Make each bottleneck and watch the verdict change:

    python examples/train_images.py --workers 1                      # too few workers
    python examples/train_images.py --workers 4 --image-size 1200    # cores used up by decoding
    python examples/train_images.py --workers 2 --store-latency-ms 40
    python examples/train_images.py --workers 2 --step-ms 400        # the accelerator is the limit
    python examples/train_images.py --host-ms 100                    # Python between the steps
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset


class Images(Dataset):
    """JPEG files in a folder: read, decode, resize, crop, normalise."""

    def __init__(self, folder: Path, length: int, crop: int, latency_s: float) -> None:
        self.files = sorted(folder.glob("*.jpg"))
        self.length, self.crop, self.latency_s = length, crop, latency_s

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        if self.latency_s:
            time.sleep(self.latency_s)  # a remote store answers this late
        with Image.open(self.files[index % len(self.files)]) as image:
            pixels = image.convert("RGB").resize((self.crop + 32, self.crop + 32), Image.Resampling.BILINEAR)
        x, y = random.randrange(32), random.randrange(32)
        array = np.asarray(pixels, dtype=np.float32)[y : y + self.crop, x : x + self.crop]
        array = (array / 255 - 0.45) / 0.225
        return torch.from_numpy(array.transpose(2, 0, 1).copy()), index % 10


class Stream(IterableDataset):
    """The same images as a stream, split among the workers."""

    def __init__(self, images: Images) -> None:
        self.images = images

    def __iter__(self) -> Iterator[tuple[torch.Tensor, int]]:
        worker = torch.utils.data.get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        for index in range(first, len(self.images), step):
            yield self.images[index]


def make_images(folder: Path, count: int, size: int) -> Path:
    """Writes JPEG files of `size` x 3/4 `size` pixels with some texture, once."""
    folder = folder / f"{size}px"
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(7)
    for number in range(count):
        path = folder / f"{number:05}.jpg"
        if not path.exists():
            small = noise.integers(0, 255, (size // 8 + 1, size // 6 + 1, 3), dtype=np.uint8)
            image = Image.fromarray(small).resize((size, size * 3 // 4), Image.Resampling.BICUBIC)
            image.save(path.with_suffix(".part"), "JPEG", quality=88)
            path.with_suffix(".part").rename(path)
    return folder


class Accelerator:
    """A GPU where there is one; otherwise a stand-in that takes the same time and no CPU."""

    def __init__(self, step_s: float) -> None:
        self.step_s = step_s
        self.real = torch.cuda.is_available()
        if self.real:
            self.matrix = torch.randn(4096, 4096, device="cuda")
        # Tests make the stand-in visible through a driver of their own; see tests/virtual_nvml.
        self.busy = contextlib.nullcontext
        if os.environ.get("VIRTUAL_NVML_STATE"):
            from tests.virtual_nvml.gpu import VirtualGpu

            self.busy = VirtualGpu().busy

    def train_step(self, batch: torch.Tensor) -> None:
        """One step on one batch."""
        if self.real:
            batch.cuda(non_blocking=True)
            end = time.perf_counter() + self.step_s
            while time.perf_counter() < end:
                self.matrix = torch.nn.functional.normalize(self.matrix @ self.matrix)
                torch.cuda.synchronize()
            return
        with self.busy(self.step_s):
            time.sleep(self.step_s)


def log_metrics(seconds: float, batch: torch.Tensor) -> float:
    """Python work between two steps."""
    end, total = time.perf_counter() + seconds, 0.0
    while time.perf_counter() < end:
        total += sum(float(value) for value in range(50))
    return total


def save_checkpoint(folder: Path, megabytes: int, seconds: float) -> None:
    """Writes the state to disk and waits until it is there; at least `seconds`, as a slow store would take."""
    began = time.perf_counter()
    with open(folder / "checkpoint.pt", "wb") as file:
        torch.save({"weights": torch.zeros(megabytes * 2**18)}, file)
        file.flush()
        os.fsync(file.fileno())
        time.sleep(max(0.0, began + seconds - time.perf_counter()))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--workers", type=int, default=1)
    add("--batch-size", type=int, default=16)
    add("--step-ms", type=float, default=30, help="time of the accelerator for one batch")
    add("--image-size", type=int, default=500, help="width of the stored images, pixels")
    add("--crop", type=int, default=224, help="width of the images that the model takes, pixels")
    add("--images", type=int, default=256, help="number of files")
    add("--epoch-samples", type=int, default=100_000, help="samples in an epoch (files are used again)")
    add("--store-latency-ms", type=float, default=0, help="wait before each read, as a remote store makes you")
    add("--host-ms", type=float, default=0, help="Python work between two steps")
    add("--save-every", type=int, default=0, help="steps between checkpoints; 0: none")
    add("--save-ms", type=float, default=500, help="time that a checkpoint takes at least")
    add("--save-mb", type=int, default=16)
    add("--iterable", action="store_true")
    add("--spawn", action="store_true")
    add("--persistent", action="store_true")
    add("--slow-start", type=float, default=0, metavar="S", help="seconds before the first step, as compilation takes")
    add("--seconds", type=float, default=600, help="ends after this long")
    add("--data", type=Path, default=Path(tempfile.gettempdir()) / "mlscale-example")
    add("--log", type=Path, help="writes the job's own counts here, as JSON lines")
    return parser.parse_args()


def main() -> None:
    args = parse()
    torch.set_num_threads(1)
    folder = make_images(args.data, args.images, args.image_size)
    images = Images(folder, args.epoch_samples, args.crop, args.store_latency_ms / 1e3)
    dataset = Stream(images) if args.iterable else images
    loader = DataLoader(
        dataset,
        batch_size=args.batch_size,
        shuffle=not args.iterable,
        num_workers=args.workers,
        multiprocessing_context="spawn" if args.spawn and args.workers else None,
        persistent_workers=args.persistent and args.workers > 0,
        drop_last=True,
    )
    accelerator = Accelerator(args.step_ms / 1e3)
    print("training on", "a GPU" if accelerator.real else "a simulated accelerator (no GPU is visible)", flush=True)
    log = open(args.log, "a", buffering=1) if args.log else None
    time.sleep(args.slow_start)
    began, steps, waited = time.monotonic(), 0, 0.0
    while time.monotonic() - began < args.seconds:
        asked = time.monotonic()
        for batch, _labels in loader:
            now = time.monotonic()
            waited += now - asked
            accelerator.train_step(batch)
            if args.host_ms:
                log_metrics(args.host_ms / 1e3, batch)
            steps += 1
            if args.save_every and steps % args.save_every == 0:
                save_checkpoint(args.data, args.save_mb, args.save_ms / 1e3)
            if log:
                row = {"t": time.monotonic(), "steps": steps, "samples": steps * args.batch_size, "waited_s": waited}
                log.write(json.dumps(row) + "\n")
            if time.monotonic() - began > args.seconds:
                break
            asked = time.monotonic()


if __name__ == "__main__":
    main()
