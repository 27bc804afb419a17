"""A small discrete-event simulation of PyTorch's DataLoader: what the queueing model is checked against.

Batches go to workers in turn and are taken in order; a worker waits for the store, then for a core; the training thread
takes a batch, orders the next, and steps.
"""

from __future__ import annotations

import collections
import heapq
import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """Times in seconds per batch; `cpu_cv` and `step_cv` are coefficients of variation."""

    workers: int
    cores: int
    cpu_s: float
    store_s: float
    step_s: float
    prefetch: int = 2
    cpu_cv: float = 0.3
    step_cv: float = 0.1


def simulate(job: Job, batches: int = 4000, seed: int = 1) -> float:
    """Batches per second, the first fifth left out."""
    chance = random.Random(seed)
    events: list[tuple[float, int, str, tuple[int, int]]] = []
    orders = [collections.deque[int]() for _ in range(job.workers)]
    busy = [False] * job.workers
    runnable: collections.deque[tuple[int, int]] = collections.deque()
    ready: set[int] = set()
    free, sent, taken, steps, serial = job.cores, 0, 0, 0, 0
    idle, now, warm_at = True, 0.0, 0.0

    def at(time: float, kind: str, what: tuple[int, int]) -> None:
        nonlocal serial
        serial += 1
        heapq.heappush(events, (time, serial, kind, what))

    def about(mean: float, cv: float) -> float:
        return max(1e-9, chance.gauss(mean, cv * mean))

    def begin(worker: int) -> None:
        if not busy[worker] and orders[worker]:
            busy[worker] = True
            at(now + job.store_s, "read", (worker, orders[worker].popleft()))

    def order() -> None:
        nonlocal sent
        orders[sent % job.workers].append(sent)
        sent += 1
        begin((sent - 1) % job.workers)

    for _ in range(job.workers * job.prefetch):
        order()
    while steps < batches:
        now, _, kind, (worker, batch) = heapq.heappop(events)
        if kind == "read":
            runnable.append((worker, batch))
        elif kind == "computed":
            free += 1
            busy[worker] = False
            ready.add(batch)
            begin(worker)
        else:
            steps += 1
            idle = True
            if steps == batches // 5:
                warm_at = now
        while free and runnable:
            free -= 1
            at(now + about(job.cpu_s, job.cpu_cv), "computed", runnable.popleft())
        if idle and taken in ready:
            ready.remove(taken)
            taken += 1
            idle = False
            order()
            at(now + about(job.step_s, job.step_cv), "stepped", (0, 0))
    return (batches - batches // 5) / (now - warm_at)
