"""JobProfile and Diagnosis -> Report. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import mlscale
from mlscale.ladder.result import Diagnosis
from mlscale.measure import Measured, Measurement, Missing
from mlscale.model.speedup import SpeedUp
from mlscale.profile.job import JobProfile
from mlscale.profile.series import Series
from mlscale.report.clean import scrub
from mlscale.report.report import MEASUREMENTS, Cpus, Host, Phase, Report, Tool, Window
from mlscale.report.words import not_measured, timestamp


def build_report(profile: JobProfile, diagnosis: Diagnosis, ended_at: datetime, series: Series | None = None) -> Report:
    """The report of a diagnosis. `ended_at` (aware) is when the watch ended, so that a replay gives the same report."""
    measurements, missing = _split(profile.measurements)
    host, window = profile.host, profile.window
    warnings = (*profile.warnings, *diagnosis.warnings, *_not_measured(missing))
    report = Report(
        tool=Tool("mlscale", mlscale.__version__),
        created_at=timestamp(ended_at),
        host=Host(
            hostname=host.hostname,
            cpus=Cpus(host.logical_cpus, profile.cpu.quota_cores if profile.cpu else None),
            memory_bytes=host.memory_bytes,
            gpus=host.gpus,
            instance_type=host.instance_type,
            container=host.container,
            gpu_missing_reason=host.gpu_missing_reason,
            accelerator_simulated=host.accelerator_simulated,
        ),
        job=profile.job,
        window=Window(
            observed_s=window.observed_s,
            steady_s=window.steady_s,
            rate_hz=window.rate_hz,
            phases=tuple(Phase(*phase) for phase in window.phases),
            ended=window.ended,
        ),
        measurements=measurements,
        verdict=diagnosis.verdict,
        ladder=tuple(
            replace(rung, expected_speedup=_finite_speedup(rung.expected_speedup)) for rung in diagnosis.ladder
        ),
        next_step=replace(diagnosis.next_step, expected_speedup=_finite_speedup(diagnosis.next_step.expected_speedup)),
        warnings=tuple(dict.fromkeys(warnings)),  # the same thing is said once
        training=profile.training,
        workers=profile.workers,
        stores=profile.stores,
        cpu=profile.cpu,
        oversized=profile.oversized,
        series=series,
    )
    return scrub(report)


def _split(measured: Mapping[str, Measured]) -> tuple[dict[str, Measurement], dict[str, str]]:
    """What was measured, in the contract's order, and why the rest was not."""
    names = [*MEASUREMENTS, *(name for name in measured if name not in MEASUREMENTS)]
    found: dict[str, Measurement] = {}
    missing: dict[str, str] = {}
    for name in names:
        figure = measured.get(name)
        if isinstance(figure, Missing):
            missing[name] = figure.reason
        elif figure is None:
            missing[name] = "nothing that was seen tells it"
        elif not all(map(math.isfinite, (figure.value, figure.low, figure.high))):
            missing[name] = "the samples gave no finite figure"
        else:
            found[name] = figure
    return found, missing


def _not_measured(missing: Mapping[str, str]) -> list[str]:
    """One warning for each reason, naming all that it cost."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in missing.items():
        by_reason.setdefault(reason.rstrip(". "), []).append(name)
    return [not_measured(names, reason) for reason, names in by_reason.items()]


def _finite_speedup(speedup: SpeedUp | None) -> SpeedUp | None:
    """A promise that is no number is no promise."""
    if speedup is None or not all(map(math.isfinite, (speedup.value, speedup.low, speedup.high))):
        return None
    return speedup
