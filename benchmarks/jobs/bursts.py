"""Known work on a real GPU, one pattern after the other, each counted by torch.profiler: what was busy when, to the nanosecond.

Writes a line of JSON for each pattern. Needs a GPU; nothing here knows mlscale.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

SECONDS = 4.0


def union_s(spans: Sequence[tuple[int, int]]) -> float:
    """Seconds that spans of nanoseconds cover together."""
    covered, end = 0, -1
    for start, stop in sorted(spans):
        covered += max(0, stop - max(start, end))
        end = max(end, stop)
    return covered / 1e9


def bursts(work: Callable[[], object], busy_s: float, idle_s: float) -> Callable[[], None]:
    """The GPU works for `busy_s`, by as many calls as that takes, then rests."""
    for _ in range(5):
        work()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(20):
        work()
    torch.cuda.synchronize()
    calls = max(1, round(busy_s / ((time.perf_counter() - began) / 20)))

    def turn() -> None:
        for _ in range(calls):
            work()
        torch.cuda.synchronize()
        time.sleep(idle_s)

    return turn


def patterns() -> dict[str, Callable[[], None]]:
    """By name: one turn of each."""
    matrix = torch.randn(4096, 4096, device="cuda", dtype=torch.bfloat16)
    small = torch.randn(256, device="cuda")
    wide = torch.randn(256 * 2**20, device="cuda")
    host = torch.empty(64 * 2**20, dtype=torch.uint8, pin_memory=True)
    device = torch.empty(64 * 2**20, dtype=torch.uint8, device="cuda")
    matmul = lambda: matrix @ matrix  # noqa: E731
    found = {
        f"matrix products, {busy} ms of {busy + idle}": bursts(matmul, busy / 1e3, idle / 1e3)
        for busy, idle in ((5, 95), (30, 70), (5, 5), (60, 40), (90, 10), (200, 200), (100, 0))
    }
    found["one addition of a vector at a time"] = bursts(lambda: small.add_(1), 0.1, 0)
    found["additions of 1 GiB"] = bursts(lambda: wide.add_(1), 0.1, 0)
    found["64 MiB to the GPU, half of the time"] = bursts(lambda: device.copy_(host, non_blocking=True), 0.02, 0.02)
    return found


def main() -> None:
    for name, turn in patterns().items():
        turn()
        time.sleep(0.3)
        with profile(activities=[ProfilerActivity.CUDA]) as seen:
            began = time.monotonic()
            while time.monotonic() - began < SECONDS:
                turn()
            torch.cuda.synchronize()
            ended = time.monotonic()
        events = [e for e in seen.profiler.kineto_results.events() if e.device_type() == DeviceType.CUDA]
        events = [e for e in events if e.duration_ns() > 0 and "Sync" not in e.name()]
        spans = [(e.start_ns(), e.start_ns() + e.duration_ns()) for e in events]
        kernels = [span for span, e in zip(spans, events, strict=True) if not e.name().startswith("Mem")]
        row = {"pattern": name, "began": began, "ended": ended, "events": len(events)}
        row |= {"busy": union_s(spans) / (ended - began), "kernels": union_s(kernels) / (ended - began)}
        copies = sum(e.name().startswith("Memcpy HtoD") for e in events)
        row["copied_bytes_per_s"] = 64 * 2**20 * copies / (ended - began)
        print(json.dumps(row), flush=True)
        time.sleep(1)
    print(torch.cuda.get_device_name(), torch.__version__, file=sys.stderr)


if __name__ == "__main__":
    main()
