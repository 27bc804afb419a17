"""`mlscale explain`: what a rung or rule checks, why, its thresholds and its source, from its own declaration."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

from mlscale.cli.output import Output, emit, only_plain

if TYPE_CHECKING:
    from mlscale.ladder.walk import Explanation


def run(name: str | None, output: Output) -> int:
    """Shows one explanation, or the list of all. Gives the exit code; raises UsageProblem for an unknown name."""
    from mlscale.ladder.walk import EXPLAINABLE, explain

    only_plain(output, "explain")
    if name is None:
        found = [explain(known) for known in EXPLAINABLE]
        if output.format == "json":
            names = [{"name": item.name, "title": item.title} for item in found]
            return emit(output, lambda color, width: json.dumps(names, indent=2, ensure_ascii=False) + "\n")
        return emit(output, lambda color, width: list_text(found, color=color, width=width))
    one = explain(name.strip().lower().replace("-", "_"))
    if output.format == "json":
        return emit(
            output, lambda color, width: json.dumps(dataclasses.asdict(one), indent=2, ensure_ascii=False) + "\n"
        )
    return emit(output, lambda color, width: as_text(one, color=color, width=width))


def list_text(found: list[Explanation], *, color: bool, width: int) -> str:
    """All names, each with its title."""
    from rich.text import Text

    from mlscale.report.layout import heading, indented, rendered, rows

    listed = rows((Text(item.name, "bold"), Text(item.title)) for item in found)
    closing = indented(Text("mlscale explain NAME tells more.", "dim"))
    return rendered([heading("Rungs and rules"), listed, Text(), closing], color, width)


def as_text(item: Explanation, *, color: bool, width: int) -> str:
    """One rung or rule: its question, why it is asked, thresholds with their sources, advice and citation."""
    from rich.console import RenderableType
    from rich.text import Text

    from mlscale.report.layout import bullets, heading, indented, rendered, rows

    parts: list[RenderableType] = [
        heading(item.name),
        indented(Text(item.title, "bold")),
        Text(),
        indented(Text(item.question)),
        Text(),
        indented(Text(item.why)),
    ]
    if item.thresholds:
        listed = (
            (Text(name), Text.assemble((f"{value}", "bold"), (f"  {source}", "dim")))
            for name, value, source in item.thresholds
        )
        parts += [heading("Thresholds"), rows(listed)]
    if item.advice:
        parts += [heading("Advice"), bullets(item.advice)]
    if item.citation:
        parts += [Text(), indented(Text(f"Source: {item.citation}", "dim"))]
    return rendered(parts, color, width)
