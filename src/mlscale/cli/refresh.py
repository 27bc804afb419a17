"""`mlscale catalog refresh`: reads instance types and prices from AWS into the user's data folder, and says what changed."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from mlscale.cli.output import Output, emit, is_terminal, say
from mlscale.errors import MlscaleError, UnreadableInput, UsageProblem

if TYPE_CHECKING:
    from pathlib import Path

    from mlscale.catalog.merge import Change
    from mlscale.catalog.refresh import Refreshed, Step
    from mlscale.catalog.types import Catalog

_INTERRUPTED = 130
_MOST_CHANGES = 12  # that are shown one by one; JSON has all
_WORDS = {"types": "instance types", "prices": "on-demand prices", "spot": "spot prices"}


def run(
    regions: Sequence[str],
    families: Sequence[str],
    output: Output,
    quiet: bool = False,
    shipped: Catalog | None = None,
) -> int:
    """Refreshes what `shipped` (None: the catalog that came with mlscale) says, and shows what came of it. Gives the
    exit code; raises MlscaleError with one line."""
    from mlscale.catalog.read import load
    from mlscale.catalog.refresh import kept_parts, refresh
    from mlscale.catalog.snapshot import data_folder

    shipped = load() if shipped is None else shipped
    folder = data_folder()
    try:
        with _progress(quiet, output.no_color) as tell:
            done = refresh(shipped, regions, families, folder, datetime.now(timezone.utc), tell)
    except UsageProblem:
        raise
    except KeyboardInterrupt:
        say(f"mlscale: interrupted.{_goes_on(shipped, folder, kept_parts(folder))}")
        return _INTERRUPTED
    except MlscaleError as error:
        raise type(error)(f"{error.message}{_goes_on(shipped, folder, kept_parts(folder))}") from None
    if output.format == "json":
        return emit(output, lambda color, width: as_json(done, shipped))
    return emit(output, lambda color, width: as_text(done, shipped, color=color, width=width))


def _goes_on(shipped: Catalog, folder: Path, parts: int) -> str:
    """What still serves, and what is kept for the next try."""
    from mlscale.catalog.merge import merge
    from mlscale.catalog.snapshot import read

    with contextlib.suppress(UnreadableInput):
        shipped = merge(shipped, read(folder))
    kept = " What was read so far is kept for a day: run it again to go on." if parts else ""
    return f" The catalog as it was (prices of {shipped.taken}) goes on serving.{kept}"


@contextlib.contextmanager
def _progress(quiet: bool, no_color: bool) -> Iterator[Callable[[Step], None]]:
    """Shows steps on stderr: a bar for someone who looks, a line a step for a log, nothing when quiet."""
    if quiet:
        yield lambda step: None
    elif not is_terminal(sys.stderr):
        yield lambda step: None if step.read else say(f"mlscale: {step.number + 1} of {step.of}: {_in_words(step)}")
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        console = Console(stderr=True, no_color=no_color or None, highlight=False, markup=False, emoji=False)
        columns = (TextColumn("{task.description}", markup=False), BarColumn(24), MofNCompleteColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("Asking AWS", total=None)
            yield lambda step: bar.update(task, description=_in_words(step), total=step.of, completed=step.number)


def _in_words(step: Step) -> str:
    if step.read is None:
        return f"{step.region}: {_WORDS[step.what]}, kept from the run before"
    return f"{step.region}: {_WORDS[step.what]}{f' ({step.read} read)' if step.read else ''}"


def as_json(done: Refreshed, shipped: Catalog) -> str:
    """{snapshot, regions, prices_of, kept_steps, on_demand_prices, spot_prices, new_types, changes, warnings}"""
    from mlscale.catalog.merge import changes

    new, differing = changes(done.before, done.after)
    document = {
        "snapshot": str(done.path),
        "prices_of": done.after.taken.isoformat(),
        "regions": list(done.regions),
        "kept_steps": done.kept,
        "on_demand_prices": done.prices,
        "spot_prices": done.spot,
        "new_types": new,
        "changes": [
            {"instance": each.instance, "what": each.what, "before": each.before, "after": each.after}
            for each in differing
        ],
        "warnings": _warnings(done, shipped),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def as_text(done: Refreshed, shipped: Catalog, *, color: bool, width: int) -> str:
    """What is new, what changed, what was not taken, and where it is kept."""
    from rich.text import Text

    from mlscale.catalog.merge import changes
    from mlscale.report.layout import bullets, heading, rendered, rows
    from mlscale.report.words import count

    new, differing = changes(done.before, done.after)
    prices = [change for change in differing if change.what.startswith("on_demand.")]
    other = [change for change in differing if not change.what.startswith("on_demand.")]
    read = f"{count(done.prices, 'on-demand price')}, {count(done.spot, 'spot price')}"
    resumed = f" ({count(done.kept, 'step')} kept from the run before)" if done.kept else ""
    pairs = [
        ("Regions", ", ".join(done.regions) + resumed),
        ("Read", read),
        ("New types", ", ".join(new) or "none"),
        ("Changed prices", _changed(prices)),
        ("Other changes", _changed(other)),
        ("Oldest price", f"{done.after.taken}"),
        ("Kept in", str(done.path)),
    ]
    parts: list[Any] = [heading("The catalog is refreshed"), rows((Text(a, "bold"), Text(b)) for a, b in pairs)]
    found = _warnings(done, shipped)
    if found:
        more = [f"and {len(found) - _MOST_CHANGES} more (all with --format json)"] if len(found) > _MOST_CHANGES else []
        parts += [heading("Not taken, or with a gap"), bullets(found[:_MOST_CHANGES] + more, "yellow")]
    return rendered(parts, color, width)


def _warnings(done: Refreshed, shipped: Catalog) -> list[str]:
    from mlscale.catalog.merge import warnings

    return [*done.notes, *warnings(shipped, done.snapshot)]


def _changed(found: Sequence[Change]) -> str:
    if not found:
        return "none"
    lines = [_one(change) for change in found[:_MOST_CHANGES]]
    more = len(found) - len(lines)
    return "\n".join(lines + ([f"and {more} more (all with --format json)"] if more else []))


def _one(change: Change) -> str:
    """ "p5.48xlarge, us-east-1: $98.32 → $55.04"."""
    what, _, region = change.what.partition(".")
    if what == "on_demand":
        before, after = (f"${v:g}" if isinstance(v, float) else "none" for v in (change.before, change.after))
        return f"{change.instance}, {region}: {before} → {after}"
    if isinstance(change.before, tuple) and isinstance(change.after, tuple):
        gone, come = sorted({*change.before} - {*change.after}), sorted({*change.after} - {*change.before})
        return f"{change.instance}, regions: {' '.join([f'+{name}' for name in come] + [f'−{name}' for name in gone])}"
    before, after = (_figure(value, what) for value in (change.before, change.after))
    return f"{change.instance}, {what}: {before} → {after}"


def _figure(value: object, what: str) -> str:
    """ "2.5 GB/s" of 2.5e9 `ebs_bytes_per_s`."""
    from mlscale.report.words import quantity

    if not isinstance(value, float):
        return str(value)
    unit = "bytes/s" if what.endswith("bytes_per_s") else "bytes" if what.endswith("_bytes") else ""
    return quantity(value, unit) if unit else f"{value:g}"
