"""What a step brought, as a document: the promise beside the result, and what changed in the job and in its figures."""

from __future__ import annotations

from collections.abc import Iterable

from mlscale.measure import Measurement
from mlscale.report import words
from mlscale.report.charts import Range, Ranges
from mlscale.report.diff import Diff, Side, ratio, shared_measurements
from mlscale.report.document import (
    Block,
    Bullets,
    Cell,
    Column,
    Document,
    Line,
    Picture,
    Row,
    Said,
    Section,
    Table,
    Tone,
    line,
    said,
    strong,
)
from mlscale.report.document_diagnosis import gain_figure
from mlscale.report.sentences import made
from mlscale.report.timeline import round_top

_KEPT = {
    "kept": ("kept", ": the promised interval and the measured one meet"),
    "less": ("not kept", ": it brought less, and the intervals do not meet"),
    "more": ("exceeded", ": it brought more, and the intervals do not meet"),
    "no promise": ("none", ": nothing had been promised"),
    "not measured": ("not measured", ": the two reports share no rate"),
}


def document(diff: Diff) -> Document:
    """The whole comparison."""
    return Document(
        title="Before and after",
        subject=f"process {diff.before.pid} on {diff.before.hostname}, before and after a step",
        headline=headline(diff),
        tone=_tone(diff),
        summary=tuple(_summary(diff)),
        sections=tuple(section for section in _sections(diff) if section.blocks),
        made=made(diff.tool, f"{diff.before.created_at} and {diff.after.created_at}"),
    )


def headline(diff: Diff) -> str:
    """One sentence: what the step brought, beside what was promised."""
    step = diff.before.next_step.rung or "the change"
    if diff.real is None:
        return "What the step brought is not known: the two reports share no measured rate."
    runs = f"the job runs {diff.real.value:.2f}× as fast"
    if diff.promised is None:
        return f"{runs[:1].upper()}{runs[1:]} as before; nothing had been promised."
    promised = f"{diff.promised.value:.2f}×"
    if diff.kept == "kept":
        return f"After {step}, {runs}; {promised} was promised."
    return f"After {step}, {runs}: {diff.kept} than the {promised} that was promised."


def _tone(diff: Diff) -> Tone:
    if diff.real is None or diff.kept == "no promise":
        return "unsure"
    return "bad" if diff.kept == "less" or diff.real.value < 1 else "calm"


def _summary(diff: Diff) -> Iterable[Said]:
    yield Said("Promise", line(strong(_KEPT[diff.kept][0]), _KEPT[diff.kept][1]))
    if diff.before.next_step.actions:
        yield Said("Was to be done", said(diff.before.next_step.actions[0], "strong"))
    if diff.real is not None:
        yield Said("It brought", line(words.speedup(diff.real)), gain_figure(diff.real, "Measured speed-up"))
    if diff.promised is not None:
        yield Said("Promised", line(words.speedup(diff.promised)), gain_figure(diff.promised, "Promised"))
    yield Said("Now", line(diff.after.verdict.headline))


def _sections(diff: Diff) -> Iterable[Section]:
    if diff.warnings:
        yield Section("Also note", (Bullets(tuple(said(text) for text in diff.warnings)),))
    if diff.real is not None:
        yield Section("Promise and result", tuple(_result(diff)))
    yield Section("Verdict before and after", (_verdicts(diff),))
    if diff.changes:
        rows = tuple(_row(line(c.what), line(c.before), line(c.after)) for c in diff.changes)
        yield Section("What changed in the job", (Table("Changes", _columns("what"), rows),))
    else:
        nothing = line("Nothing that mlscale sees: the same command, loader and machine.")
        yield Section("What changed in the job", (Bullets((nothing,)),))
    names = shared_measurements(diff)
    if names:
        yield Section("Figures before and after", (_figures(diff, names),))


def _result(diff: Diff) -> Iterable[Block]:
    rows = []
    if diff.promised is not None:
        p = diff.promised
        rows.append(Range("promised", p.value, p.low, p.high, f"{p.value:.2f}×", ""))
    if diff.real is not None:
        r = diff.real
        rows.append(Range("measured", r.value, r.low, r.high, f"{r.value:.2f}×", "real", words.label(diff.real_of)))
    top = round_top(max([1.0, *(row.high for row in rows)]))
    told = ", ".join(f"{row.name} {row.label} ({row.low:.2f} to {row.high:.2f})" for row in rows)
    yield Picture(Ranges("Promise and result", f"Speed after over speed before: {told}.", "×", tuple(rows), top))


def _columns(first: str, last: str = "") -> tuple[Column, ...]:
    figures = bool(last)
    columns = (Column(first), Column("before", figures), Column("after", figures))
    return (*columns, Column(last, True)) if last else columns


def _row(*cells: Line) -> Row:
    return Row(tuple(Cell(cell) for cell in cells))


def _verdicts(diff: Diff) -> Table:
    def verdict(side: Side) -> str:
        return f"{side.verdict.bottleneck.replace('_', ' ')}, {words.confidence(side.verdict.confidence)}"

    def step(side: Side) -> str:
        return side.next_step.rung or (side.next_step.actions[0] if side.next_step.actions else "none")

    sides = (diff.before, diff.after)
    rows = [
        _row(line("verdict"), *(line(strong(verdict(side))) for side in sides)),
        _row(line("why"), *(line(side.verdict.headline) for side in sides)),
        _row(line("next step"), *(line(step(side)) for side in sides)),
        _row(line("seen at"), *(line(side.created_at) for side in sides)),
    ]
    return Table("Verdicts", _columns(""), tuple(rows))


def _figures(diff: Diff, names: Iterable[str]) -> Table:
    rows = []
    for name in names:
        before, after = diff.before.measurements.get(name), diff.after.measurements.get(name)
        rows.append(
            _row(line(words.label(name)), *(line(_shown(m)) for m in (before, after)), line(_change(before, after)))
        )
    return Table("Measurements", _columns("measured", "change"), tuple(rows))


def _shown(measurement: Measurement | None) -> str:
    if measurement is None:
        return "not measured"
    interval = words.interval(measurement)
    return words.figure(measurement) + (f" ({interval})" if interval else "")


def _change(before: Measurement | None, after: Measurement | None) -> str:
    """Shares differ by points, everything else by a factor."""
    if before is None or after is None or before.unit != after.unit:
        return ""
    if before.unit == "fraction":
        points = 100 * (after.value - before.value)
        return f"{points:+.0f} points" if abs(points) >= 0.5 else "same"
    found = ratio(after, before)
    if found is None:
        return "same" if before.value == after.value else ""
    return "same" if abs(found.value - 1) < 0.005 else f"{found.value:.2f}×"
