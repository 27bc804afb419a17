"""Which bottleneck is it? The paper's questions in the paper's order. Pure."""

from __future__ import annotations

from mlscale.ladder.case import HOST_LARGEST, WAIT_LARGEST, WAIT_TOTAL, WORTH, Case, kept_workers
from mlscale.ladder.result import Bottleneck

UNDERFILLED_SM = 0.35  # of the SMs at work while "busy" (GPM): below, kernels are too small to fill the GPU
UNDERFILLED_POWER = 0.40  # of the power limit while "busy", before Hopper (stas00/ml-engineering: 100 % and idle units)
BUSY = 0.90
KEEPS_UP = 0.10  # of a worker's time without an order: then it is not the workers that are waited for
SOME_GAIN = 1.02  # more workers bring this much, where they cannot keep up and cores are free
_AVOIDABLE: tuple[tuple[str, Bottleneck], ...] = (
    ("data", "loader_workers"),
    ("host", "host"),
    ("save", "checkpoint"),
    ("communication", "communication"),
)


def bottleneck_of(case: Case) -> Bottleneck:
    """The verdict's name."""
    thread = case.profile.training
    if thread is None:
        return "inconclusive"
    busy = case.measured("gpu_busy_fraction")
    shares = {name: case.lost(name) for name, _ in _AVOIDABLE}
    least = {name: HOST_LARGEST if name == "host" else WAIT_LARGEST for name in shares}
    largest = max(shares, key=lambda name: (shares[name] >= least[name], shares[name]))
    if (busy is not None and busy >= BUSY) or sum(shares.values()) < WAIT_TOTAL or shares[largest] < least[largest]:
        return "gpu_underfilled" if underfilled(case) else "gpu"
    named = dict(_AVOIDABLE)[largest]
    return data_side(case) if named == "loader_workers" else named


def data_side(case: Case) -> Bottleneck:
    """The training thread waits for data: more workers, another store, or less work?"""
    if case.known is None or case.more_workers is None:
        return _by_shares(case)
    if case.more_workers.value >= WORTH:
        return "loader_workers"
    store = case.faster_store.value if case.faster_store else 1.0
    cores = case.endless_cores.value if case.endless_cores else 1.0
    if case.inline and max(store, cores) < SOME_GAIN:
        return _by_shares(case)
    kept = kept_workers(case)
    if kept is not None and kept.value > max(store, cores):
        return "loader_workers"  # it is started anew too often
    if cores > store and cannot_keep_up(case) and not case.cores_used_up and case.more_workers.value > SOME_GAIN:
        return "loader_workers"
    return "storage" if store > cores else "preprocessing"


def cannot_keep_up(case: Case) -> bool:
    """Whether the workers are at work all the time."""
    workers = case.profile.workers
    return workers is not None and workers.idle < KEEPS_UP


def _by_shares(case: Case) -> Bottleneck:
    """Without a model: what the workers do most."""
    workers, thread = case.profile.workers, case.profile.training
    if workers is not None:
        computing = workers.compute + workers.run_queue + workers.gil_wait
        return "storage" if workers.io_wait > computing else "preprocessing"
    if thread is not None and thread.data_io_wait > thread.data_cpu:
        return "storage"
    if not case.inline and case.profile.cpu is not None and not case.cores_used_up:
        return "loader_workers"  # threads of a pipeline in C++, that may be more
    return "preprocessing"


def underfilled(case: Case) -> bool:
    """Whether the GPU is "busy" with most of its units idle. Needs GPM, or power and clocks; otherwise no."""
    gpus = [gpu for gpu in case.profile.host.gpus if gpu.busy_fraction is not None]
    if not gpus:
        return False
    busy = sum(gpu.busy_fraction or 0.0 for gpu in gpus) / len(gpus)
    if busy < 0.5:
        return False
    active = [gpu.sm_active_fraction for gpu in gpus if gpu.sm_active_fraction is not None]
    if active:
        return sum(active) / len(active) < UNDERFILLED_SM * busy
    power = [gpu.power_fraction for gpu in gpus if gpu.power_fraction is not None]
    throttled = any(gpu.throttle_reasons for gpu in gpus)
    return bool(power) and not throttled and sum(power) / len(power) < UNDERFILLED_POWER * busy


def confidence_of(case: Case, bottleneck: Bottleneck) -> float:
    """0 to 1: how many looks, how clear the lead, what was hidden. An ordering, not a probability that was calibrated."""
    thread = case.profile.training
    if thread is None:
        return 0.3
    found = 0.97
    if not thread.stacks_seen:
        found -= 0.25
    if thread.samples < 300:
        found -= 0.15 * (1 - thread.samples / 300)
    shares = sorted((case.lost(name) for name, _ in _AVOIDABLE), reverse=True)
    total = sum(shares)
    if bottleneck in ("gpu", "gpu_underfilled"):
        found -= 0.4 * min(1.0, total / 0.2)  # the nearer to waiting, the less sure
        if case.measured("gpu_busy_fraction") is None:
            found -= 0.05
    else:
        found -= 0.3 * max(0.0, 1 - (shares[0] - shares[1]) / 0.2) if shares[0] < 0.4 else 0.0
        found -= 0.2 * max(0.0, 1 - total / 0.2)
    if bottleneck in ("loader_workers", "storage", "preprocessing"):
        if case.known is None:
            found -= 0.2
        elif case.more_workers is not None:
            found -= 0.2 * max(0.0, 1 - abs(case.more_workers.value - WORTH) / 0.1)
        store = case.store
        if store is not None and store.at_ceiling is None and store.wait_share > 0.3 and store.kind != "other":
            found -= 0.1
    return round(max(0.3, min(0.97, found)), 2)
