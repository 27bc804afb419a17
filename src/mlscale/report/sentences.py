"""What a diagnosis tells, as text without markup. Shared by the renderers, so that they all say the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlscale.ladder.result import RungResult
from mlscale.profile.job import FunctionShare, Gpu, Rank, Store
from mlscale.report import words
from mlscale.report.report import Report, Tool

# Wording only: what is too small to be worth a line.
_SHOWN_SHARE = 0.005  # of a thread's time, for a part of it
_SHOWN_FUNCTION = 0.03  # of a thread's time, for a function
_SHOWN_FUNCTIONS = 3
_SHOWN_STORES = 3
_SHOWN_GPUS = 8  # more are told together

# What the bars show already.
IN_BARS = (
    "data_wait_fraction",
    "host_busy_fraction",
    "worker_busy_fraction",
    "worker_cpu_fraction",
    "worker_io_wait_fraction",
)

# Shown first, whatever the verdict; the bars tell the fractions of time.
_MAIN = (
    "throughput",
    "step_rate",
    "gpu_busy_fraction",
    "data_wait_fraction",
    "cpu_used_cores",
    "cpu_limit_cores",
    "storage_read_bytes_per_s",
    "prep_cpu_seconds_per_sample",
    "gpu_seconds_per_sample",
)

KEPT_PHASES = ("checkpoint",)  # phases that belong to training: told apart, never left out
TRAINING_TITLE = "The training thread"
CALM = ("gpu", "none")  # verdicts under which nothing is wrong
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")


@dataclass(frozen=True)
class Division:
    """How a thread's time divides: (field, name for people, share), the small ones left out."""

    title: str
    note: str
    parts: tuple[tuple[str, str, float], ...]
    extra: tuple[str, ...]
    functions: tuple[FunctionShare, ...]


def next_title(report: Report) -> str:
    """The heading over the step to take."""
    if report.next_step.rung is not None:
        return f"Next step: {report.next_step.rung}"
    return "Next step" if report.verdict.bottleneck in (*CALM, "inconclusive") else "Next step: a change in the job"


def why_not(rung: RungResult, report: Report) -> str:
    """What the tables have no room for: the rest of the reason, and further figures it rests on."""
    first = first_sentence(rung.because)
    figures = [
        f"{words.lower_first(words.label(name))} {words.figure(figure)}"
        for name in rung.evidence
        if name not in (*shown_measurements(report), *IN_BARS) and (figure := report.measurements.get(name)) is not None
    ]
    parts = [rung.because[len(first) :].strip(), f"Seen: {', '.join(figures)}." if figures else ""]
    if rung.status == "blocked" and rung.actions:
        parts.append(f"It would be: {'; '.join(rung.actions)}.")
    return " ".join(part for part in parts if part)


def first_sentence(text: str) -> str:
    """The text up to where its second sentence begins."""
    return _SENTENCE_END.split(text, maxsplit=1)[0]


def watched(report: Report) -> str:
    """How long it was watched, how often, and what was left out."""
    window = report.window
    steady = f"{words.seconds(window.steady_s)} of steady training"
    if window.steady_s < window.observed_s - 0.5:
        steady += f" within {words.seconds(window.observed_s)}"
    ended = words.ENDED.get(window.ended, window.ended)
    parts = [f"Watched {steady}, {window.rate_hz:g} looks a second, until {ended}."]
    by_name: dict[str, list[float]] = {}
    for phase in window.phases:
        if phase.name not in KEPT_PHASES:
            by_name.setdefault(phase.name, []).append(phase.end_s - phase.start_s)
    if by_name:
        left_out = (
            f"{name} ({f'{len(lengths)} times, ' if len(lengths) > 1 else ''}{words.seconds(sum(lengths))})"
            for name, lengths in by_name.items()
        )
        parts.append(f"Left out: {', '.join(left_out)}.")
    parts.append("Ranges are 90% intervals. Nothing was changed in the job.")
    return " ".join(parts)


def made(tool: Tool, created_at: str) -> str:
    """When, and with what."""
    return f"{created_at}, {tool.name} {tool.version}"


def shown_measurements(report: Report) -> list[str]:
    """Names of the figures in the table: those everyone asks for, and those that the next step rests on."""
    rests_on = [name for rung in report.ladder if rung.status == "climb" for name in rung.evidence]
    return [name for name in dict.fromkeys([*_MAIN, *rests_on]) if name in report.measurements]


def _job(report: Report) -> Iterable[tuple[str, str]]:
    job = report.job
    if job.command:
        yield "job", job.command
    loader = job.loader
    if loader is None:
        return
    parts = [loader.label]
    if loader.worker_kind == "inline":
        parts.append("no workers (the training thread loads the data)")
    else:
        parts.append(words.count(loader.workers, "thread" if loader.worker_kind == "thread" else "worker"))
    if loader.batch_size:
        parts.append(f"batches of {loader.batch_size}")
    if loader.prefetch_factor and loader.worker_kind != "inline":
        parts.append(f"{loader.prefetch_factor} prefetched by each")
    if loader.start_method:
        parts.append(f"started by {loader.start_method}")
    yield "loader", ", ".join(parts)


def _store(store: Store) -> str:
    """One place that the data comes from."""
    device = f" on {store.device}" if store.device else ""
    parts = [f"{store.where} ({store.file_system}{device})"]
    if store.read_bytes_per_s:
        rate = words.quantity(store.read_bytes_per_s, "bytes/s")
        if store.ceiling_bytes_per_s:
            rate += f" of {words.quantity(store.ceiling_bytes_per_s, 'bytes/s')}"
        parts.append(rate)
    if store.reads_per_s:
        reads = f"{words.quantity(store.reads_per_s, '')} reads/s"
        if store.seconds_per_read:
            reads += f" of {words.quantity(store.seconds_per_read, 's')}"
        parts.append(reads)
    if store.wait_share >= _SHOWN_SHARE:
        parts.append(f"{words.percent(store.wait_share)} of the I/O wait")
    text = ", ".join(parts)
    return f"{text}. {store.why}" if store.why else text


def _images(report: Report) -> Iterable[tuple[str, str]]:
    images = report.oversized
    if images is not None:
        stored, used = (f"{width} × {height}" for width, height in (images.stored, images.used))
        yield (
            "images",
            f"stored at {stored} pixels, used at {used}; decoding takes {words.percent(images.decode_share)} and "
            f"resizing {words.percent(images.resize_share)} of the preparation's CPU time",
        )


def _cores(report: Report) -> Iterable[tuple[str, str]]:
    cpu = report.cpu
    if cpu is None:
        return
    source = {"machine": "the machine has", "affinity": "its affinity allows", "quota": "the container's quota allows"}
    text = (
        f"{cpu.job_cores:.2f} of the {cpu.limit_cores:g} that {source.get(cpu.limit_source, 'it may use')} "
        f"(training {cpu.training_cores:.2f}, workers {cpu.worker_cores:.2f}); others use {cpu.other_cores:.2f}"
    )
    if cpu.servers:
        text += f"; {' and '.join(cpu.servers)}, to serve its data, {cpu.serving_cores:.2f}"
    if cpu.throttled_fraction and cpu.throttled_fraction >= _SHOWN_SHARE:
        text += f"; the quota stopped the job for {words.percent(cpu.throttled_fraction)} of the time"
    yield "cores", text


def _accelerators(report: Report) -> Iterable[tuple[str, str]]:
    host = report.host
    if len(host.gpus) > _SHOWN_GPUS:
        yield from (("GPU", _alike(name, host.gpus)) for name in dict.fromkeys(gpu.name for gpu in host.gpus))
    else:
        yield from (("GPU", _gpu(gpu)) for gpu in host.gpus)
    if host.accelerator_simulated:
        yield "GPU", "none is visible and the training step only sleeps: the accelerator is simulated"
    elif not host.gpus and host.gpu_missing_reason:
        yield "GPU", f"none seen: {host.gpu_missing_reason}"


def _alike(name: str, gpus: Sequence[Gpu]) -> str:
    """Many GPUs of one kind: how busy, from the least to the most."""
    alike = [gpu for gpu in gpus if gpu.name == name]
    busy = sorted(gpu.busy_fraction for gpu in alike if gpu.busy_fraction is not None)
    text = f"{len(alike)} × {name}"
    if busy:
        mean = words.percent(sum(busy) / len(busy))
        text += f", busy {mean} on average, from {words.percent(busy[0])} to {words.percent(busy[-1])}"
    held = [gpu for gpu in alike if gpu.throttle_reasons]
    return f"{text}, {len(held)} of them held down" if held else text


def _gpu(gpu: Gpu) -> str:
    parts = [f"{gpu.index}: {gpu.name}{' (MIG)' if gpu.mig else ''}"]
    for share, what in (
        (gpu.busy_fraction, "busy"),
        (gpu.sm_active_fraction, "SMs"),
        (gpu.tensor_active_fraction, "tensor cores"),
        (gpu.dram_active_fraction, "memory traffic"),
        (gpu.power_fraction, "power"),
        (gpu.sm_clock_fraction, "clock"),
    ):
        if share is not None:
            parts.append(f"{what} {words.percent(share)}")
    if gpu.throttle_reasons:
        parts.append(f"held down by {', '.join(gpu.throttle_reasons)}")
    return ", ".join(parts) + (f" ({gpu.signal})" if gpu.signal else "")


def about(report: Report) -> list[tuple[str, str]]:
    """The job, the data, the cores and the GPUs: (what, what is said of it), as far as they are known."""
    return [
        *_job(report),
        *(("data", _store(store)) for store in report.stores[:_SHOWN_STORES]),
        *_images(report),
        *_cores(report),
        *_accelerators(report),
    ]


def training_division(report: Report) -> Division | None:
    """The training thread's time."""
    training, loader = report.training, report.job.loader
    if training is None:
        return None
    inline = loader is not None and loader.worker_kind == "inline"
    parts = [
        ("data", words.INLINE_DATA if inline else words.DATA, training.data - training.receive),
        ("receive", words.RECEIVE, training.receive),
        *((field, name, getattr(training, field)) for field, name in words.TRAINING_PARTS),
    ]
    extra = []
    if training.saves_seen:
        extra.append(f"{words.count(training.saves_seen, 'save')} of {words.seconds(training.save_seconds)} each")
    note = "" if training.stacks_seen else "told from thread states and system calls alone"
    return _division(TRAINING_TITLE, note, parts, extra, training.functions)


def workers_division(report: Report) -> Division | None:
    """A worker's time, the mean of all."""
    workers, loader = report.workers, report.job.loader
    if workers is None:
        return None
    if loader is None or not loader.workers:
        title = "The loader's workers"
    elif loader.workers == 1:
        title = "The one loader worker"
    else:
        title = f"Each of {loader.workers} loader {'threads' if loader.worker_kind == 'thread' else 'workers'}"
    note = (
        f"the busiest works {workers.imbalance:.1f}× the mean" if workers.imbalance and workers.imbalance > 1.2 else ""
    )
    parts = [(field, name, getattr(workers, field)) for field, name in words.WORKER_PARTS]
    return _division(title, note, parts, [], workers.functions)


def _division(
    title: str,
    note: str,
    parts: Sequence[tuple[str, str, float]],
    extra: Sequence[str],
    functions: Sequence[FunctionShare],
) -> Division:
    shown = [function for function in functions if function.share >= _SHOWN_FUNCTION][:_SHOWN_FUNCTIONS]
    return Division(title, note, tuple(p for p in parts if p[2] >= _SHOWN_SHARE), tuple(extra), tuple(shown))


def place_of(function: FunctionShare) -> str:
    """Where a function stands: ".../PIL/ImageFile.py:266"."""
    return words.short_path(function.filename) + (f":{function.line}" if function.line else "")


def lagging(ranks: Sequence[Rank]) -> int | None:
    """The rank that waits least for the others is the one that they wait for; None where it is no single one."""
    least = min((rank.communication for rank in ranks), default=0.0)
    lags = [rank.rank for rank in ranks if rank.communication == least]
    return lags[0] if len(ranks) > 1 and len(lags) == 1 else None
