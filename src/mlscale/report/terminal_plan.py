"""Document -> text for a terminal: recommendations and comparisons, with their charts drawn in characters."""

from __future__ import annotations

from collections.abc import Iterable

from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table as Grid
from rich.text import Text as Shown

from mlscale.report.charts_text import chart_lines
from mlscale.report.document import (
    Block,
    Bullets,
    Document,
    Facts,
    Ladder,
    Line,
    Paragraph,
    Picture,
    Section,
    Table,
    plain,
)
from mlscale.report.layout import LEFT, fitting, heading, indented, rendered

_BORDERS = {"bad": "red", "calm": "green", "unsure": "yellow"}
_STATUS = {"climb": "bold green", "clear": "dim", "blocked": "red", "later": "dim", "unknown": "yellow"}
_STYLES = {"strong": "bold", "code": "cyan", "dim": "dim"}
_TONES = {"next": "bold green", "dim": "dim"}
_MOST_ROWS = 20  # of a table: the rest is in the other formats
_GAP = 2
_LONG = 34  # columns: a wider cell is a sentence, and has no room in a table here


def render(document: Document, *, color: bool, width: int) -> str:
    """The document as text of at most `width` columns, with ANSI colours or without any escape."""
    width = fitting(width)
    parts: list[RenderableType] = [_headline(document)]
    for section in document.sections:
        if section.fold != "always":
            parts += _section(section, width)
    parts += [Shown(), indented(Shown(document.made, "dim"))]
    return rendered(parts, color, width)


def _headline(document: Document) -> Panel:
    grid = Grid.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for said in document.summary:
        grid.add_row(Shown(said.label), _line(said.line))
    body = Group(Shown(document.headline, "bold", overflow="fold"), Shown(), grid)
    title = Shown(f" mlscale · {document.subject} ")
    border = _BORDERS[document.tone]
    return Panel(body, title=title, title_align="left", box=box.ROUNDED, border_style=border, padding=(1, 2))


def _section(section: Section, width: int) -> Iterable[RenderableType]:
    yield heading(section.title)
    for place, block in enumerate(section.blocks):
        if place:
            yield Shown()
        yield from _block(block, width)


def _block(block: Block, width: int) -> Iterable[RenderableType]:
    if isinstance(block, Paragraph):
        yield indented(_line(block.line))
    elif isinstance(block, Bullets):
        grid = Grid.grid(padding=(0, 1))
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(overflow="fold", ratio=1)
        for place, item in enumerate(block.items, 1):
            grid.add_row(f"{place}." if block.numbered else "•", _line(item))
        yield indented(grid)
    elif isinstance(block, Facts):
        grid = Grid.grid(padding=(0, _GAP, 0, 0), expand=True)
        grid.add_column(no_wrap=True, style="dim")
        grid.add_column(overflow="fold", ratio=1)
        for name, said in block.rows:
            grid.add_row(Shown(name), _line(said))
        yield indented(grid)
    elif isinstance(block, Table):
        yield from _table(block, width)
    elif isinstance(block, Ladder):
        yield _ladder(block)
    elif isinstance(block, Picture):
        yield indented(Group(*(Shown(text, no_wrap=True) for text in chart_lines(block.chart, width - LEFT))))


def _table(table: Table, width: int) -> Iterable[RenderableType]:
    """As many columns as find room whole, from the left; what is left out is named below."""
    shown = table.rows[:_MOST_ROWS]
    widths = [
        max([len(column.title), *(min(_LONG, len(plain(row.cells[place].line))) for row in shown)])
        for place, column in enumerate(table.columns)
    ]
    room, fits = width - LEFT, len(table.columns)
    if len(table.columns) > 4:
        fits = next((n for n in range(len(widths), 2, -1) if sum(widths[:n]) + _GAP * n <= room), 3)
    grid = Grid(box=None, padding=(0, _GAP, 0, 0), header_style="dim", pad_edge=False, show_edge=False)
    for place, column in enumerate(table.columns[:fits]):
        right = "right" if column.figures else "left"
        grid.add_column(column.title, justify=right, overflow="fold", min_width=min(widths[place], 8))  # type: ignore[arg-type]
    for row in shown:
        grid.add_row(*(_line(cell.line) for cell in row.cells[:fits]), style=_TONES.get(row.tone, ""))
    yield indented(grid)
    left = [f"{len(table.rows) - len(shown)} more rows"] if len(table.rows) > len(shown) else []
    left += [column.title for column in table.columns[fits:] if column.title]
    if left:
        yield indented(Shown(f"In the other formats: {', '.join(left)}.", "dim"))
    if table.more:
        yield indented(Shown(table.more, "dim"))


def _ladder(ladder: Ladder) -> RenderableType:
    grid = Grid(box=None, padding=(0, _GAP, 0, 0), header_style="dim", pad_edge=False, show_edge=False, expand=True)
    for name in ("", "rung", "status"):
        grid.add_column(name, no_wrap=True)
    grid.add_column("why", ratio=1, overflow="fold")
    grid.add_column("speed-up", no_wrap=True, justify="right")
    for rung in ladder.rungs:
        style = _STATUS.get(rung.status, "")
        gain = Shown(rung.gain, justify="right")
        if rung.interval:
            gain.append(f"\n{rung.interval}", "dim")
        grid.add_row(Shown(rung.mark, style), Shown(rung.name, style), Shown(rung.status, style), _line(rung.why), gain)
    return Padding(grid, (0, 0, 0, LEFT))


def _line(line: Line) -> Shown:
    text = Shown(overflow="fold")
    for piece in line:
        text.append(piece.text, _STYLES.get(piece.style, ""))
    return text
