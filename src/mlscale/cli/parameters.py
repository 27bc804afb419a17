"""What several commands take: their options, and groups of commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Format = Annotated[
    str | None,
    typer.Option(
        "--format", "-f", metavar="FORMAT", help="terminal, json, markdown, html or jira.", show_default=False
    ),
]
OutputPath = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="PATH", help="Write to a file; its suffix chooses the format (.json, .md, .html)."
    ),
]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours (as with NO_COLOR).")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]


def group(help: str) -> typer.Typer:
    """Commands under one name, which shows its help when it is called alone."""
    made = typer.Typer(help=help, rich_markup_mode=None)

    @made.callback(invoke_without_command=True)
    def alone(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            typer.echo(context.get_help())

    return made


def listed(texts: list[str] | None) -> tuple[str, ...]:
    """An option that is repeated, or a list with commas."""
    return tuple(part.strip() for text in texts or () for part in text.split(",") if part.strip())
