"""The terminal report's evidence: how time divides, where the data comes from, and the figures with their sources."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mlscale.profile.job import FunctionShare, Gpu, Rank, Store, TrainingThread, Workers
from mlscale.report import words
from mlscale.report.layout import bar, bullets, indented
from mlscale.report.report import Report

SIDE_BY_SIDE = 104  # columns from which two divisions of time fit beside each other
_BAR = 20  # columns
# Wording only: what is too small to be worth a line.
_SHOWN_SHARE = 0.005  # of a thread's time, for a part of it
_SHOWN_FUNCTION = 0.03  # of a thread's time, for a function
_SHOWN_FUNCTIONS = 3
_SHOWN_STORES = 3

# What the bars show already.
IN_BARS = (
    "data_wait_fraction",
    "host_busy_fraction",
    "worker_busy_fraction",
    "worker_cpu_fraction",
    "worker_io_wait_fraction",
)

_PART_STYLES = {"data": "red", "step": "green", "host": "yellow", "save": "magenta", "communication": "cyan"} | {
    "compute": "green",
    "io_wait": "red",
    "run_queue": "yellow",
    "gil_wait": "yellow",
    "hand_over": "cyan",
}

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


def evidence(report: Report, width: int) -> Iterable[RenderableType]:
    """The parts of the section, with an empty line between."""
    parts: list[RenderableType] = []
    if report.verdict.because:
        parts.append(bullets(report.verdict.because))
    parts += _divisions(report, width)
    if report.job.ranks:
        parts.append(_ranks(report.job.ranks))
    about = _about(report)
    if about is not None:
        parts.append(about)
    if report.measurements:
        parts.append(_measurements(report, width))
    if not parts:
        parts.append(indented(Text("Nothing could be measured.", "dim")))
    for place, part in enumerate(parts):
        if place:
            yield Text()
        yield part


def _divisions(report: Report, width: int) -> list[RenderableType]:
    """The time of the training thread and of the workers, as bars."""
    found: list[RenderableType] = []
    if report.training is not None:
        found.append(_training(report.training, report))
    if report.workers is not None:
        found.append(_workers(report.workers, report))
    if len(found) == 2 and width >= SIDE_BY_SIDE:
        grid = Table.grid(padding=(0, 4), expand=True)
        grid.add_column(ratio=1)
        grid.add_column(ratio=1)
        grid.add_row(*found)
        return [indented(grid)]
    return [indented(part) for part in found]


def _training(training: TrainingThread, report: Report) -> RenderableType:
    loader = report.job.loader
    inline = loader is not None and loader.worker_kind == "inline"
    parts = [
        ("data", words.INLINE_DATA if inline else words.DATA, training.data - training.receive),
        ("data", words.RECEIVE, training.receive),
        *((field, name, getattr(training, field)) for field, name in words.TRAINING_PARTS),
    ]
    source = "" if training.stacks_seen else "told from thread states and system calls alone"
    extra = []
    if training.saves_seen:
        extra.append(f"{words.count(training.saves_seen, 'save')} of {words.seconds(training.save_seconds)} each")
    return Group(
        _title("The training thread", source),
        _bars(parts),
        *(Text(line, "dim") for line in extra),
        *_functions(training.functions),
    )


def _workers(workers: Workers, report: Report) -> RenderableType:
    loader = report.job.loader
    if loader is None or not loader.workers:
        title = "The loader's workers"
    elif loader.workers == 1:
        title = "The one loader worker"
    else:
        title = f"Each of {loader.workers} loader {'threads' if loader.worker_kind == 'thread' else 'workers'}"
    note = (
        f"the busiest works {workers.imbalance:.1f}× the mean" if workers.imbalance and workers.imbalance > 1.2 else ""
    )
    return Group(
        _title(title, note),
        _bars([(field, name, getattr(workers, field)) for field, name in words.WORKER_PARTS]),
        *_functions(workers.functions),
    )


def _title(title: str, note: str) -> Text:
    text = Text(title, "bold")
    if note:
        text.append(f"  {note}", "not bold dim")
    return text


def _bars(parts: Sequence[tuple[str, str, float]]) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, min_width=19)
    grid.add_column(no_wrap=True, justify="right", min_width=4)
    grid.add_column(no_wrap=True)
    for field, name, share in parts:
        if share >= _SHOWN_SHARE:
            grid.add_row(name, words.percent(share), Text(bar(share, _BAR), _PART_STYLES.get(field, "dim")))
    return grid


def _functions(functions: Sequence[FunctionShare]) -> Iterable[RenderableType]:
    """The functions that take most of the time, one a line."""
    for function in [f for f in functions if f.share >= _SHOWN_FUNCTION][:_SHOWN_FUNCTIONS]:
        place = words.short_path(function.filename) + (f":{function.line}" if function.line else "")
        yield Text.assemble(f"{words.percent(function.share)} in ", (function.name, "bold"), (f"  {place}", "dim"))


def _ranks(ranks: Sequence[Rank]) -> RenderableType:
    """The ranks side by side. The one that waits least for the others is the one that they wait for."""
    least = min(rank.communication for rank in ranks)
    lags = [rank.rank for rank in ranks if rank.communication == least]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for name in ("rank", "process", "data", "step", "host", "other ranks"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for rank in ranks:
        shares = [words.percent(share) for share in (rank.data, rank.step, rank.host, rank.communication)]
        mark = Text("waits least", "yellow") if len(ranks) > 1 and lags == [rank.rank] else Text()
        table.add_row(str(rank.rank), str(rank.pid), *shares, mark)
    return indented(table)


def _about(report: Report) -> RenderableType | None:
    """The job, the data, the cores and the GPUs: one line each, as far as they are known."""
    lines = [*_job(report), *(("data", _store(store)) for store in report.stores[:_SHOWN_STORES]), *_images(report)]
    lines += [*_cores(report), *_accelerators(report)]
    if not lines:
        return None
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(no_wrap=True, min_width=6)
    grid.add_column(overflow="fold", ratio=1)
    for place, (what, said) in enumerate(lines):
        same = place > 0 and lines[place - 1][0] == what
        grid.add_row(Text("" if same else what, "bold"), Text(said))
    return indented(grid)


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
    if cpu.throttled_fraction and cpu.throttled_fraction >= _SHOWN_SHARE:
        text += f"; the quota stopped the job for {words.percent(cpu.throttled_fraction)} of the time"
    yield "cores", text


def _accelerators(report: Report) -> Iterable[tuple[str, str]]:
    host = report.host
    for gpu in host.gpus:
        yield "GPU", _gpu(gpu)
    if host.accelerator_simulated:
        yield "GPU", "none is visible and the training step only sleeps: the accelerator is simulated"
    elif not host.gpus and host.gpu_missing_reason:
        yield "GPU", f"none seen: {host.gpu_missing_reason}"


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


def shown_measurements(report: Report) -> list[str]:
    """Names of the figures in the table: those everyone asks for, and those that the next step rests on."""
    rests_on = [name for rung in report.ladder if rung.status == "climb" for name in rung.evidence]
    return [name for name in dict.fromkeys([*_MAIN, *rests_on]) if name in report.measurements]


def _measurements(report: Report, width: int) -> RenderableType:
    """Figures with interval and source. The source stands beside them where there is room, else below."""
    shown = shown_measurements(report)
    beside = width >= SIDE_BY_SIDE
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False, expand=True)
    for name in ("measured", "value", "90% interval"):
        table.add_column(name, no_wrap=True)
    table.add_column("seen in" if beside else "", overflow="fold", ratio=1)
    blocks: list[RenderableType] = [table]
    rows = [
        (words.label(name), words.figure(figure), words.interval(figure), figure.source)
        for name in shown
        for figure in (report.measurements[name],)
    ]
    if beside:
        for *cells, source in rows:
            table.add_row(*map(Text, cells), Text(source, "dim"))
    else:
        columns = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [("measured", "value", "90% interval", "seen in"), *rows]
        blocks = []
        for place, (label, value, interval, source) in enumerate(lines):
            line = f"{label:<{columns[0]}}  {value:<{columns[1]}}  {interval}".rstrip()
            blocks.append(Text(line, "dim" if place == 0 else ""))
            blocks.append(indented(Text(source, "dim")))
    left = len(report.measurements) - len(shown)
    more = [Text(f"{words.count(left, 'more figure')} in --format json", "dim")] if left else []
    return indented(Group(*blocks, *more))
