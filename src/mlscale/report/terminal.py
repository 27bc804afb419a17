"""Report -> text for a terminal: what a tired person needs first, then the reasons, then how it was measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mlscale.ladder.result import RungResult
from mlscale.report import words
from mlscale.report.evidence import SIDE_BY_SIDE, evidence
from mlscale.report.layout import bullets, fitting, heading, indented, rendered, rows
from mlscale.report.report import Report
from mlscale.report.sentences import CALM, first_sentence, made, next_title, watched, why_not

_STATUS = {  # mark, style
    "climb": ("▶", "bold green"),
    "clear": ("✓", "dim"),
    "blocked": ("✗", "red"),
    "later": ("·", "dim"),
    "unknown": ("?", "yellow"),
}


def render(report: Report, *, color: bool, width: int) -> str:
    """The report as text of at most `width` columns, with ANSI colours or without any escape."""
    width = fitting(width)
    return rendered(list(_parts(report, width)), color, width)


def _parts(report: Report, width: int) -> Iterable[RenderableType]:
    yield _headline(report)
    yield heading("The ladder")
    yield _ladder(report.ladder, width >= SIDE_BY_SIDE)
    if report.next_step.actions or report.next_step.rung:
        yield heading(next_title(report))
        yield _next_step(report)
    yield heading("Evidence")
    yield from evidence(report, width)
    more = [(rung.rung, why_not(rung, report)) for rung in report.ladder if rung.status != "climb"]
    if any(text for _, text in more):
        yield heading("Why not the other rungs")
        yield rows((Text(name), Text(text)) for name, text in more if text)
    missing, notes = words.split_warnings(report.warnings)
    if notes:
        yield heading("Also note")
        yield bullets(notes, "yellow")
    if missing:
        yield heading("Not measured")
        yield bullets([f"{names}: {reason}" for names, reason in missing], style="dim")
    yield heading("How it was measured")
    yield indented(Text(f"{watched(report)}\n{made(report.tool, report.created_at)}", "dim"))


def _headline(report: Report) -> Panel:
    """What is wrong, how sure, what to do, what it brings."""
    verdict, step = report.verdict, report.next_step
    calm = verdict.bottleneck in CALM
    border = "green" if calm else "yellow" if verdict.bottleneck == "inconclusive" else "red"
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    bottleneck = verdict.bottleneck.replace("_", " ")
    if verdict.bottleneck == "inconclusive":
        grid.add_row("Verdict", Text(bottleneck))
    else:
        grid.add_row("Verdict", Text.assemble((bottleneck, "bold"), f", {words.confidence(verdict.confidence)}"))
    if step.actions:
        grid.add_row("Do this", Text(step.actions[0], "bold green"))
        if len(step.actions) > 1:
            grid.add_row("", Text(f"and {words.count(len(step.actions) - 1, 'more change')}, see below", "dim"))
    if step.expected_speedup is not None:
        grid.add_row("It brings", Text(words.speedup(step.expected_speedup)))
    elif step.rung is not None:
        grid.add_row("It brings", Text("not known: the samples do not tell it"))
    body = Group(Text(verdict.headline, "bold", overflow="fold"), Text(), grid)
    job = report.job
    title = Text(f" {report.tool.name} · process {job.pid} on {report.host.hostname or 'this machine'} ")
    return Panel(body, title=title, title_align="left", box=box.ROUNDED, border_style=border, padding=(1, 2))


def _ladder(ladder: Sequence[RungResult], wide: bool) -> RenderableType:
    promises = any(rung.expected_speedup for rung in ladder)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False, show_edge=False, expand=True)
    table.add_column("", no_wrap=True, width=1)
    table.add_column("rung", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("why", ratio=1, overflow="fold")
    if promises:
        table.add_column("speed-up", no_wrap=True, justify="right")
    for rung in ladder:
        mark, style = _STATUS.get(rung.status, ("?", ""))
        quiet = "dim" if rung.status in ("later", "clear") else ""
        cells = [
            Text(mark, style),
            Text(rung.rung, style if rung.status == "climb" else quiet),
            Text(rung.status, style),
            Text(first_sentence(rung.because), quiet),
        ]
        if promises:
            promise = rung.expected_speedup
            text = Text(justify="right")
            if promise is not None:
                text.append(f"{promise.value:.2f}×", style if rung.status == "climb" else "")
                text.append("  " if wide else "\n")
                text.append(f"{promise.low:.2f} – {promise.high:.2f}", "dim")
            cells.append(text)
        table.add_row(*cells)
    return Padding(table, (0, 0, 0, 2))


def _next_step(report: Report) -> RenderableType:
    step = report.next_step
    number = Table.grid(padding=(0, 1))
    number.add_column(no_wrap=True, style="dim", justify="right")
    number.add_column(overflow="fold")
    for place, action in enumerate(step.actions, 1):
        number.add_row(f"{place}.", Text(action, "bold" if place == 1 else ""))
    parts: list[RenderableType] = [number] if step.actions else []
    if step.expected_speedup is not None:
        parts.append(Text(f"Expected: {words.speedup(step.expected_speedup)}."))
    rung = next((rung for rung in report.ladder if rung.rung == step.rung), None)
    if rung is not None:
        rest = rung.because[len(first_sentence(rung.because)) :].strip()
        if rest:
            parts.append(Text(rest))
        if rung.citation:
            parts.append(Text(f"Reason: {rung.citation}", "dim"))
    return indented(Group(*parts))
