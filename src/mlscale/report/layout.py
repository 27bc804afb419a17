"""Pieces that sections of the terminal report are made of. Text of the job goes through Text: it is never markup."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

LEFT = 2  # columns by which a section stands in


def heading(title: str) -> RenderableType:
    """A section's title on a rule, with an empty line above."""
    return Padding(Rule(Text(title, "bold"), align="left", characters="─", style="dim"), (1, 0, 0, 0))


def indented(body: RenderableType) -> RenderableType:
    """`body`, standing in."""
    return Padding(body, (0, 0, 0, LEFT))


def rows(pairs: Iterable[tuple[Text, Text]]) -> RenderableType:
    """Two columns: what, and what is said of it."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(overflow="fold", min_width=18, max_width=34)
    grid.add_column(overflow="fold", ratio=1)
    grid.expand = True
    for what, said in pairs:
        grid.add_row(what, said)
    return indented(grid)


def bullets(texts: Iterable[str], mark_style: str = "dim", style: str = "") -> RenderableType:
    """A list, each text wrapped beside its bullet."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    for text in texts:
        grid.add_row(Text("•", mark_style), Text(text, style))
    return indented(grid)


def bar(share: float, columns: int) -> str:
    """A share (0 to 1) as a line of up to `columns`, to half a column; what is there at all is never nothing."""
    halves = max(1 if share > 0 else 0, round(min(1.0, share) * columns * 2))
    full, half = divmod(halves, 2)
    return "━" * full + "╸" * half
