"""Two diagnoses of a job, before and after a step: what changed, and whether the step brought what was promised. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import mlscale
from mlscale.ladder.result import NextStep, Verdict
from mlscale.measure import Measurement
from mlscale.model.speedup import SpeedUp
from mlscale.profile.job import Loader
from mlscale.report import words
from mlscale.report.report import MEASUREMENTS, Report, Tool

Kept = Literal["kept", "less", "more", "no promise", "not measured"]


@dataclass(frozen=True)
class Side:
    """One of the two diagnoses: when, of what, and its verdict. `next_step` is what it advised."""

    created_at: str
    hostname: str
    pid: int
    command: str
    verdict: Verdict
    next_step: NextStep
    measurements: Mapping[str, Measurement]


@dataclass(frozen=True)
class Change:
    """Something about the job or its machine that differs, in words."""

    what: str
    before: str
    after: str


@dataclass(frozen=True)
class Diff:
    """What a step brought. `real` is throughput after over throughput before; `kept` judges the promise by it:
    kept (the intervals meet), less or more (they do not), "no promise", or "not measured"."""

    schema_version: Literal["1"] = field(default="1", kw_only=True)
    tool: Tool
    kind: Literal["diff"] = field(default="diff", kw_only=True)
    before: Side
    after: Side
    changes: tuple[Change, ...]
    promised: SpeedUp | None
    real: SpeedUp | None
    real_of: str
    kept: Kept
    warnings: tuple[str, ...] = ()


def diff_of(before: Report, after: Report) -> Diff:
    """What changed from one diagnosis to the other."""
    real, real_of = _real(before, after)
    promised = before.next_step.expected_speedup
    return Diff(
        tool=Tool("mlscale", mlscale.__version__),
        before=_side(before),
        after=_side(after),
        changes=tuple(_changes(before, after)),
        promised=promised,
        real=real,
        real_of=real_of,
        kept=_kept(promised, real),
        warnings=tuple(_warnings(before, after)),
    )


def ratio(after: Measurement, before: Measurement) -> SpeedUp | None:
    """After over before; the 90 % intervals are taken as independent and multiply as log-normal errors do."""
    if min(before.value, before.low, after.value) <= 0:
        return None
    value = after.value / before.value
    down = math.hypot(_log(after.value, max(after.low, 1e-9 * after.value)), _log(before.high, before.value))
    up = math.hypot(_log(after.high, after.value), _log(before.value, before.low))
    return SpeedUp(value, value * math.exp(-down), value * math.exp(up))


def _log(larger: float, smaller: float) -> float:
    return max(0.0, math.log(larger / smaller))


def _side(report: Report) -> Side:
    return Side(
        created_at=report.created_at,
        hostname=report.host.hostname,
        pid=report.job.pid,
        command=report.job.command,
        verdict=report.verdict,
        next_step=report.next_step,
        measurements=dict(report.measurements),
    )


def _real(before: Report, after: Report) -> tuple[SpeedUp | None, str]:
    """The ratio of samples a second; of steps a second where no batch size is known and it stayed the same."""
    for name in ("throughput", "step_rate"):
        first, second = before.measurements.get(name), after.measurements.get(name)
        if first is not None and second is not None:
            if name == "step_rate" and _batch(before) != _batch(after):
                break  # steps of different sizes
            return ratio(second, first), name
    return None, ""


def _batch(report: Report) -> int | None:
    return report.job.loader.batch_size if report.job.loader is not None else None


def _kept(promised: SpeedUp | None, real: SpeedUp | None) -> Kept:
    if real is None:
        return "not measured"
    if promised is None:
        return "no promise"
    if real.high < promised.low:
        return "less"
    return "more" if real.low > promised.high else "kept"


def _changes(before: Report, after: Report) -> Iterable[Change]:
    pairs = [
        ("command", before.job.command, after.job.command),
        ("machine", before.host.instance_type or "", after.host.instance_type or ""),
        ("host", before.host.hostname, after.host.hostname),
        ("GPUs", _gpus(before), _gpus(after)),
        ("CPUs", str(before.host.cpus.logical), str(after.host.cpus.logical)),
        ("CPU quota", _quota(before), _quota(after)),
        ("framework", before.job.framework or "not recognised", after.job.framework or "not recognised"),
        ("ranks", str(len(before.job.ranks) or 1), str(len(after.job.ranks) or 1)),
        *_loader(before.job.loader, after.job.loader),
        ("data", _stores(before), _stores(after)),
    ]
    for what, first, second in pairs:
        if first != second:
            yield Change(what, first or "none", second or "none")


def _loader(before: Loader | None, after: Loader | None) -> list[tuple[str, str, str]]:
    if before is None or after is None:
        return [("loader", before.label if before else "none", after.label if after else "none")]
    fields = ("workers", "batch_size", "prefetch_factor", "persistent_workers", "start_method")
    return [
        ("loader", before.label, after.label),
        *(
            (f"loader {name.replace('_', ' ')}", _text(getattr(before, name)), _text(getattr(after, name)))
            for name in fields
        ),
    ]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not known" if value is None else str(value)


def _gpus(report: Report) -> str:
    names: dict[str, int] = {}
    for gpu in report.host.gpus:
        names[gpu.name] = names.get(gpu.name, 0) + 1
    return ", ".join(f"{count} × {name}" for name, count in names.items())


def _quota(report: Report) -> str:
    quota = report.host.cpus.quota
    return "" if quota is None else f"{quota:g} cores"


def _stores(report: Report) -> str:
    return ", ".join(
        sorted({f"{store.where} ({store.file_system})" for store in report.stores if store.wait_share > 0.05})
    )


def _warnings(before: Report, after: Report) -> Iterable[str]:
    if before.created_at > after.created_at:
        yield "The second report is older than the first: are they the right way round?"
    if before.host.hostname != after.host.hostname:
        yield (
            f"The two were made on different machines ({before.host.hostname} and {after.host.hostname}): "
            "what differs between them is in the speed-up too."
        )
    if _program(before) != _program(after):
        yield "The two commands run different programs: is it the same job?"
    if before.next_step.rung is not None and before.next_step.actions == after.next_step.actions:
        yield "The second report advises the same change again: was it made?"
    for report, which in ((before, "before"), (after, "after")):
        if report.verdict.bottleneck == "inconclusive":
            yield f"The diagnosis {which} saw no steady training."
        elif report.window.phases and report.window.steady_s < 5:
            yield f"The diagnosis {which} rests on {words.seconds(report.window.steady_s)} of training."
    first, second = _batch(before), _batch(after)
    if first is not None and second is not None and first != second:
        yield f"Batches changed from {first} to {second} samples; throughput counts samples."


def _program(report: Report) -> str:
    """The command up to its first option."""
    return report.job.command.partition(" -")[0]


def shared_measurements(diff: Diff) -> list[str]:
    """Names of the figures that either side has, in the report's order."""
    known = {**diff.before.measurements, **diff.after.measurements}
    return [*(n for n in MEASUREMENTS if n in known), *(n for n in known if n not in MEASUREMENTS)]
