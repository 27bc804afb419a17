"""What one setup would do: the step on its GPUs, their exchange, the store, the workers. Pure; docs/model.md."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from mlscale.catalog.types import Accelerator, Dataset, Instance, Workload
from mlscale.model.estimate import Estimate
from mlscale.model.feed import NodeRate, effective_cores, node_rate
from mlscale.model.fetch import Fetch, fetch_limit
from mlscale.model.memory import MemoryFit, memory_fit
from mlscale.plan.job import PlannedJob
from mlscale.plan.setup import Facts, Predicted, Setup
from mlscale.plan.step import exchanged, step_on

TRAINING_CORES_PER_GPU = 1.0  # a training process launches kernels and spins while it waits for them: one vCPU
BATCH_LOG_SD = 0.1  # of a step at a smaller batch than the profile's, for each halving


@dataclass(frozen=True)
class Machine:
    """What does not depend on the store: the step of one node, and what its CPUs can give."""

    step: Estimate  # seconds of a step of all GPUs, exchange included
    samples_per_step: float  # of one node
    gpus: int
    cores: float
    training_cores: float
    fit: MemoryFit
    notes: tuple[str, ...]


def gpus_of(instance: Instance) -> int:
    """Accelerators that a job sees: a slice of one counts as one."""
    return max(1, round(instance.accelerators)) if instance.accelerators > 0 else 0


def accelerator_of(instance: Instance, facts: Facts) -> Accelerator | None:
    """The accelerator, a slice of it where the type has only a slice."""
    if instance.accelerator is None:
        return None
    whole = facts.catalog.accelerators[instance.accelerator]
    if instance.accelerators >= 1 or instance.accelerators <= 0:
        return whole
    share = instance.accelerators
    return replace(
        whole,
        memory_bytes=whole.memory_bytes * share,
        memory_bytes_per_s=whole.memory_bytes_per_s * share,
        peak_flops={precision: rate * share for precision, rate in whole.peak_flops.items()},
    )


def machine(job: PlannedJob, instance: Instance, nodes: int, facts: Facts) -> Machine | str:
    """The step on `nodes` x `instance`; or why it cannot run there."""
    accelerator, gpus = accelerator_of(instance, facts), gpus_of(instance)
    if accelerator is None:
        return "it has no accelerator"
    if gpus * nodes > 1 and not job.exchange_known:
        return "how much its GPUs would exchange is not known: give --parameters"
    fit = memory_fit(job.workload, accelerator, gpus, nodes, facts.storage)
    if not fit.fits:
        return fit.why
    told = step_on(job, accelerator, facts)
    if isinstance(told, str):
        return told
    per_sample, notes = told
    wanted = max(1, job.workload.step.batch_per_gpu)
    batch = min(wanted, fit.batch_per_gpu)
    if batch < wanted:
        per_sample = per_sample.times(1.0, BATCH_LOG_SD * math.log2(wanted / batch))
        notes = (*notes, f"{batch} samples a GPU fit, not {wanted}")
    batch *= max(1, job.workload.step.gradient_accumulation)  # of one update
    alone = Estimate(per_sample.value * batch, per_sample.log_sd)
    step, said = exchanged(job, alone, instance, accelerator, gpus, nodes, fit.sharded, facts)
    cores = effective_cores(instance, facts.storage)
    each = TRAINING_CORES_PER_GPU if job.training_cores_per_gpu is None else job.training_cores_per_gpu
    training = gpus * each * cores / max(1, instance.vcpus)
    return Machine(step, float(batch * gpus), gpus, cores, training, fit, (*notes, *said))


def predict(job: PlannedJob, setup: Setup, made: Machine | str, facts: Facts) -> Predicted:
    """The setup's rate, from its machine."""
    if isinstance(made, str):
        return Predicted(setup, None, None, None, made)
    data = trimmed(job.workload, job, setup)
    cores, prep = made.cores, data.prep_cpu_s_per_sample
    if setup.hosts and setup.host is not None:
        cores += setup.hosts * effective_cores(setup.host, facts.storage) / setup.nodes
    free = max(0.05, cores - made.training_cores)
    gpu_rate = made.samples_per_step / made.step.value
    need = min(gpu_rate, free / prep) if prep > 0 else gpu_rate
    per_node = None if setup.workers is None else setup.workers * made.gpus
    fetch = fetched(setup, data.dataset, job.epochs, need, facts)
    if not fetch.feasible:
        return Predicted(setup, None, fetch, made.fit, fetch.why_not)
    if fetch.unpriced:
        return Predicted(setup, None, fetch, made.fit, "the price of its servers is not known")
    rate = node_rate(
        prep,
        cores,
        per_node,
        fetch,
        made.step,
        made.samples_per_step,
        made.training_cores,
        facts.storage,
        ranks=made.gpus,
        prep_log_sd=job.prep_log_sd,
    )
    return Predicted(setup, rate, fetch, made.fit, "", made.notes)


def fetched(setup: Setup, dataset: Dataset, epochs: float, need: float, facts: Facts) -> Fetch:
    """The store of a setup, bought for `need` samples/s of each node."""
    return fetch_limit(
        setup.file_system,
        setup.instance,
        dataset,
        setup.nodes,
        size_bytes=None,
        outstanding=math.inf,
        constants=facts.storage,
        needed_samples_per_s=need,
        epochs=epochs,
    )


def trimmed(workload: Workload, job: PlannedJob, setup: Setup) -> Workload:
    """The workload with its samples stored as small as the model takes them, where the setup says so."""
    if not setup.trimmed or job.trim is None:
        return workload
    dataset = replace(workload.dataset, bytes_per_sample=workload.dataset.bytes_per_sample * job.trim.bytes_fraction)
    return replace(
        workload, dataset=dataset, prep_cpu_s_per_sample=workload.prep_cpu_s_per_sample * job.trim.prep_fraction
    )


def workers_per_gpu(node: NodeRate, gpus: int) -> int:
    """DataLoader(num_workers=...) of each GPU's process."""
    return -(-node.workers // max(1, gpus))


def total_rate(predicted: Predicted) -> Estimate | None:
    """Samples/s of all nodes together."""
    node = predicted.node
    if node is None:
        return None
    return Estimate(node.samples_per_s.value * predicted.setup.nodes, node.samples_per_s.log_sd)
