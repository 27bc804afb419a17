"""What a probe of a loader or a step found -> its report. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import mlscale
from mlscale.measure import Measurement, exact
from mlscale.probe.result import CodeFound, LoaderTrial, StepTrial
from mlscale.profile.job import Gpu
from mlscale.report import words
from mlscale.report.probe import Probe, Trial
from mlscale.report.probe_figures import (
    CORES_FULL,
    amount_of,
    cores_of,
    count_of,
    cpu_of,
    elapsed_of,
    fewest,
    finished,
    mean_figure,
    product_figure,
    rate_figure,
    rate_of,
    ratio_figure,
)
from mlscale.report.report import Host, Tool


def probe_of_loader(found: CodeFound, host: Host, limit_cores: float, ended_at: datetime) -> Probe:
    """The report of a loader. The figures are of the fewest workers that give nearly the most."""
    trials = [trial for trial in found.loader if trial.parts]
    warnings = [*found.notes, *_loader_warnings(found)]
    if not trials:
        headline, chosen = "No rate was measured: the loader gave too few batches.", None
    else:
        rates = [rate_of(trial.parts, count_of) for trial in trials]
        chosen = trials[fewest(rates)]
        headline = _loader_headline(trials, chosen)
    return finished(
        Probe(
            tool=Tool("mlscale", mlscale.__version__),
            created_at=words.timestamp(ended_at),
            of="loader",
            target=found.target,
            host=host,
            headline=headline,
            because=tuple(_loader_evidence(chosen, limit_cores)) if chosen else (),
            measurements=_loader_figures(chosen, limit_cores) if chosen else {},
            trials=tuple(Trial(_workers(t), _loader_figures(t, None), t is chosen) for t in trials),
            warnings=tuple(warnings),
            ended=found.ended,
        )
    )


def _workers(trial: LoaderTrial) -> str:
    if trial.workers is None:
        return "as it is"
    return f"num_workers={trial.workers}" + (" (as it is)" if trial.as_it_is else "")


def _speed(trial: LoaderTrial | StepTrial, unit: str) -> str:
    """ "812 samples/s (12.7 batches/s)", or batches alone where their size is not known."""
    steps = words.quantity(rate_of(trial.parts, count_of), unit)
    if trial.parts[0].amount is None:
        return steps
    return f"{words.quantity(rate_of(trial.parts, amount_of), 'samples/s')} ({steps})"


def _loader_headline(trials: Sequence[LoaderTrial], chosen: LoaderTrial) -> str:
    alone = f"The loader alone gives {_speed(chosen, 'batches/s')}"
    if len(trials) == 1:
        return f"{alone}{'' if chosen.workers is None else f' with {_workers(chosen)}'}."
    others = [t for t in trials if t.as_it_is and t is not chosen]
    now = f"; as it is, with {others[0].workers}, {_speed(others[0], 'batches/s')}" if others else ""
    return f"{alone} with num_workers={chosen.workers}, and hardly more with any other number that was tried{now}."


def _loader_evidence(chosen: LoaderTrial, limit_cores: float) -> list[str]:
    told = [
        f"The first batch came after {words.quantity(chosen.first_batch_s, 's')}: workers that start, files that are opened."
    ]
    used, cpu_s = cores_of(chosen.parts), cores_of(chosen.parts) / rate_of(chosen.parts, count_of)
    told.append(
        f"A batch takes {words.quantity(cpu_s, 's')} of CPU time; {used:.2g} of {limit_cores:g} cores were in use."
    )
    if used > CORES_FULL * limit_cores:
        told.append("The cores are used up: more workers bring nothing here.")
    told.append(
        "A training step that takes batches faster than this waits for them; mlscale probe step measures the step alone."
    )
    return told


def _loader_warnings(found: CodeFound) -> list[str]:
    told = []
    for trial in found.loader:
        if trial.epoch and not trial.parts:
            told.append(
                f"With {_workers(trial)} an epoch has {trial.epoch} batch{'' if trial.epoch == 1 else 'es'}, too "
                "few for a steady rate: give the loader more data, or fewer workers."
            )
        elif not trial.parts and found.ended != "interrupted":
            told.append(f"With {_workers(trial)} too few batches came for a rate: give it more time with --duration.")
    if any(trial.epoch and trial.parts for trial in found.loader):
        told.append(
            "The loader was iterated more than once: from the second time on its files may have come from memory."
        )
    if found.batch_size is None and any(trial.parts for trial in found.loader):
        told.append("How many samples a batch has could not be told: say --batch-size N for samples/s.")
    return told


def _loader_figures(trial: LoaderTrial, limit_cores: float | None) -> dict[str, Measurement]:
    source = f"the loader alone, {_workers(trial)}"
    figures = {}
    if trial.parts[0].amount is not None:
        figures["throughput"] = rate_figure(trial.parts, amount_of, "samples/s", source)
    figures["batch_rate"] = rate_figure(trial.parts, count_of, "1/s", source)
    if trial.parts[0].amount is not None:
        figures["prep_cpu_seconds_per_sample"] = ratio_figure(trial.parts, cpu_of, amount_of, "s", source)
    figures["cpu_used_cores"] = rate_figure(trial.parts, cpu_of, "cores", source)
    if limit_cores is not None:
        figures["cpu_limit_cores"] = exact(limit_cores, "cores", "affinity and quota")
        if trial.workers is not None:
            figures["loader_workers"] = exact(trial.workers, "workers", source)
    figures["first_batch_s"] = exact(trial.first_batch_s, "s", source)
    return figures


def probe_of_step(found: CodeFound, host: Host, ended_at: datetime) -> Probe:
    """The report of a step."""
    step = found.step if found.step and found.step.parts else None
    warnings = list(found.notes)
    if step is None:
        warnings.append("No step ended in time: give it more with --duration.")
    elif not step.synchronised:
        warnings.append(
            "PyTorch has no CUDA in use there, so nothing was waited for after the calls: a step that only starts work "
            "elsewhere must wait for it by itself."
        )
    return finished(
        Probe(
            tool=Tool("mlscale", mlscale.__version__),
            created_at=words.timestamp(ended_at),
            of="step",
            target=found.target,
            host=replace(host, gpus=_gpus(step)),
            headline=_step_headline(step),
            because=tuple(_step_evidence(step)) if step else (),
            measurements=_step_figures(step) if step else {},
            trials=(),
            warnings=tuple(warnings),
            ended=found.ended,
        )
    )


def _gpus(step: StepTrial | None) -> tuple[Gpu, ...]:
    if step is None or step.gpu is None:
        return ()
    busy = statistics.fmean(step.gpu.busy) if step.gpu.busy else None
    return (Gpu(0, step.gpu.name, step.gpu.memory_bytes, busy_fraction=busy, signal="NVML utilisation"),)


def _step_headline(step: StepTrial | None) -> str:
    if step is None:
        return "No rate was measured: no step ended in time."
    took = 1 / rate_of(step.parts, count_of)
    return f"The step alone takes {words.quantity(took, 's')}: {_speed(step, 'steps/s')}."


def _step_evidence(step: StepTrial) -> list[str]:
    count = sum(part.count for part in step.parts)
    told = [f"{words.count(count, 'step')} in {words.count(len(step.parts), 'part')}, after {step.warm_up} to warm up."]
    cpu_s = cores_of(step.parts) / rate_of(step.parts, count_of)
    told.append(f"A step takes {words.quantity(cpu_s, 's')} of CPU time.")
    if step.gpu is not None and step.gpu.busy:
        busy = statistics.fmean(step.gpu.busy)
        told.append(
            f"{step.gpu.name} is busy {words.percent(busy)} of the time."
            + (
                ""
                if busy > CORES_FULL
                else " The rest is the host's: launching kernels, Python, copies that are waited for."
            )
        )
    told.append(
        "A loader that gives batches more slowly than this lets the GPU wait; mlscale probe loader measures it alone."
    )
    return told


def _step_figures(step: StepTrial) -> dict[str, Measurement]:
    source = "the step alone" + (", the GPU waited for" if step.synchronised else "")
    figures = {}
    if step.parts[0].amount is not None:
        figures["throughput"] = rate_figure(step.parts, amount_of, "samples/s", source)
    figures["step_rate"] = rate_figure(step.parts, count_of, "1/s", source)
    figures["step_s"] = ratio_figure(step.parts, elapsed_of, count_of, "s", source)
    figures["cpu_used_cores"] = rate_figure(step.parts, cpu_of, "cores", source)
    gpu = step.gpu
    if gpu is not None and gpu.busy:
        looks = f"{words.count(len(gpu.busy), 'look')} by NVML"
        figures["gpu_busy_fraction"] = busy = mean_figure(gpu.busy, "fraction", looks)
        if step.parts[0].amount is not None:
            each = ratio_figure(step.parts, elapsed_of, amount_of, "s", source)
            figures["gpu_seconds_per_sample"] = product_figure(busy, each, "s", f"{source}, times the busy share")
        if gpu.used_bytes is not None:
            figures["gpu_memory_used_bytes"] = exact(gpu.used_bytes, "bytes", f"the most of {looks}")
    return figures
