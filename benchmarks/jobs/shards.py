"""WebDataset: JPEG images in tar shards, read one after the other, shuffled in a buffer."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
import torch
import webdataset
from benchmarks.jobs.common import Counts, accelerator, options
from PIL import Image


def make(folder: Path, shards: int = 4, each: int = 100, size: int = 400) -> list[str]:
    """Tar files of small JPEGs."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(5)
    for shard in range(shards):
        path = folder / f"{shard}.tar"
        if path.exists():
            continue
        with webdataset.TarWriter(str(path)) as writer:
            for number in range(each):
                noise = random.integers(0, 255, (size // 8, size // 8, 3), dtype=np.uint8)
                data = io.BytesIO()
                Image.fromarray(noise).resize((size, size)).save(data, "JPEG")
                writer.write({"__key__": f"{shard}{number:04}", "jpg": data.getvalue(), "cls": number % 10})
    return [str(folder / f"{shard}.tar") for shard in range(shards)]


def prepare(sample: tuple[Image.Image, int]) -> tuple[torch.Tensor, int]:
    """As the model takes it."""
    image, label = sample
    pixels = np.asarray(image.convert("RGB").resize((224, 224)), dtype=np.float32)
    return torch.from_numpy(pixels / 255), label


def main() -> None:
    args = options(size=400)
    torch.set_num_threads(1)
    urls = make(args.data / str(args.size), size=args.size)
    data = webdataset.WebDataset(urls, resampled=True, shardshuffle=False).shuffle(100).decode("pil")
    data = data.to_tuple("jpg", "cls").map(prepare).batched(16)
    batches = iter(webdataset.WebLoader(data, batch_size=None, num_workers=args.workers))
    step, counts = accelerator(args.step_ms), Counts(args.log)
    while True:
        asked = time.monotonic()
        images, _labels = next(batches)
        waited = time.monotonic() - asked
        step()
        counts.add(len(images), waited)


if __name__ == "__main__":
    main()
