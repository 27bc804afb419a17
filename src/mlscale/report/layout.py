"""Pieces that sections of the terminal report are made of. Text of the job goes through Text: it is never markup."""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

WIDEST = 120  # columns: longer lines are hard to follow back
NARROWEST = 40
LEFT = 2  # columns by which a section stands in


def fitting(width: int) -> int:
    """The columns to use of `width`."""
    return max(NARROWEST, min(width, WIDEST))


def rendered(parts: Iterable[RenderableType], color: bool, width: int) -> str:
    """The parts below each other as text of at most `width` columns, with ANSI colours or without any escape."""
    console = Console(
        file=StringIO(),
        width=fitting(width),
        color_system="standard" if color else None,
        force_terminal=color,
        no_color=not color,
        highlight=False,  # figures are not coloured: colour means something here
        markup=False,
        emoji=False,
        legacy_windows=False,
        _environ={},  # the same report gives the same text anywhere
    )
    with console.capture() as captured:
        console.print(Group(*parts))
    return "\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n")) + "\n"


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
