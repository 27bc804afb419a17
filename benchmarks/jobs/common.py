"""What all jobs of the benchmark share: the accelerator's stand-in, and the job's own counts. Nothing here knows mlscale."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path


def options(**defaults: object) -> argparse.Namespace:
    """--workers, --step-ms, --data and --log, and what a job adds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--step-ms", type=float, default=20)
    parser.add_argument("--data", type=Path, default=Path("."))
    parser.add_argument("--log", type=Path)
    for name, value in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    return parser.parse_args()


def accelerator(step_ms: float, index: int = 0) -> Callable[[], None]:
    """One step on a GPU: it takes time, and no CPU. Visible to NVML where the benchmark's virtual driver is set up."""
    busy: Callable[[float], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
    if os.environ.get("VIRTUAL_NVML_STATE"):
        from tests.virtual_nvml.gpu import VirtualGpu

        busy = VirtualGpu(index).busy

    def step() -> None:
        with busy(step_ms / 1e3):
            time.sleep(step_ms / 1e3)

    return step


class Counts:
    """Writes a line after each step: time, steps, samples, seconds spent waiting for data."""

    def __init__(self, path: Path | None) -> None:
        self.file = open(path, "a", buffering=1) if path else None
        self.steps = self.samples = 0
        self.waited_s = 0.0

    def add(self, samples: int, waited_s: float) -> None:
        """Counts a step."""
        self.steps, self.samples, self.waited_s = self.steps + 1, self.samples + samples, self.waited_s + waited_s
        if self.file:
            row = {"t": time.monotonic(), "steps": self.steps, "samples": self.samples, "waited_s": self.waited_s}
            self.file.write(json.dumps(row) + "\n")
