"""`recommend --from`: what a diagnosis measured, as the job and the start of a plan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from mlscale.errors import UnreadableInput, UsageProblem

if TYPE_CHECKING:
    from mlscale.catalog.types import Accelerator, Catalog, Dataset, FileSystem, Instance, Precision, Workload
    from mlscale.cli.recommend import Request
    from mlscale.plan.job import Measured, PlannedJob, Trim
    from mlscale.plan.setup import Facts, Setup
    from mlscale.report.probe import Probe
    from mlscale.report.report import Host, Report

OWN_MACHINE = "this machine"
STORE_OF = {  # the kind of store that was seen -> the nearest in the catalog
    "nfs": "efs-elastic",
    "lustre": "fsx-lustre-p2-125",
    "beegfs": "beegfs",
    "fuse": "s3-mountpoint",
    "socket": "s3-standard",
    "memory": "ram-disk",
    "block": "ebs-gp3",
    "overlay": "ebs-gp3",
    "other": "ebs-gp3",
}
UNKNOWN_DATASET_GB = 100.0
UNKNOWN_SAMPLE_BYTES = 100e3
HOUR_S = 3600.0


@dataclass(frozen=True)
class Watched:
    """The job, where it runs, and its measured samples/s (value, low, high)."""

    job: PlannedJob
    report: Report
    start: Setup | None
    rate: tuple[float, float, float]


def opened_sources(paths: Sequence[Path]) -> Report | list[tuple[Path, Probe]]:
    """What --from names: one diagnosis, or probes. Raises MlscaleError."""
    from mlscale.cli.report import opened
    from mlscale.report.probe import Probe
    from mlscale.report.report import Report

    probes: list[tuple[Path, Probe]] = []
    for path in paths:
        source = opened(path)
        if isinstance(source, Report):
            if len(paths) > 1:
                raise UsageProblem(
                    f"{path}: a diagnosis, which has step and loader in one: --from takes one of them, or several probes."
                )
            return source
        if not isinstance(source, Probe):
            raise UnreadableInput(
                f"{path}: a {source.kind}. --from takes a diagnosis (mlscale diagnose -o r.json), or probes of a step "
                "and a loader."
            )
        probes.append((path, source))
    return probes


def watched_job(path: Path, report: Report, request: Request, settings: dict[str, str], facts: Facts) -> Watched:
    """The job of a diagnosis. Raises MlscaleError where it does not tell enough."""
    measured = measured_of(path, report)
    accelerator = accelerator_of(path, report.host, request, facts.catalog)
    start, told = _start(report, request, accelerator, measured, facts)
    job = completed(measured, accelerator, request, settings, facts)
    rate = report.measurements["throughput"]
    job = replace(job, warnings=(*job.warnings, *told))
    return Watched(job, report, start, (rate.value, rate.low, rate.high))


def completed(
    measured: Measured,
    accelerator: Accelerator,
    request: Request,
    settings: dict[str, str],
    facts: Facts,
    *,
    name: str | None = None,
    warnings: Sequence[str] = (),
) -> PlannedJob:
    """The job with what cannot be seen from outside: from the command line, or a similar profile, or assumed and said so."""
    from mlscale.catalog.types import Precision
    from mlscale.catalog.workloads import find_workload
    from mlscale.cli.recommend import count, one_of, samples_of
    from mlscale.plan.job import WATCHED, from_measured

    said = list(warnings)
    like = find_workload(request.workload) if request.workload else None
    wanted = settings.get("precision") or (like.step.precision if like else None)
    if wanted is None:
        wanted = next((p for p in ("bf16", "fp16") if p in accelerator.peak_flops), "fp32")
        said.append(
            f"The precision of the step cannot be seen from outside: {wanted} is assumed. Say --set precision=fp32."
        )
    precision: Precision = one_of("--set precision", wanted, get_args(Precision))  # type: ignore[assignment]
    samples = samples_of(request)
    data, more = _dataset(request, samples, like, measured)
    said += more
    parameters = count("--parameters", request.parameters) if request.parameters else None
    if parameters is None and like is None:
        said.append(
            "How many parameters the model has cannot be seen from outside, so rungs with several GPUs are not judged. "
            "Say --parameters 25.6M."
        )
    if like is None:
        said.append(
            "Which operations the step consists of is not known; name a similar --workload to narrow the intervals."
        )
    if samples is None and request.epochs is None and like is None:
        samples = (request.samples_per_second or measured.samples_per_s) * HOUR_S
        said.append(
            "How long the run is is not known: hours and dollars are of one hour at the goal's rate. Say --samples."
        )
    return from_measured(
        measured,
        accelerator,
        like,
        precision=precision,
        epochs=request.epochs,
        samples=samples,
        dataset=data,
        parameters=parameters,
        memory_slack=facts.storage.memory_slack,
        memory_context_bytes=facts.storage.memory_context_bytes,
        name=name or WATCHED,
        warnings=tuple(said),
    )


def measured_of(path: Path, report: Report) -> Measured:
    """The figures of a diagnosis that a plan needs."""
    from mlscale.measure import value_of
    from mlscale.plan.job import Measured

    def value(name: str) -> float | None:
        return value_of(report.measurements.get(name))

    rate = value("throughput")
    loader = report.job.loader
    if rate is None or rate <= 0 or loader is None or not loader.batch_size:
        raise UnreadableInput(
            f"{path}: it has no throughput in samples/s, so nothing to plan from. Its warnings say why; "
            "plan from a profile instead: --workload."
        )
    gpu_s = value("gpu_seconds_per_sample")
    if gpu_s is None:
        raise UnreadableInput(f"{path}: it has no gpu_seconds_per_sample, so nothing to plan a GPU from.")
    read = value("storage_read_bytes_per_s")
    ranks = max(1, len(report.job.ranks))
    cpu = report.cpu
    return Measured(
        samples_per_s=rate,
        batch_per_gpu=loader.batch_size,
        gpus=ranks,
        workers=loader.workers,
        prep_cpu_s_per_sample=value("prep_cpu_seconds_per_sample"),
        gpu_s_per_sample=gpu_s,
        bytes_per_sample=read / rate if read else None,
        memory_used_bytes=value("gpu_memory_used_bytes"),
        training_cores_per_gpu=None if cpu is None else max(0.1, cpu.training_cores / ranks),
        trim=_trim(report),
    )


def _trim(report: Report) -> Trim | None:
    """Images stored larger than used: decoding falls with the pixels."""
    from mlscale.plan.job import Trim

    oversized = report.oversized
    if oversized is None:
        return None
    what = f"{oversized.stored[0]}x{oversized.stored[1]} to {oversized.used[0]}x{oversized.used[1]}"
    return Trim(1 - oversized.freed, oversized.pixels, what)


def accelerator_of(path: Path, host: Host, request: Request, catalog: Catalog) -> Accelerator:
    """The GPU that the step was measured on."""
    from mlscale.catalog.read import find_accelerator

    if request.accelerator is not None:
        return find_accelerator(catalog, request.accelerator)
    if not host.gpus:
        raise UsageProblem(
            f"{path}: no GPU was seen, so the step's time says nothing of one. Name the one that it stands for: "
            "--accelerator T4."
        )
    name = host.gpus[0].name
    try:
        return find_accelerator(catalog, name)
    except UsageProblem as problem:
        raise UsageProblem(f"{problem.message} Name the one that it equals with --accelerator.") from None


def _dataset(
    request: Request, samples: float | None, like: Workload | None, measured: Measured
) -> tuple[Dataset, list[str]]:
    from mlscale.catalog.types import Dataset

    if like is not None and request.dataset_gb is None:
        return like.dataset, []
    warnings = []
    size = measured.bytes_per_sample or (like.dataset.bytes_per_sample if like else None)
    if size is None and request.dataset_gb and samples and request.epochs:
        size = request.dataset_gb * 1e9 * request.epochs / samples
    if size is None:
        size = UNKNOWN_SAMPLE_BYTES
        warnings.append(
            f"How many bytes a sample has was not seen: {size / 1e3:.0f} KB are assumed. "
            "Say --dataset-gb, --samples and --epochs, or name a --workload."
        )
    total = request.dataset_gb
    if total is None:
        total = UNKNOWN_DATASET_GB
        warnings.append(f"How large the data set is is not known: {total:.0f} GB are assumed. Say --dataset-gb.")
    count = max(1, round(total * 1e9 / size))
    reads = like.dataset.reads_per_sample if like else 1.0
    return Dataset(count, size, count, reads), warnings


def _start(
    report: Report, request: Request, accelerator: Accelerator, measured: Measured, facts: Facts
) -> tuple[Setup, list[str]]:
    from mlscale.catalog.read import find_file_system
    from mlscale.plan.setup import Setup

    warnings: list[str] = []
    catalog = facts.catalog
    name = request.instance or report.host.instance_type
    if name is not None:
        instance = _known(name, catalog)
    else:
        instance = _own(report, accelerator, measured)
        warnings.append("This machine is no EC2 type that is known: it has no price. Say --instance if it is one.")
    kind = report.stores[0].kind if report.stores else "block"
    wanted = next(
        (t.partition("=")[2] for t in request.settings if t.replace("-", "_").startswith("file_system=")), None
    )
    store: FileSystem
    if wanted is not None:
        from mlscale.catalog.read import file_systems_of

        store = file_systems_of(catalog, wanted)[0]
    else:
        store = find_file_system(catalog, STORE_OF[kind])
        warnings.append(
            f"The data's store ({kind}) is taken for {store.name}. Say --set file_system=NAME if it is another."
        )
    return Setup("cpu_to_gpu", instance, 1, store, measured.workers), warnings


def _known(name: str, catalog: Catalog) -> Instance:
    from mlscale.catalog.read import find_instance

    return find_instance(catalog, name)


def _own(report: Report, accelerator: Accelerator, measured: Measured) -> Instance:
    """A machine that is no EC2 type, by what was seen of it."""
    from mlscale.catalog.types import Instance

    host: Any = report.host
    return Instance(
        name=OWN_MACHINE,
        family=OWN_MACHINE,
        retired=False,
        vcpus=max(1, round(host.cpus.quota or host.cpus.logical)),
        cores=max(1, round(host.cpus.quota or host.cpus.logical)),  # CPU seconds were measured on these as they are
        memory_bytes=host.memory_bytes,
        accelerator=accelerator.name,
        accelerators=float(max(1, measured.gpus)),
        interconnect="none" if measured.gpus <= 1 else "pcie",
        network_bytes_per_s=math.inf,  # unknown: no limit of it is counted
        network_peak_bytes_per_s=math.inf,
        efa=False,
        efa_interfaces=0,
        ebs_bytes_per_s=None,
        ebs_peak_bytes_per_s=None,
        ebs_iops=None,
        ebs_peak_iops=None,
        nvme_bytes=0.0,
        nvme_devices=0,
        nvme_iops=None,
        placement_group=False,
        regions=(),
    )
