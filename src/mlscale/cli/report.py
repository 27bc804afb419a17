"""`mlscale report`: renders a saved report, or a recording, again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from mlscale.cli.output import Output, emit
from mlscale.errors import UnreadableInput, UsageProblem
from mlscale.report.formats import render

if TYPE_CHECKING:
    from mlscale.report.formats import AnyReport

_ZLIB = 0x78  # first byte of a recording


def run(file: Path, output: Output) -> int:
    """Renders `file` (saved JSON, or a recording; its content tells which). Gives the exit code; raises MlscaleError."""
    report = opened(file)
    check_not_over(output, file)
    return emit(output, lambda color, width: render(report, output.format, color, width))


def opened(file: Path) -> AnyReport:
    """The report in a file. Raises UnreadableInput."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UnreadableInput(
            f"{file}: {error.strerror or error}. Name a file written with --format json or --record."
        ) from None
    if not data.strip():
        raise UnreadableInput(f"{file}: the file is empty. Name a file written with --format json or --record.")
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        from mlscale.report.load import load

        return load(file, data)
    if data[0] == _ZLIB:
        from mlscale.cli.diagnose import replayed

        return replayed(file)
    raise UnreadableInput(
        f"{file}: neither a report in JSON nor a recording. Name a file written with --format json or --record."
    )


def check_not_over(output: Output, *files: Path) -> None:
    """Refuses to write the result over what it is made from."""
    for file in files:
        if output.path is not None and output.path.exists() and os.path.samefile(output.path, file):
            raise UsageProblem(f"--output {output.path}: that is the file it is made from. Name another.")
