"""What a plan is made for: a workload profile, or a job that was watched. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

from mlscale.catalog.types import Accelerator, Dataset, Precision, Source, StepCost, Workload
from mlscale.model.estimate import Estimate


@dataclass(frozen=True)
class Trim:
    """What storing samples as small as the model takes them would leave, as shares of now."""

    prep_fraction: float
    bytes_fraction: float
    what: str


@dataclass(frozen=True)
class PlannedJob:
    """A job by what each sample needs. Where `step` is measured, it is seconds per sample on one `reference` accelerator,
    all operations together; None: the workload's operation classes tell it. `exchange_known`: the parameters are."""

    workload: Workload
    reference: Accelerator
    samples: float
    epochs: float
    step: Estimate | None = None
    prep_log_sd: float | None = None
    training_cores_per_gpu: float | None = None
    trim: Trim | None = None
    exchange_known: bool = True
    warnings: tuple[str, ...] = ()


def planned(workload: Workload, reference: Accelerator, *, epochs: float | None, samples: float | None) -> PlannedJob:
    """A workload profile, for so many `epochs` or `samples` in all; by default the profile's own epochs."""
    rounds = workload.epochs if epochs is None else epochs
    total = workload.dataset.samples * rounds if samples is None else samples
    return PlannedJob(workload, reference, total, total / workload.dataset.samples)


@dataclass(frozen=True)
class Measured:
    """What a diagnosis or probes measured of a job, for a plan. None where it could not be had."""

    samples_per_s: float
    batch_per_gpu: int
    gpus: int
    workers: int
    prep_cpu_s_per_sample: float | None
    gpu_s_per_sample: float | None  # of one GPU
    bytes_per_sample: float | None
    memory_used_bytes: float | None
    training_cores_per_gpu: float | None
    trim: Trim | None


WATCHED = "the job that was watched"
MEASURED_PREP_LOG_SD = 0.05  # CPU seconds a sample on another EC2 host of about the same age
MEASURED_STEP_LOG_SD = 0.03  # of a figure that was counted on the box (research/models.md, 1.8)


def from_measured(
    measured: Measured,
    reference: Accelerator,
    like: Workload | None,
    *,
    precision: Precision,
    epochs: float | None,
    samples: float | None,
    dataset: Dataset,
    parameters: float | None,
    memory_slack: float,
    memory_context_bytes: float,
    name: str = WATCHED,
    warnings: tuple[str, ...] = (),
) -> PlannedJob:
    """The job that was watched; `like`, a profile, tells what watching cannot: parameters, epochs, operation classes."""
    if measured.gpu_s_per_sample is None:
        raise ValueError("a plan needs the step's time on a GPU")
    base = like or _blank(precision)
    given = parameters if parameters is not None else (base.parameters if like else None)
    step = replace(
        base.step, reference=reference.name, precision=precision, batch_per_gpu=max(1, measured.batch_per_gpu)
    )
    workload = replace(
        base,
        name=base.name if like else name,
        title=base.title if like else name,
        dataset=dataset,
        step=step,
        prep_cpu_s_per_sample=(
            base.prep_cpu_s_per_sample if measured.prep_cpu_s_per_sample is None else measured.prep_cpu_s_per_sample
        ),
        parameters=given or 0.0,
        gradient_bytes=base.gradient_bytes if like and parameters is None else 4.0 * (given or 0.0),
    )
    if measured.memory_used_bytes:
        state = workload.parameters * workload.optimizer_bytes_per_parameter
        tensors = (measured.memory_used_bytes - memory_context_bytes) / memory_slack
        workload = replace(
            workload, activation_bytes_per_sample=max(0.0, tensors - state) / max(1, measured.batch_per_gpu)
        )
    rounds = (base.epochs if like else 1.0) if epochs is None else epochs
    total = dataset.samples * rounds if samples is None else samples
    return PlannedJob(
        workload,
        reference,
        total,
        total / dataset.samples,
        step=Estimate(measured.gpu_s_per_sample, MEASURED_STEP_LOG_SD),
        prep_log_sd=MEASURED_PREP_LOG_SD if measured.prep_cpu_s_per_sample is not None else None,
        training_cores_per_gpu=measured.training_cores_per_gpu,
        trim=measured.trim,
        exchange_known=bool(given),
        warnings=warnings,
    )


def _blank(precision: Precision) -> Workload:
    """A workload of which nothing is known but what was measured."""
    return Workload(
        name="",
        title="",
        domain="unknown",
        dataset=Dataset(1, 0.0, 1, 1.0),
        epochs=1.0,
        prep_cpu_s_per_sample=0.0,
        step=StepCost("", precision, 1, 0.0, 0.0, 0.0),
        flops_per_sample=0.0,
        parameters=0.0,
        gradient_bytes=0.0,
        optimizer_bytes_per_parameter=16.0,
        activation_bytes_per_sample=0.0,
        source=Source("measured by mlscale", date.min),
    )
