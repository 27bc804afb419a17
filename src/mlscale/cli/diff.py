"""`mlscale diff`: what a step brought, from the diagnoses before and after it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mlscale.cli.output import Output, emit
from mlscale.cli.report import check_not_over, opened
from mlscale.errors import UnreadableInput
from mlscale.report.formats import render

if TYPE_CHECKING:
    from mlscale.report.report import Report


def run(before: Path, after: Path, output: Output) -> int:
    """Compares two diagnoses (saved JSON or recordings). Gives the exit code; raises MlscaleError."""
    from mlscale.report.diff import diff_of

    found = diff_of(_diagnosis(before), _diagnosis(after))
    check_not_over(output, before, after)
    return emit(output, lambda color, width: render(found, output.format, color, width))


def _diagnosis(file: Path) -> Report:
    report = opened(file)
    if report.kind != "diagnosis":
        raise UnreadableInput(
            f"{file}: a {report.kind}. diff compares two diagnoses: mlscale diagnose -o before.json, take the step, "
            "mlscale diagnose -o after.json."
        )
    return report
