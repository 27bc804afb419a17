"""The terminal report's evidence: how time divides, where the data comes from, and the figures with their sources."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mlscale.profile.job import FunctionShare, Rank
from mlscale.report import words
from mlscale.report.layout import bar, bullets, indented
from mlscale.report.report import Report
from mlscale.report.sentences import (
    Division,
    about,
    lagging,
    place_of,
    shown_measurements,
    training_division,
    workers_division,
)

SIDE_BY_SIDE = 104  # columns from which two divisions of time fit beside each other
_BAR = 20  # columns
_PART_STYLES = {
    "data": "red",
    "receive": "red",
    "step": "green",
    "host": "yellow",
    "save": "magenta",
    "communication": "cyan",
} | {
    "compute": "green",
    "io_wait": "red",
    "run_queue": "yellow",
    "gil_wait": "yellow",
    "hand_over": "cyan",
}


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
    found = [_division(part) for part in (training_division(report), workers_division(report)) if part is not None]
    if len(found) == 2 and width >= SIDE_BY_SIDE:
        grid = Table.grid(padding=(0, 4), expand=True)
        grid.add_column(ratio=1)
        grid.add_column(ratio=1)
        grid.add_row(*found)
        return [indented(grid)]
    return [indented(part) for part in found]


def _division(division: Division) -> RenderableType:
    title = Text(division.title, "bold")
    if division.note:
        title.append(f"  {division.note}", "not bold dim")
    return Group(
        title,
        _bars(division.parts),
        *(Text(line, "dim") for line in division.extra),
        *_functions(division.functions),
    )


def _bars(parts: Sequence[tuple[str, str, float]]) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, min_width=19)
    grid.add_column(no_wrap=True, justify="right", min_width=4)
    grid.add_column(no_wrap=True)
    for field, name, share in parts:
        grid.add_row(name, words.percent(share), Text(bar(share, _BAR), _PART_STYLES.get(field, "dim")))
    return grid


def _functions(functions: Sequence[FunctionShare]) -> Iterable[RenderableType]:
    """The functions that take most of the time, one a line."""
    for function in functions:
        yield Text.assemble(
            f"{words.percent(function.share)} in ", (function.name, "bold"), (f"  {place_of(function)}", "dim")
        )


def _ranks(ranks: Sequence[Rank]) -> RenderableType:
    """The ranks side by side."""
    lags = lagging(ranks)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for name in ("rank", "process", "data", "step", "host", "other ranks"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for rank in ranks:
        shares = [words.percent(share) for share in (rank.data, rank.step, rank.host, rank.communication)]
        mark = Text("waits least", "yellow") if rank.rank == lags else Text()
        table.add_row(str(rank.rank), str(rank.pid), *shares, mark)
    return indented(table)


def _about(report: Report) -> RenderableType | None:
    """The job, the data, the cores and the GPUs: one line each, as far as they are known."""
    lines = about(report)
    if not lines:
        return None
    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(no_wrap=True, min_width=6)
    grid.add_column(overflow="fold", ratio=1)
    for place, (what, said) in enumerate(lines):
        same = place > 0 and lines[place - 1][0] == what
        grid.add_row(Text("" if same else what, "bold"), Text(said))
    return indented(grid)


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
