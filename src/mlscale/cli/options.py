"""Values of options, checked before anything is watched. Each raises UsageProblem with one clear line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import get_args

from mlscale.errors import UsageProblem
from mlscale.ladder.result import Bottleneck

_UNITS_S = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|min|m|h|)", re.ASCII)
SHORTEST_S = 0.1
LONGEST_S = 24 * 3600.0  # a recording is kept in memory, some 10 MB an hour
# Below, an interval of 30 s holds too few looks to tell a share; above, watching takes more than 1% of a core.
SLOWEST_HZ, FASTEST_HZ = 1.0, 200.0


def duration(text: str) -> float:
    """Seconds of "30", "30s", "1m", "500ms"."""
    match = _DURATION.fullmatch(text.strip().lower())
    if match is None:
        raise UsageProblem(f"--duration {text}: not a length of time. Write 30s, 1m or 500ms.")
    seconds = float(match[1]) * _UNITS_S[match[2]]
    if not SHORTEST_S <= seconds <= LONGEST_S:
        raise UsageProblem(f"--duration {text}: from {SHORTEST_S:g}s to {LONGEST_S / 3600:g}h can be watched.")
    return seconds


def rate(value: float) -> float:
    """Looks a second."""
    if not SLOWEST_HZ <= value <= FASTEST_HZ:
        raise UsageProblem(f"--rate {value:g}: from {SLOWEST_HZ:g} to {FASTEST_HZ:g} looks a second can be had.")
    return value


def bottlenecks(texts: Iterable[str]) -> frozenset[str]:
    """The verdicts that --fail-on names, repeated or as a list with commas."""
    known = get_args(Bottleneck)
    found = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    for name in found:
        if name not in known:
            near = nearest(name, known)
            hint = f"Did you mean {near}? " if near else ""
            raise UsageProblem(f"--fail-on {name}: no such bottleneck. {hint}There are {', '.join(known)}.")
    return frozenset(found)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The name that was probably meant."""
    close = difflib.get_close_matches(name.lower().replace("-", "_"), list(known), n=1, cutoff=0.5)
    return close[0] if close else None
