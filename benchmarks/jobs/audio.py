"""Speech: WAV files into log-mel spectrograms, batches of unequal clips padded by the collate function."""

from __future__ import annotations

import time
import wave
from pathlib import Path

import numpy as np
import torch
from benchmarks.jobs.common import Counts, accelerator, options
from torch.utils.data import DataLoader, Dataset

RATE = 16_000


class Clips(Dataset):
    """One file, one clip."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.glob("*.wav"))
        self.window = torch.hann_window(400)

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, index: int) -> torch.Tensor:
        with wave.open(str(self.files[index % len(self.files)])) as file:
            pcm = np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16)
        wave_form = torch.from_numpy(pcm.astype(np.float32) / 32768)
        spectrum = torch.stft(wave_form, 400, 160, window=self.window, return_complex=True).abs()
        return torch.log1p(spectrum[:80])


def pad(clips: list[torch.Tensor]) -> torch.Tensor:
    """As long as the longest."""
    longest = max(clip.shape[1] for clip in clips)
    return torch.stack([torch.nn.functional.pad(clip, (0, longest - clip.shape[1])) for clip in clips])


def make(folder: Path, count: int = 200) -> Path:
    """Clips of 2 to 15 seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(3)
    for number in range(count):
        path = folder / f"{number:04}.wav"
        if not path.exists():
            with wave.open(str(path), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(RATE)
                length = int(random.uniform(2, 15) * RATE)
                file.writeframes(random.integers(-9000, 9000, length, dtype=np.int16).tobytes())
    return folder


def main() -> None:
    args = options()
    torch.set_num_threads(1)
    loader = DataLoader(Clips(make(args.data)), batch_size=16, shuffle=True, num_workers=args.workers, collate_fn=pad)
    train_step, counts = accelerator(args.step_ms), Counts(args.log)
    asked = time.monotonic()
    for batch in loader:
        waited = time.monotonic() - asked
        train_step()
        counts.add(len(batch), waited)
        asked = time.monotonic()


if __name__ == "__main__":
    main()
