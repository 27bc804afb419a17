"""Real training: ResNet-50 on JPEG files, or a GPT of 124 million parameters on tokens by memory map, as their users write it.

The loop is asynchronous: nothing waits for the GPU but the loss that is logged every ten steps. Needs torchvision, and a GPU
(`--device cpu` only tries the program).
"""

from __future__ import annotations

import argparse
import io
import os
import socket
import struct
import time
from pathlib import Path

import numpy as np
import torch
from benchmarks.jobs.common import Counts, options
from PIL import Image
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.models import resnet50

LOG_EVERY = 10
PREPARE = transforms.Compose(
    [
        transforms.RandomResizedCrop(224),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ]
)


class Jpegs(Dataset):
    """ImageNet's usual preparation. From a folder, or from a server of its files (tests/faults/object_store.py)."""

    def __init__(self, folder: Path, port: int) -> None:
        self.files, self.port = sorted(folder.glob("*.jpg")), port
        self.connection: socket.socket | None = None

    def __len__(self) -> int:
        return 1_281_167

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        path = self.files[index % len(self.files)]
        with Image.open(io.BytesIO(self._fetched(path.name)) if self.port else path) as image:
            return PREPARE(image.convert("RGB")), index % 1000

    def _fetched(self, name: str) -> bytes:
        if self.connection is None:
            self.connection = socket.create_connection(("127.0.0.1", self.port))
        self.connection.sendall(name.encode() + b"\n")
        return self._received(struct.unpack("<I", self._received(4))[0])

    def _received(self, count: int) -> bytes:
        assert self.connection is not None
        parts = bytearray()
        while len(parts) < count:
            parts += self.connection.recv(count - len(parts))
        return bytes(parts)


class Tokens(Dataset):
    """A window of tokens somewhere in a file."""

    def __init__(self, path: Path, length: int) -> None:
        self.tokens, self.length = np.memmap(path, np.uint16, "r"), length

    def __len__(self) -> int:
        return 10_000_000

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        at = index * 7919 % (len(self.tokens) - self.length - 1)
        window = torch.from_numpy(self.tokens[at : at + self.length + 1].astype(np.int64))
        return window[:-1], window[1:]


class Gpt(nn.Module):
    """GPT-2's small size: 12 layers of 768, 50304 tokens."""

    def __init__(self, length: int, width: int = 768, layers: int = 12, vocabulary: int = 50304) -> None:
        super().__init__()
        self.token, self.place = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, width // 64, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(layers)
        )
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(length))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (batch, length) to scores of what follows each (batch, length, vocabulary)."""
        hidden = self.token(tokens) + self.place.weight[: tokens.shape[1]]
        for layer in self.layers:
            hidden = layer(hidden, src_mask=self.mask, is_causal=True)
        return self.head(self.norm(hidden))


def make_images(folder: Path, width: int, count: int = 512) -> Path:
    """JPEG files of `width` x 3/4 `width` pixels, once."""
    folder = folder / f"{width}px"
    if not folder.exists():
        folder.mkdir(parents=True)
        noise = np.random.default_rng(7)
        for number in range(count):
            coarse = noise.integers(0, 255, (width // 8, width // 6, 3), dtype=np.uint8)
            image = Image.fromarray(coarse).resize((width, width * 3 // 4), Image.Resampling.BICUBIC)
            image.save(folder / f"{number:05}.jpg", "JPEG", quality=88)
    return folder


def make_tokens(path: Path, count: int = 50_000_000) -> Path:
    """Tokens without a meaning, once."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.random.default_rng(7).integers(0, 50257, count, dtype=np.uint16).tofile(path)
    return path


def save(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """A checkpoint, on the disk when this returns."""
    with path.open("wb") as file:
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
        file.flush()
        os.fsync(file.fileno())


def augment_labels(seconds: float) -> float:
    """Python work in the loop."""
    end, total = time.perf_counter() + seconds, 0.0
    while time.perf_counter() < end:
        total += sum(float(value) for value in range(50))
    return total


def parse() -> argparse.Namespace:
    return options(
        model="resnet50",
        batch_size=128,
        length=1024,
        image_size=400,
        port=0,
        host_ms=0.0,
        save_every=0,
        graphs=0,
        device="cuda",
    )


def main() -> None:
    args = parse()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.benchmark = True
    images = args.model == "resnet50"
    model: nn.Module
    data: Dataset
    if images:
        data = Jpegs(make_images(args.data, args.image_size), args.port)
        model = resnet50().to(args.device, memory_format=torch.channels_last)
        sample = torch.randn(args.batch_size, 3, 224, 224, device=args.device)
        sample = sample.contiguous(memory_format=torch.channels_last)
        optimizer: torch.optim.Optimizer = torch.optim.SGD(
            model.parameters(), 0.1, momentum=0.9, weight_decay=1e-4, fused=bool(args.graphs)
        )
    else:
        data = Tokens(make_tokens(args.data / "tokens.bin"), args.length)
        model = Gpt(args.length).to(args.device)
        sample = torch.zeros(args.batch_size, args.length, dtype=torch.int64, device=args.device)
        optimizer = torch.optim.AdamW(model.parameters(), 3e-4, fused=bool(args.graphs))
    precision = torch.autocast(args.device, torch.bfloat16, cache_enabled=not args.graphs)
    run = model
    if args.graphs:  # forward and backward become one launch each
        with precision:
            run = torch.cuda.make_graphed_callables(model, (sample,))
    loader = DataLoader(
        data,
        args.batch_size,
        shuffle=True,
        num_workers=args.workers,
        pin_memory=args.device == "cuda",
        persistent_workers=args.workers > 0,
        drop_last=True,
    )
    counts = Counts(args.log)
    asked = time.monotonic()
    for inputs, targets in loader:
        waited = time.monotonic() - asked
        inputs = inputs.to(args.device, non_blocking=True)
        targets = targets.to(args.device, non_blocking=True)
        if images:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        with precision:
            answers = run(inputs)
            loss = functional.cross_entropy(answers.flatten(0, -2), targets.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        steps = counts.steps + 1
        if steps % LOG_EVERY == 0:
            loss.item()
        if args.host_ms:
            augment_labels(args.host_ms / 1e3)
        if args.save_every and steps % args.save_every == 0:
            save(args.data / "checkpoint.pt", model, optimizer)
        counts.add(len(inputs), waited)
        asked = time.monotonic()


if __name__ == "__main__":
    main()
