"""How the time of the threads that prepare data divides. Pure."""

from __future__ import annotations

import statistics
from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlscale.loaders.kind import LoaderKind, on_stack
from mlscale.profile.activity import is_store, shown_name, telling_frame, user_frame, worker_activity
from mlscale.profile.counters import thread_shares
from mlscale.profile.job import FunctionShare, Workers
from mlscale.profile.timeline import Span
from mlscale.recording import Stack, ThreadSample

# Threads that libraries start for themselves; none prepares data.
_HOUSEKEEPING = (
    "tqdm/_monitor.py",
    "/wandb/",
    "/tensorboard",
    "torch/utils/data/_utils/pin_memory.py",
    "multiprocessing/queues.py",
    "multiprocessing/managers.py",
    "multiprocessing/resource_sharer.py",
    "concurrent/futures/process.py",
    "/ipykernel/",
    "/zmq/",
    "torch/_inductor/",
    "logging/handlers.py",
    "/mlflow/",
    "torch/distributed/elastic",
)
MIN_BUSY = 0.02  # a thread that is busy less than this prepares nothing


@dataclass(frozen=True)
class WorkerLook:
    """One look at a thread that prepares data, understood."""

    sample: ThreadSample
    what: str
    stack: Stack | None


def understand(samples: Sequence[ThreadSample], stacks: Sequence[Stack], kind: LoaderKind | None) -> list[WorkerLook]:
    """Names what each look saw."""
    looks = []
    for sample in samples:
        stack = stacks[sample.stack] if sample.stack is not None else None
        looks.append(WorkerLook(sample, worker_activity(sample, stack, kind), stack))
    return looks


def is_housekeeping(stack: Stack) -> bool:
    """Whether a thread belongs to a library's own business."""
    return any(part in frame.filename for frame in stack for part in _HOUSEKEEPING)


def loader_threads(
    samples: Mapping[int, Sequence[ThreadSample]], stacks: Sequence[Stack], kind: LoaderKind
) -> dict[int, list[WorkerLook]]:
    """Threads of the training process that prepare data: they run or read in the user's code, or wait at a full queue."""
    found = {}
    for tid, own in samples.items():
        with_stack = [sample for sample in own if sample.stack is not None]
        if not with_stack or any(is_housekeeping(stacks[s.stack]) for s in with_stack[:3] if s.stack is not None):
            continue
        if not any(on_stack(stacks[s.stack], kind.worker_roots) for s in with_stack if s.stack is not None):
            continue
        if all(user_frame(stacks[s.stack]) is None for s in with_stack if s.stack is not None):
            continue
        looks = understand(own, stacks, kind)
        if sum(look.what != "idle" for look in looks) / len(looks) >= MIN_BUSY:
            found[tid] = looks
    return found


def divide(
    by_worker: Mapping[int, Sequence[WorkerLook]],
    spans: Sequence[Span],
    *,
    throttled: bool,
    system_fraction: float | None,
) -> Workers | None:
    """Shares of a worker's time, averaged over workers. None without looks."""
    parts: list[dict[str, float]] = []
    for looks in by_worker.values():
        if looks:
            parts.append(_one(looks, spans, throttled))
    if not parts:
        return None
    names = ("compute", "run_queue", "gil_wait", "io_wait", "hand_over", "idle", "other")
    weights = [len(looks) for looks in by_worker.values() if looks]
    mean = {
        name: sum(part.get(name, 0.0) * weight for part, weight in zip(parts, weights, strict=True)) / sum(weights)
        for name in names
    }
    looks = [look for own in by_worker.values() for look in own]
    busy = [1 - part.get("idle", 0.0) for part, weight in zip(parts, weights, strict=True) if weight >= 10]
    return Workers(
        **mean,
        functions=functions_of(looks),
        system_fraction=system_fraction,
        imbalance=max(busy) / statistics.fmean(busy) if len(busy) > 1 and statistics.fmean(busy) > 0 else None,
        samples=len(looks),
    )


def _one(looks: Sequence[WorkerLook], spans: Sequence[Span], throttled: bool) -> dict[str, float]:
    """One worker. Time on a CPU and in the run queue is the kernel's exact figure; looks divide the rest."""
    tally = Tally(look.what for look in looks)
    total = len(looks)
    running = sum(1 for look in looks if look.sample.state == "R") / total
    exact = thread_shares([look.sample for look in looks], spans)
    if exact is None:
        return {what: count / total for what, count in tally.items()}
    cpu, queue = min(exact[0], 1.0), min(exact[1], 1.0)
    if throttled:
        # The kernel counts no run-queue wait while the quota holds the group back; it still shows as runnable.
        queue = max(queue, running - cpu)
    if cpu + queue > 1:
        queue = 1 - cpu
    inner = tally["compute"] / total - running  # its own threads compute while it waits for them
    rest = max(0.0, 1 - cpu - queue)
    blocked = {what: count for what, count in tally.items() if what != "compute"}
    if inner > 0:
        blocked["compute"] = round(inner * total)
    # Looks at a running thread in the loader's own plumbing count as computing: the CPU share holds them already.
    blocked_total = sum(blocked.values())
    part = {"compute": cpu, "run_queue": queue}
    for what, count in blocked.items():
        part[what] = part.get(what, 0.0) + rest * count / blocked_total
    if not blocked_total:
        part["compute"] += rest
    return part


def functions_of(looks: Sequence[WorkerLook]) -> tuple[FunctionShare, ...]:
    """Largest first: which function a worker was in, with what it did there."""
    tally: Tally[tuple[str, str, int | None, str]] = Tally()
    for look in looks:
        if look.what in ("compute", "io_wait", "gil_wait", "other") and look.stack:
            frame = telling_frame(look.stack)
            if frame is not None:
                tally[(shown_name(frame), frame.filename, frame.line, look.what)] += 1
    return tuple(
        FunctionShare(name, filename, line, what, count / len(looks))
        for (name, filename, line, what), count in tally.most_common(12)
    )


def store_looks(looks: Sequence[WorkerLook]) -> Tally[str]:
    """How often each place was waited for."""
    tally: Tally[str] = Tally()
    for look in looks:
        if look.what == "io_wait":
            target = look.sample.target
            tally[target if target is not None and is_store(target) else _unnamed(look)] += 1
    return tally


def _unnamed(look: WorkerLook) -> str:
    if look.sample.target == "sleep":
        return "sleep"
    return "disk" if look.sample.state == "D" else "unknown"
