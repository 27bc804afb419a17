"""Progress on stderr: a live display for someone who looks, a line now and then for a log, nothing when quiet."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from mlscale.cli.output import is_terminal, say
from mlscale.report import words

if TYPE_CHECKING:
    from mlscale.observe.watch import Progress

LINE_EVERY_S = 5.0
_BAR_COLUMNS = 24


@contextlib.contextmanager
def display(
    what: str, *, quiet: bool, shared: bool, no_color: bool = False
) -> Iterator[Callable[[Progress], None] | None]:
    """A function that shows progress, or None. `shared`: others write on this terminal too, so lines stay lines."""
    if quiet:
        yield None
    elif is_terminal(sys.stderr) and not shared:
        with _live(what, no_color) as show:
            yield show
    else:
        yield _lines(what)


def _lines(what: str) -> Callable[[Progress], None]:
    said_at, said_phase = -LINE_EVERY_S, ""

    def show(progress: Progress) -> None:
        nonlocal said_at, said_phase
        now = time.monotonic()
        if progress.phase == said_phase and now - said_at < LINE_EVERY_S:
            return
        said_at, said_phase = now, progress.phase
        seen = in_words(progress.seen)
        say(f"mlscale: {phase_of(progress, what)}{': ' if seen else ''}{seen}")

    return show


@contextlib.contextmanager
def _live(what: str, no_color: bool) -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from mlscale.report.layout import bar
    from mlscale.report.symbols import fit

    console = Console(stderr=True, no_color=no_color or None, highlight=False, markup=False, emoji=False)

    def shown(progress: Progress) -> Text:
        text = Text(phase_of(progress, what), "bold", no_wrap=True, overflow="ellipsis")
        if progress.phase == "watching":
            share = min(1.0, progress.steady_s / progress.duration_s)
            left = max(0.0, progress.duration_s - progress.steady_s)
            line = bar(share, _BAR_COLUMNS)
            text.append(f"\n  {fit(line, console.encoding)}", "not bold green")
            text.append(fit("─" * (_BAR_COLUMNS - len(line)), console.encoding), "not bold dim")
            text.append(f"  at most {words.seconds(round(left))} left", "not bold dim")
        seen = in_words(progress.seen)
        if seen:
            text.append(f"\n  {seen}", "not bold")
        return text

    # It is drawn once a second, when there is news, and by no thread of its own: watching must cost nothing.
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield lambda progress: live.update(shown(progress), refresh=True)


def phase_of(progress: Progress, what: str) -> str:
    """What is being done, and how far it is."""
    if progress.phase == "looking":
        return f"Looking for the training in {what} ({words.seconds(round(progress.elapsed_s))})"
    if progress.phase == "starting":
        return f"Waiting for {what} to train ({words.seconds(round(progress.elapsed_s))})"
    return (
        f"Watching {what}, {words.seconds(round(progress.steady_s))} of at most "
        f"{words.seconds(progress.duration_s)} of training"
    )


def in_words(seen: Mapping[str, float]) -> str:
    """What was seen so far: "4 workers, 118 batches, waits for data 43%"."""
    parts = []
    if seen.get("workers"):
        parts.append(words.count(int(seen["workers"]), "worker"))
    if "batches" in seen:
        parts.append(f"{seen['batches']:.0f} batches")
    if "data_wait_fraction" in seen:
        parts.append(f"waits for data {words.percent(seen['data_wait_fraction'])}")
    if "gpu_busy_fraction" in seen:
        parts.append(f"GPU busy {words.percent(seen['gpu_busy_fraction'])}")
    return ", ".join(parts)
