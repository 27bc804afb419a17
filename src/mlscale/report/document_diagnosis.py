"""A diagnosis as a document: what is wrong, how sure, what to do, what it brings; pictures; evidence; how it was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mlscale.measure import Measurement
from mlscale.model.speedup import SpeedUp
from mlscale.report import words
from mlscale.report.charts import Bar, Bars, Part, Range, Ranges
from mlscale.report.document import (
    Block,
    Bullets,
    Cell,
    Column,
    Document,
    Facts,
    Figure,
    Ladder,
    Line,
    Paragraph,
    Picture,
    Row,
    Rung,
    Said,
    Section,
    Table,
    Tone,
    code,
    dim,
    line,
    said,
    strong,
)
from mlscale.report.json import rounded
from mlscale.report.recommendation import Recommendation
from mlscale.report.report import Report
from mlscale.report.sentences import (
    CALM,
    TRAINING_TITLE,
    Division,
    about,
    first_sentence,
    lagging,
    made,
    next_title,
    place_of,
    shown_measurements,
    training_division,
    watched,
    why_not,
    workers_division,
)
from mlscale.report.timeline import round_top, timeline

MARKS = {"climb": "▶", "clear": "✓", "blocked": "✗", "later": "·", "unknown": "?"}
_SHOWN_RANKS = 16
_RAW_ROWS = 400  # GPUs or ranks: a page stays small however large the cluster


def document(report: Report) -> Document:
    """The whole diagnosis."""
    return Document(
        title=f"Diagnosis of {_who(report)}",
        subject=_who(report),
        headline=report.verdict.headline,
        tone=tone_of(report),
        summary=tuple(_summary(report)),
        sections=tuple(section for section in _sections(report) if section.blocks),
        made=made(report.tool, report.created_at),
    )


def tone_of(report: Report | Recommendation) -> Tone:
    """Whether something is wrong, nothing is, or it could not be told."""
    if report.verdict.bottleneck == "inconclusive":
        return "unsure"
    return "calm" if report.verdict.bottleneck in CALM else "bad"


def _who(report: Report) -> str:
    return f"process {report.job.pid} on {report.host.hostname or 'this machine'}"


def _summary(report: Report) -> Iterable[Said]:
    verdict, step = report.verdict, report.next_step
    bottleneck = strong(verdict.bottleneck.replace("_", " "))
    if verdict.bottleneck == "inconclusive":
        yield Said("Verdict", line(bottleneck))
    else:
        sure = words.confidence(verdict.confidence)
        shown = Figure(f"{verdict.confidence:.0%}", "Confidence", sure.partition(" ")[0])
        yield Said("Verdict", line(bottleneck, f", {sure}"), shown)
    if step.actions:
        more = len(step.actions) - 1
        rest = f"; and {words.count(more, 'more change')}, see below" if more else ""
        yield Said("Do this", (*said(step.actions[0], "strong"), *line(dim(rest))))
    if step.expected_speedup is not None:
        yield Said("It brings", line(words.speedup(step.expected_speedup)), gain_figure(step.expected_speedup))
    elif step.rung is not None:
        yield Said("It brings", line("not known: the samples do not tell it"))


def gain_figure(gain: SpeedUp, label: str = "Expected speed-up") -> Figure:
    """A speed-up, large."""
    return Figure(f"{gain.value:.2f}×", label, f"90% interval {gain.low:.2f} – {gain.high:.2f}×")


def _sections(report: Report) -> Iterable[Section]:
    missing, notes = words.split_warnings(report.warnings)
    yield Section(next_title(report), tuple(_next_step(report)))
    if notes:
        yield Section("Also note", (Bullets(tuple(said(note) for note in notes)),))
    watch = timeline(report)
    if watch is not None:
        yield Section(watch.title, (Picture(watch),))
    divisions = [d for d in (training_division(report), workers_division(report)) if d is not None]
    if divisions:
        yield Section("Where each sample's time goes", tuple(_divisions(report, divisions)))
    yield Section("The ladder", (ladder_of(report),))
    after = after_of(report)
    if after is not None:
        yield Section(after.title, (Picture(after),))
    yield Section("Evidence", tuple(_evidence(report)), fold="text")
    more = [(rung.rung, why_not(rung, report)) for rung in report.ladder if rung.status != "climb"]
    rows = tuple((name, said(text)) for name, text in more if text)
    if rows:
        yield Section("Why not the other rungs", (Facts(rows),), fold="text")
    yield Section("How it was measured", tuple(_how(report, missing)), fold="text")
    yield Section("Raw numbers", tuple(_raw(report)), fold="always")


def _next_step(report: Report) -> Iterable[Block]:
    step = report.next_step
    if len(step.actions) > 1:  # one alone stands in the summary
        items = tuple(said(action, "" if place else "strong") for place, action in enumerate(step.actions))
        yield Bullets(items, numbered=True)
    rung = next((rung for rung in report.ladder if rung.rung == step.rung), None)
    expected = f"Expected: {words.speedup(step.expected_speedup)}." if step.expected_speedup is not None else ""
    because = rung.because if rung is not None else ""
    if expected or because:
        yield Paragraph(said(" ".join(filter(None, [expected, because]))))
    if rung is not None and rung.citation:
        yield Paragraph(line(dim(f"Reason: {rung.citation}")))


def _divisions(report: Report, divisions: Sequence[Division]) -> Iterable[Block]:
    rate = report.measurements.get("throughput")
    ranks = max(1, len(report.job.ranks))
    workers = report.job.loader.workers if report.job.loader is not None else 0
    bars = []
    for division in divisions:
        threads = ranks if division.title == TRAINING_TITLE else ranks * max(1, workers)
        per_sample = threads / rate.value if rate is not None and rate.value > 0 else None
        total = ""
        if per_sample is not None:
            at_once = f", {threads} at once" if threads > 1 else ""
            total = f"{words.quantity(per_sample, 's')} a sample{at_once}"
        parts = tuple(
            Part(
                field,
                name,
                share=share,
                label=words.percent(share) + (f", {words.quantity(per_sample * share, 's')}" if per_sample else ""),
            )
            for field, name, share in division.parts
        )
        bars.append(Bar(division.title, division.note, total, 1.0, parts))
    told = (f"{bar.title}: {', '.join(f'{part.name} {part.label}' for part in bar.parts)}" for bar in bars)
    yield Picture(Bars("Where each sample's time goes", "; ".join(told) + ".", tuple(bars)))
    owners = ["the training thread's" if d.title == TRAINING_TITLE else "the workers'" for d in divisions]
    extra = [line(text) for division in divisions for text in division.extra]
    functions = [
        line(f"{words.percent(f.share)} of {whose} time in ", code(f.name), "  ", dim(place_of(f)))
        for division, whose in zip(divisions, owners, strict=True)
        for f in division.functions
    ]
    if extra or functions:
        yield Bullets((*extra, *functions))


def ladder_of(report: Report | Recommendation) -> Ladder:
    """The rungs, each with the first sentence of its reason."""
    return Ladder(
        tuple(
            Rung(
                rung.rung,
                rung.status,
                MARKS.get(rung.status, "?"),
                said(first_sentence(rung.because)),
                f"{rung.expected_speedup.value:.2f}×" if rung.expected_speedup else "",
                f"{rung.expected_speedup.low:.2f} – {rung.expected_speedup.high:.2f}" if rung.expected_speedup else "",
            )
            for rung in report.ladder
        )
    )


def after_of(report: Report | Recommendation) -> Ranges | None:
    """Throughput now and after each step that a speed-up is known for; relative to now where the rate is not known."""
    rate = report.measurements.get("throughput") or report.measurements.get("step_rate")
    now = rate or Measurement(1.0, "×", 1.0, 1.0, "")
    step = report.next_step
    promised: list[tuple[str, SpeedUp, str, str]] = []
    if step.rung is None and step.expected_speedup is not None:
        promised.append(("the change in the job", step.expected_speedup, "next", ""))
    for rung in report.ladder:
        if rung.expected_speedup is not None:
            promised.append((rung.rung, rung.expected_speedup, "next" if rung.status == "climb" else "", rung.status))
    if not promised:
        return None
    rows = [Range("now", now.value, now.low, now.high, words.quantity(now.value, now.unit), "now")]
    for name, gain, tone, status in promised:
        value, low, high = (now.value * factor for factor in (gain.value, gain.low, gain.high))
        rows.append(Range(name, value, low, high, words.quantity(value, now.unit), tone, status))
    told = ", ".join(f"{row.name} {row.label}" for row in rows)
    title = "Throughput now and after each step"
    return Ranges(title, f"{told}.", now.unit, tuple(rows), round_top(max(row.high for row in rows)))


def _evidence(report: Report) -> Iterable[Block]:
    if report.verdict.because:
        yield Bullets(tuple(said(text) for text in report.verdict.because))
    if report.job.ranks:
        ranks = sorted(report.job.ranks, key=lambda rank: rank.communication)[:_SHOWN_RANKS]
        yield _ranks(report, sorted(rank.rank for rank in ranks))
    facts = about(report)
    if facts:
        yield Facts(tuple((what, line(code(text) if what == "job" else text)) for what, text in facts))
    shown = shown_measurements(report)
    if shown:
        columns = (Column("measured"), Column("value", True), Column("90% interval", True), Column("seen in"))
        rows = []
        for name in shown:
            figure = report.measurements[name]
            texts = (words.label(name), words.figure(figure), words.interval(figure))
            rows.append(Row((*(Cell(line(text)) for text in texts), Cell(line(dim(figure.source))))))
        yield Table("Measurements", columns, tuple(rows))


def _ranks(report: Report, shown: Sequence[int]) -> Table:
    lags = lagging(report.job.ranks)
    rows = []
    for rank in report.job.ranks:
        if rank.rank in shown:
            shares = (rank.data, rank.step, rank.host, rank.communication)
            cells = [Cell(line(str(number)), number) for number in (rank.rank, rank.pid)]
            cells += [Cell(line(words.percent(share)), share) for share in shares]
            cells.append(Cell(line("waits least: the others wait for it" if rank.rank == lags else "")))
            rows.append(Row(tuple(cells), "next" if rank.rank == lags else ""))
    columns = [Column(name, True) for name in ("rank", "process", "data", "step", "host", "other ranks")]
    left = len(report.job.ranks) - len(rows)
    more = f"{words.count(left, 'more rank')}, which wait longer for the others." if left else ""
    return Table("Ranks", (*columns, Column("")), tuple(rows), sortable=len(rows) > 2, more=more)


def _how(report: Report, missing: Sequence[tuple[str, str]]) -> Iterable[Block]:
    yield Paragraph(line(watched(report)))
    host = report.host
    cpus = words.count(host.cpus.logical, "CPU")
    machine = [host.instance_type, f"{cpus}, {words.quantity(host.memory_bytes, 'bytes')} of memory", host.container]
    rows: list[tuple[str, Line]] = [
        ("machine", line(f"{host.hostname}: {', '.join(filter(None, machine))}")),
        ("framework", line(report.job.framework or "not recognised")),
        ("made by", line(made(report.tool, report.created_at))),
    ]
    rows += [("not measured", line(f"{names}: {reason}")) for names, reason in missing]
    yield Facts(tuple(rows))


def _raw(report: Report) -> Iterable[Block]:
    if report.measurements:
        yield raw_measurements(report.measurements)
    if len(report.job.ranks) > _SHOWN_RANKS:
        yield _ranks(report, [rank.rank for rank in report.job.ranks[:_RAW_ROWS]])
    if len(report.host.gpus) > 1:
        yield _gpus(report)


def raw_measurements(measurements: Mapping[str, Measurement]) -> Table:
    """All figures by the contract's names."""
    columns = (Column("name"), *(Column(name, True) for name in ("value", "low", "high")), Column("unit"))
    rows = tuple(
        Row(
            (
                Cell(line(code(name))),
                *(Cell(line(_digits(value)), value) for value in (figure.value, figure.low, figure.high)),
                Cell(line(figure.unit)),
            )
        )
        for name, figure in measurements.items()
    )
    return Table("All measurements", columns, rows)


def _digits(value: float) -> str:
    """A figure as the JSON has it, without an exponent where it is large."""
    value = rounded(value)
    return f"{value:,.0f}" if abs(value) >= 1e6 else f"{value:.6g}"


def _gpus(report: Report) -> Table:
    fields = (
        ("busy", "busy_fraction"),
        ("SMs", "sm_active_fraction"),
        ("tensor cores", "tensor_active_fraction"),
        ("memory traffic", "dram_active_fraction"),
        ("power", "power_fraction"),
        ("clock", "sm_clock_fraction"),
    )
    rows = []
    for gpu in report.host.gpus[:_RAW_ROWS]:
        shares = [getattr(gpu, field) for _, field in fields]
        cells = [Cell(line(str(gpu.index)), gpu.index), Cell(line(gpu.name))]
        cells += [Cell(line("" if share is None else words.percent(share)), share) for share in shares]
        rows.append(Row((*cells, Cell(line(", ".join(gpu.throttle_reasons))))))
    columns = (Column("GPU", True), Column("name"), *(Column(name, True) for name, _ in fields), Column("held down by"))
    left = len(report.host.gpus) - len(rows)
    return Table("GPUs", columns, tuple(rows), sortable=len(rows) > 2, more=f"{left} more in the JSON." if left else "")
