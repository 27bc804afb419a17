"""What a node trains, with workers, cores, store and step together: samples/s. Pure; equations in docs/model-storage.md.

`pipeline.py` is the finer queueing model of a job that was watched; this one needs no batches and takes microseconds, for
a plan weighs thousands of candidates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from mlscale.catalog.types import Instance
from mlscale.model.estimate import Estimate
from mlscale.model.fetch import Fetch
from mlscale.model.storage_constants import StorageConstants

MAX_WORKERS = 256  # of a node; beyond, nobody starts that many processes
WITHIN_BEST = 0.02  # the fewest workers within this of the most that can be had
LEAST_CORES = 0.05  # what the scheduler leaves to workers beside a busy training process

Bottleneck = Literal["loader_workers", "storage", "preprocessing", "gpu"]


@dataclass(frozen=True)
class NodeRate:
    """One node. `gpu_busy_fraction` is the step's share of the time, an upper bound of what a GPU shows as busy."""

    samples_per_s: Estimate
    workers: int
    bottleneck: Bottleneck
    gpu_busy_fraction: float
    binding: str


@dataclass(frozen=True)
class _Stage:
    samples_per_s: float
    log_sd: float
    bottleneck: Bottleneck
    text: str


def effective_cores(instance: Instance, constants: StorageConstants) -> float:
    """Physical cores' worth of work that all hyper-threads do together."""
    return instance.cores + constants.hyperthread_yield * max(0, instance.vcpus - instance.cores)


def joined(rates: list[float], power: float) -> float:
    """Stages that hand over through buffers: the p-norm of their times. Below each of them; a high power is the least."""
    slowest = min(rates)
    if slowest <= 0 or not math.isfinite(slowest):
        return max(slowest, 0.0)
    return slowest * math.pow(sum(math.pow(slowest / rate, power) for rate in rates), -1 / power)


def parted(together: float, known: float, power: float) -> float:
    """The other stage's rate, from what both do together and the one that is known: `joined` turned round."""
    if together >= known:
        return math.inf
    return together * math.pow(1 - math.pow(together / known, power), -1 / power)


def loader_rate(workers: int, cpu_s: float, wait_s: float, cores: float, constants: StorageConstants) -> float:
    """Samples/s of `workers` that compute `cpu_s` and wait `wait_s` for each sample, on `cores`.

    Without waits, the fewer of workers and cores work all the time; with waits, workers meet at the cores by chance and
    the knee is round: a p-norm whose power falls with the share of waiting.
    """
    if workers <= 0 or cpu_s + wait_s <= 0:
        return math.inf if workers > 0 else 0.0
    alone = workers / (cpu_s + wait_s)
    if cpu_s <= 0:
        return alone
    most = cores / cpu_s
    if wait_s <= 0:
        return min(alone, most)
    power = constants.wait_power * (cpu_s + wait_s) / wait_s
    return joined([alone, most], min(power, 200.0))


def node_rate(
    prep_cpu_s_per_sample: float,
    cores: float,
    workers: int | None,
    fetch: Fetch,
    step: Estimate,
    samples_per_step: float,
    training_cpu_cores: float,
    constants: StorageConstants,
    *,
    ranks: int = 1,
    prep_log_sd: float | None = None,
) -> NodeRate:
    """A node's rate. `step`: seconds of one step of all its GPUs together, exchange included, over `samples_per_step`.
    `workers` of the whole node; None: as few as come within 2 % of the best; 0: each of `ranks` prepares its own."""
    free = max(LEAST_CORES, cores - training_cpu_cores)
    prep_sd = constants.prep_log_sd if prep_log_sd is None else prep_log_sd
    gpu = samples_per_step / step.value
    wait = fetch.wait_s_per_sample
    if workers == 0:
        return _serial(prep_cpu_s_per_sample, cores, fetch, step, samples_per_step, constants, ranks, prep_sd)
    chosen = workers or _fewest(prep_cpu_s_per_sample, wait, free, fetch, gpu, constants)
    # Workers that were chosen here are never what is short: their cores are, or the store's latency.
    most = workers or MAX_WORKERS
    stages = _stages(chosen, most, prep_cpu_s_per_sample, free, fetch, gpu, step.log_sd, prep_sd, constants)
    rate = joined([stage.samples_per_s for stage in stages], constants.coupling_power)
    return NodeRate(_estimate(rate, stages, constants), chosen, *_verdict(rate, gpu, stages))


def _stages(
    workers: int,
    most_workers: int,
    cpu_s: float,
    cores: float,
    fetch: Fetch,
    gpu: float,
    step_log_sd: float,
    prep_log_sd: float,
    constants: StorageConstants,
) -> list[_Stage]:
    wait = fetch.wait_s_per_sample
    loader = loader_rate(workers, cpu_s, wait, cores, constants)
    cores_lead = cpu_s > 0 and most_workers / (cpu_s + wait) >= cores / cpu_s
    share = wait / (cpu_s + wait) if cpu_s + wait > 0 else 0.0
    loader_log_sd = (
        prep_log_sd if cores_lead else math.hypot((1 - share) * prep_log_sd, share * constants.latency_log_sd)
    )
    if cores_lead:
        what: Bottleneck = "preprocessing"
        text = f"preparation: {cores:.1f} cores at {cpu_s * 1e3:.3g} ms a sample"
    elif most_workers >= MAX_WORKERS and share > 0.5:
        what, text = "storage", f"{fetch.file_system.name}: {wait * 1e3:.3g} ms of waiting a sample, {workers} readers"
    else:
        what, text = "loader_workers", f"{workers} workers at {(cpu_s + wait) * 1e3:.3g} ms a sample"
    stages = [_Stage(gpu, step_log_sd, "gpu", "the GPUs themselves")]
    if math.isfinite(loader):
        stages.append(_Stage(loader, loader_log_sd, what, text))
    if fetch.samples_per_s is not None:
        stages.append(_Stage(fetch.samples_per_s.value, fetch.samples_per_s.log_sd, "storage", fetch.binding))
    return stages


def _fewest(cpu_s: float, wait_s: float, cores: float, fetch: Fetch, gpu: float, constants: StorageConstants) -> int:
    """The fewest workers within 2 % of what MAX_WORKERS reach: `joined` and `loader_rate` turned round."""
    power = constants.coupling_power
    others = gpu if fetch.samples_per_s is None else joined([gpu, fetch.samples_per_s.value], power)
    most = loader_rate(MAX_WORKERS, cpu_s, wait_s, cores, constants)
    if not math.isfinite(most):
        return 1
    enough = joined([others, most], power) * (1 - WITHIN_BEST)
    loader = parted(enough, others, power)
    alone = loader
    if cpu_s > 0 and wait_s > 0:
        bend = min(constants.wait_power * (cpu_s + wait_s) / wait_s, 200.0)
        alone = parted(loader, cores / cpu_s, bend)
    workers = alone * (cpu_s + wait_s)
    return max(1, min(MAX_WORKERS, math.ceil(workers - 1e-9)))


def _serial(
    cpu_s: float,
    cores: float,
    fetch: Fetch,
    step: Estimate,
    samples_per_step: float,
    constants: StorageConstants,
    ranks: int,
    prep_log_sd: float,
) -> NodeRate:
    """num_workers=0: the training process reads and prepares a batch, and then steps: times add up."""
    gpu = samples_per_step / step.value
    loader = loader_rate(ranks, cpu_s, fetch.wait_s_per_sample, cores, constants)
    load_s = samples_per_step / loader if loader > 0 else 0.0
    if fetch.samples_per_s is not None:
        load_s = max(load_s, samples_per_step / fetch.samples_per_s.value)
    total = load_s + step.value
    log_sd = math.hypot(load_s * prep_log_sd, step.value * step.log_sd) / total
    rate = Estimate(samples_per_step / total, math.hypot(log_sd, constants.coupling_log_sd))
    busy = min(1.0, rate.value / gpu)
    if load_s > step.value * 0.05:
        return NodeRate(rate, 0, "loader_workers", busy, "no workers: the GPUs wait while batches are prepared")
    return NodeRate(rate, 0, "gpu", busy, "the GPUs themselves")


def _estimate(rate: float, stages: list[_Stage], constants: StorageConstants) -> Estimate:
    """Errors by their weight: d ln(rate) / d ln(stage) = (rate / stage)**q, which sum to one."""
    power = constants.coupling_power
    shares = [((rate / stage.samples_per_s) ** power, stage.log_sd) for stage in stages]
    squares = sum((share * log_sd) ** 2 for share, log_sd in shares)
    # The p-norm's own error matters where stages meet, not where one leads: largest at the knee.
    knee = 1 - sum(share * share for share, _ in shares)
    return Estimate(rate, math.sqrt(squares + (constants.coupling_log_sd * 2 * knee) ** 2))


def _verdict(rate: float, gpu: float, stages: list[_Stage]) -> tuple[Bottleneck, float, str]:
    least = min(stages, key=lambda stage: stage.samples_per_s)
    return least.bottleneck, min(1.0, rate / gpu), least.text


# What a measured job teaches about a bigger one, where stores and cores are not known.


def waits_scaled(waits: float, demand_ratio: float, constants: StorageConstants) -> float:
    """Waiting over computing where `demand_ratio` times the samples/s are asked of the same store and loaders, from
    `waits` measured: it grows with the logarithm, as published systems that were meant to keep up have it."""
    growth = constants.waits_growth + constants.waits_growth_share * max(waits, 0.0)
    return max(0.0, waits + growth * math.log(demand_ratio))


def rate_scaled(
    measured: float, ideal_then: float, ideal_now: float, constants: StorageConstants, loader_ratio: float = 1.0
) -> Estimate:
    """samples/s where the steps alone could do `ideal_now`, from a job that did `measured` where they could do
    `ideal_then`, with `loader_ratio` times the store and loaders (nodes, workers under cores). Saturated jobs, whose
    waiting is over half of the computing, stay at their loaders' rate; others wait longer as more is asked."""
    waits = ideal_then / measured - 1
    if waits > SATURATED_WAITS:
        loader = parted(measured, ideal_then, constants.coupling_power) * loader_ratio
        rate = joined([loader, ideal_now], constants.coupling_power)
        share = (rate / ideal_now) ** constants.coupling_power
        return Estimate(rate, constants.coupling_log_sd * (1 + 4 * share * (1 - share)))
    ratio = ideal_now / ideal_then / loader_ratio
    scaled = waits_scaled(waits, ratio, constants)
    share, distance = scaled / (1 + scaled), math.sqrt(abs(math.log(ratio)))
    log_sd = math.hypot(NOISE, constants.waits_log_sd * share, constants.waits_distance_sd * distance)
    return Estimate(ideal_now / (1 + scaled), log_sd)


NOISE = 0.01  # log sd of the same job measured again (Lambda: median 0.2 %, 90 % within 2.9 %)
SATURATED_WAITS = 0.5  # waiting over computing; no published system that was meant to keep up waits more


def workers_gain(workers_then: float, workers_now: float, constants: StorageConstants) -> Estimate:
    """Throughput of a loader with other workers or threads over the measured, where neither cores nor store are known:
    linear up to a cap, which is the median of published sweeps."""
    cap, power = constants.workers_cap, constants.coupling_power
    then, now = joined([workers_then, cap], power), joined([workers_now, cap], power)
    unsure = abs((now / cap) ** power - (then / cap) ** power) * constants.workers_cap_log_sd
    return Estimate(now / then, math.hypot(unsure, 0.1 * abs(math.log(workers_now / workers_then)) ** 0.5))


def remote_gain(cores_then: float, cores_now: float, constants: StorageConstants) -> Estimate:
    """Gain of a cluster that prepares the data on `cores_now` in all: far below linear in what was published."""
    return Estimate((cores_now / cores_then) ** constants.remote_power, constants.remote_log_sd)
