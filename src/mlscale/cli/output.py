"""Where results go: stdout or a file, in which format, colours and encoding. Progress and warnings go to stderr."""

from __future__ import annotations

import contextlib
import difflib
import os
import shutil
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mlscale.errors import MlscaleError, UsageProblem
from mlscale.files import write_whole
from mlscale.report.formats import FORMATS, SUFFIXES

PLAIN_FORMATS = ("terminal", "json")  # of commands whose result is no report
_LISTED = f"{', '.join(name for name in FORMATS if name not in PLAIN_FORMATS)}, {' and '.join(PLAIN_FORMATS)}"
_ALIASES = {"md": "markdown", "text": "terminal", "wiki": "jira"}
_FALLBACK_COLUMNS = 80  # where stdout is no terminal


@dataclass(frozen=True)
class Output:
    """A format of FORMATS, and a file or (None) stdout."""

    format: str
    path: Path | None
    no_color: bool = False


def choose(format: str | None, path: Path | None, *, no_color: bool) -> Output:
    """The output that the options ask for. Raises UsageProblem now rather than after a long watch."""
    if path is not None and str(path) == "-":
        path = None
    if path is not None:
        _check_writable(path)
    if format is None:
        suffix = path.suffix.lower() if path is not None else ""
        if suffix not in SUFFIXES:
            raise UsageProblem(
                f"--output {path}: no format goes with '{suffix}'. Use .md, .html, .jira, .json or .txt, or name one "
                f"of {_LISTED} with --format."
            )
        format = SUFFIXES[suffix]
    if format not in FORMATS:
        near = difflib.get_close_matches(format.lower(), [*FORMATS, "md", "text", "wiki"], n=1)
        hint = f" Did you mean {_ALIASES.get(near[0], near[0])}?" if near else ""
        raise UsageProblem(f"--format {format}: no such format.{hint} There are {_LISTED}.")
    return Output(format, path, no_color)


def only_plain(output: Output, what: str) -> None:
    """Refuses the formats of reports for a command that makes none. `what`: "doctor"."""
    if output.format not in PLAIN_FORMATS:
        raise UsageProblem(
            f"--format {output.format}: {what} makes no report. It is shown as {' or '.join(PLAIN_FORMATS)}."
        )


def _check_writable(path: Path) -> None:
    folder = path.resolve().parent
    if path.is_dir():
        raise UsageProblem(f"--output {path}: that is a folder. Name a file in it.")
    if not folder.is_dir():
        raise UsageProblem(f"--output {path}: there is no folder {folder}. Create it first, or name another file.")
    if not os.access(path if path.exists() and not path.is_file() else folder, os.W_OK):
        raise UsageProblem(f"--output {path}: {folder} may not be written to. Name a file elsewhere.")


def emit(output: Output, text_of: Callable[[bool, int], str]) -> int:
    """Writes `text_of(color, width)`. Gives the exit code: 0, or 2 where the file failed and stdout got it instead."""
    if output.path is None:
        _to_stdout(_encoded(output, text_of))
        return 0
    text = text_of(False, _FALLBACK_COLUMNS)
    try:
        save(output.path, text)
    except OSError as error:
        say(f"mlscale: --output {output.path}: {error.strerror or error}. The report is on stdout instead.")
        _to_stdout(_encoded(output, text_of))
        return 2
    return 0


def save(path: Path, text: str) -> None:
    """Writes a file whole or not at all. Devices and pipes are written to as they are. Raises OSError."""
    target = path.resolve()  # a link stays a link
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return
    write_whole(target, text)


def say(line: str) -> None:
    """A line on stderr, as well as its encoding can. Never fails: there is nowhere left to complain."""
    from mlscale.report.symbols import fit

    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(fit(line, sys.stderr.encoding), file=sys.stderr, flush=True)


def colored(stream: IO[str] | None, no_color: bool) -> bool:
    """Whether a stream takes colours: https://no-color.org, FORCE_COLOR, and terminals that know how."""
    if no_color or os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return is_terminal(stream) and os.environ.get("TERM") != "dumb"


def is_terminal(stream: IO[str] | None) -> bool:
    """Whether somebody looks at it."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def _encoded(output: Output, text_of: Callable[[bool, int], str]) -> bytes:
    from mlscale.report.symbols import fit

    stream = sys.stdout
    width = shutil.get_terminal_size((_FALLBACK_COLUMNS, 24)).columns if is_terminal(stream) else _columns()
    text = text_of(colored(stream, output.no_color), width)
    if output.format != "terminal":
        return text.encode()  # JSON is UTF-8, whatever the locale (RFC 8259); so is what ends up in a browser
    encoding = (stream.encoding if stream is not None else None) or "ascii"
    return fit(text, encoding).encode(encoding, "replace")


def _columns() -> int:
    """COLUMNS where the user set it: `COLUMNS=120 mlscale diagnose | less`."""
    value = os.environ.get("COLUMNS", "")
    return int(value) if value.isdigit() and int(value) > 0 else _FALLBACK_COLUMNS


def _to_stdout(data: bytes) -> None:
    if sys.stdout is None:
        return  # closed by the caller: `>&-`
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    except BrokenPipeError:
        pass  # `| head`: seen enough
    except OSError as error:
        raise MlscaleError(
            f"stdout: {error.strerror or error}. Free some space, or name a file with --output."
        ) from None


def quiet_pipes() -> None:
    """Flushes what is left; where nobody reads any more, Python must not complain at its exit."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), number)
