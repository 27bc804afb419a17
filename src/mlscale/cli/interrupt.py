"""Ctrl-C while watching: the first stops the watch, and what was seen is reported; the second ends everything."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """A function that tells whether the user asked to stop. Raises KeyboardInterrupt where the user asks again.

    A closed terminal and a polite kill count as Ctrl-C: a launched job must not be left behind.
    """
    asked = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = {}
    for number in _ENDS:
        # What the caller ignores (nohup, a shell's background job) stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, on_signal)
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
