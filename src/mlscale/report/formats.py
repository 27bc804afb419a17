"""Which renderer goes with which format, for all kinds of reports: one list. Renderers are imported when they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from mlscale.report.diff import Diff
    from mlscale.report.probe import Probe
    from mlscale.report.recommendation import Recommendation
    from mlscale.report.report import Report

    AnyReport: TypeAlias = Report | Recommendation | Diff | Probe

FORMATS = ("terminal", "json", "markdown", "html", "jira")
SUFFIXES = {
    ".json": "json",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".jira": "jira",
    ".txt": "terminal",
    ".log": "terminal",
    "": "terminal",
}


def render(report: AnyReport, format: str, color: bool, width: int) -> str:
    """The report in one of FORMATS, ending with a newline. `color` and `width` (columns) are the terminal's."""
    if format == "json":
        from mlscale.report import json

        return json.render(report)
    if format == "terminal" and report.kind == "diagnosis":
        from mlscale.report import terminal

        return terminal.render(report, color=color, width=width)
    from mlscale.report.document import document_of

    document = document_of(report)
    if format == "terminal":
        from mlscale.report import terminal_plan

        return terminal_plan.render(document, color=color, width=width)
    if format == "markdown":
        from mlscale.report import markdown

        return markdown.render(document)
    if format == "jira":
        from mlscale.report import jira

        return jira.render(document)
    from mlscale.report import html

    return html.render(document)
