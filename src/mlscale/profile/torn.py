"""Stacks that were cut short, because the thread went on while they were read. Pure.

A thread's outermost frame stays for its life. A stack that ends elsewhere was read from a function that had just returned:
CPython cuts it off from its callers then. What it called last still tells what it was about.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Mapping, Sequence

from mlscale.recording import Stack, StackFrame, ThreadSample

DEEPEST = 64  # frames that a look reads: a deeper stack shows no outermost frame
MOSTLY = 0.5  # of a thread's looks at more than one frame end at its outermost one, or it is not known


def whole_stacks(
    samples: Sequence[ThreadSample], stacks: Sequence[Stack], telling: Callable[[Stack], bool]
) -> dict[int, Stack | None]:
    """What each number of a stack in one thread's looks stands for. One that was cut short becomes what was most often seen
    whole from the same frames on: as the innermost ones, or as callers of others.

    Without one it stays where it is `telling` by itself; else it becomes None: it says only that the thread ran. `stacks`
    may hold whole ones that no look gave.
    """
    seen = Tally(sample.stack for sample in samples if sample.stack is not None)
    ends: Tally[StackFrame] = Tally()
    for number, count in seen.items():
        if len(stacks[number]) > 1:
            ends[stacks[number][-1]] += count
    found: dict[int, Stack | None] = {number: stacks[number] for number in seen}
    if not ends:
        return found
    end, often = ends.most_common(1)[0]
    if often <= MOSTLY * sum(ends.values()):
        return found
    whole = {n: stack for n, stack in enumerate(stacks) if len(stack) >= DEEPEST or (stack and stack[-1] == end)}
    for number in seen.keys() - whole.keys():
        part = stacks[number]
        found[number] = _whole(part, whole, seen) or (part if telling(part) else None)
    return found


def _whole(part: Stack, whole: Mapping[int, Stack], seen: Tally[int]) -> Stack | None:
    for depth in range(len(part), 0, -1):  # the more of it, the surer
        alike = [number for number, stack in whole.items() if stack[:depth] == part[:depth]]
        if alike:
            return whole[max(alike, key=lambda number: (seen[number], -number))]
        called: Tally[Stack] = Tally()
        for number, stack in whole.items():
            for callee in range(len(stack) - depth):
                if stack[callee + 1 : callee + 1 + depth] == part[:depth]:
                    called[stack[callee + 1 :]] += 1 + seen[number]  # one that no look gave was read all the same
        if called:
            return called.most_common(1)[0][0]
    return None
