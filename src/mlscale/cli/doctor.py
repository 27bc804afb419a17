"""`mlscale doctor`: what this machine lets mlscale see, and how to open what is shut."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlscale.cli.output import Output, emit, only_plain

if TYPE_CHECKING:
    from mlscale.observe.access import Access

_MARKS = {"open": ("✓", "green"), "limited": ("·", "yellow"), "shut": ("✗", "red")}


def run(output: Output) -> int:
    """Tries everything and shows it. Gives the exit code."""
    from mlscale.observe.access import probe

    only_plain(output, "doctor")
    found = probe()
    if output.format == "json":
        return emit(output, lambda color, width: as_json(found))
    return emit(output, lambda color, width: as_text(found, color=color, width=width))


def as_json(found: Sequence[Access]) -> str:
    """{"access": [{name, state, says, opens}]}"""
    return json.dumps({"access": [dataclasses.asdict(item) for item in found]}, indent=2, ensure_ascii=False) + "\n"


def as_text(found: Sequence[Access], *, color: bool, width: int) -> str:
    """A list with what was found, and how to open what is not open."""
    from rich.table import Table
    from rich.text import Text

    from mlscale.report.layout import heading, indented, rendered

    grid = Table.grid(padding=(0, 2, 0, 0), expand=True)
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(ratio=1, overflow="fold")
    for item in found:
        mark, style = _MARKS[item.state]
        said = Text.assemble((item.name, "bold"), "\n", item.says)
        if item.opens:
            said.append(f"\nTo open it: {item.opens}", "cyan")
        grid.add_row(Text(mark, style), Text(item.state, style), said)
    shut = [item for item in found if item.state != "open"]
    summary = "Everything is open." if not shut else f"{len(found) - len(shut)} of {len(found)} are open."
    closing = Text(f"{summary} What is not open costs detail and confidence, never a guess.", "dim")
    return rendered([heading("What mlscale can see here"), indented(grid), Text(), indented(closing)], color, width)
