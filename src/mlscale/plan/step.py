"""A step on another machine: on its accelerator, then over several of them. Pure; docs/model-accelerator.md, -exchange.md."""

from __future__ import annotations

from mlscale.catalog.types import Accelerator, Instance
from mlscale.model.accelerator import path_on, predict, predict_total
from mlscale.model.estimate import Estimate
from mlscale.model.exchange import Cluster, Traits, link_of, scaled_step
from mlscale.plan.job import PlannedJob
from mlscale.plan.setup import Facts

NODE_OF_LARGE = 8  # GPUs of the nodes on which sharded profiles were measured


def step_on(job: PlannedJob, accelerator: Accelerator, facts: Facts) -> tuple[Estimate, tuple[str, ...]] | str:
    """Seconds a sample on one accelerator, and what has to be said of it; or why that cannot be told."""
    step, domain = job.workload.step, job.workload.domain
    if job.step is not None:
        told = predict_total(job.step.value, step.precision, domain, job.reference, accelerator, facts.other_gpu)
    else:
        told = predict(step, domain, job.reference, accelerator, facts.other_gpu)
    if told is None:
        return f"the data sheet of {accelerator.name} names no rate for {step.precision} or anything near it"
    measured_log_sd = 0.0 if job.step is None else job.step.log_sd
    own = path_on(job.reference, step.precision)
    notes = () if told.path == own else (f"its step runs in {told.path}, not {own}",)
    return told.s_per_sample.times(1.0, measured_log_sd), notes


def exchanged(
    job: PlannedJob,
    alone: Estimate,
    instance: Instance,
    accelerator: Accelerator,
    gpus: int,
    nodes: int,
    sharded: bool,
    facts: Facts,
) -> tuple[Estimate, tuple[str, ...]]:
    """Seconds of a step of `nodes` x `gpus`, from that of one GPU `alone` at the same batch; and what binds it."""
    if gpus * nodes <= 1:
        return alone, ()
    workload = job.workload
    measured_on = workload.measured.gpus if workload.measured is not None and job.step is None else 1
    measured = None
    if measured_on > 1:
        each = min(measured_on, NODE_OF_LARGE)
        measured = Cluster(each, max(1, measured_on // each), workload.step.gradient_accumulation)
    scaled = scaled_step(
        alone,
        workload.gradient_bytes,
        gpus,
        nodes,
        link_of(instance, accelerator),
        facts.exchange,
        sharded=sharded,
        accumulation=workload.step.gradient_accumulation,
        traits=Traits(domain=workload.domain),
        measured=measured,
    )
    efficiency = f"{scaled.efficiency:.0%} of linear over {gpus * nodes} GPUs"
    return scaled, (f"{efficiency}: {scaled.binds}",)
