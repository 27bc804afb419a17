"""Stacks that were cut short, because the thread went on while they were read. Pure.

A thread's outermost frame stays for its life. A stack that ends elsewhere was read from a function that had just returned:
CPython cuts it off from its callers then. What it called last still tells what it was about.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Sequence

from mlscale.recording import Stack, StackFrame, ThreadSample

DEEPEST = 64  # frames that a look reads: a deeper stack shows no outermost frame
MOSTLY = 0.5  # of a thread's looks at more than one frame end at its outermost one, or it is not known


def mended(
    samples: Sequence[ThreadSample], stacks: Sequence[Stack], telling: Callable[[Stack], bool]
) -> list[ThreadSample]:
    """One thread's looks. A stack that was cut short becomes the one most often seen whole with the same innermost frames.

    Without one it stays where it is `telling` by itself; else it becomes None: it says only that the thread ran. `stacks`
    may hold whole ones that no look gave.
    """
    seen = Tally(sample.stack for sample in samples if sample.stack is not None)
    ends: Tally[StackFrame] = Tally()
    for number, count in seen.items():
        if len(stacks[number]) > 1:
            ends[stacks[number][-1]] += count
    if not ends:
        return list(samples)
    end, often = ends.most_common(1)[0]
    if often <= MOSTLY * sum(ends.values()):
        return list(samples)
    whole = {n for n, stack in enumerate(stacks) if len(stack) >= DEEPEST or (stack and stack[-1] == end)}
    instead = {n: _whole(stacks[n], whole, stacks, seen) for n in seen if n not in whole}
    instead = {n: n if found is None and telling(stacks[n]) else found for n, found in instead.items()}
    return [s if s.stack is None or s.stack in whole else s._replace(stack=instead[s.stack]) for s in samples]


def _whole(part: Stack, whole: set[int], stacks: Sequence[Stack], seen: Tally[int]) -> int | None:
    for depth in range(len(part), 0, -1):  # the more of it, the surer
        alike = [number for number in whole if stacks[number][:depth] == part[:depth]]
        if alike:
            return max(alike, key=lambda number: (seen[number], -number))
    return None
