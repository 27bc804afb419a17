"""A home-made loader: a pool of threads that unpack batches ahead of the loop. zlib lets the interpreter lock go."""

from __future__ import annotations

import collections
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from benchmarks.jobs.common import Counts, accelerator, options

AHEAD = 4


def main() -> None:
    args = options(sleeps=1, blobs=8)  # a step is so many waits, one after the other; a batch, so many blobs
    packed = [
        zlib.compress(np.random.default_rng(seed).integers(0, 8, 500_000, dtype=np.uint8).tobytes())
        for seed in range(20)
    ]

    def prepare(number: int) -> list[bytes]:
        return [zlib.decompress(packed[(number + k) % len(packed)])[:100] for k in range(args.blobs)]

    step, counts = accelerator(args.step_ms / args.sleeps), Counts(args.log)
    with ThreadPoolExecutor(args.workers) as pool:
        ahead = collections.deque(pool.submit(prepare, number) for number in range(AHEAD))
        number = AHEAD
        while True:
            asked = time.monotonic()
            batch = ahead.popleft().result()
            waited = time.monotonic() - asked
            ahead.append(pool.submit(prepare, number))
            number += 1
            for _ in range(args.sleeps):
                step()
            counts.add(len(batch), waited)


if __name__ == "__main__":
    main()
