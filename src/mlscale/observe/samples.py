"""How many bytes a sample holds, of a loop that loads its own data: what a batch costs to get from a worker depends on it."""

from __future__ import annotations

from mlscale.loaders.kind import SamplesIn
from mlscale.observe import machine
from mlscale.observe.python.reader import Frame, Interpreter
from mlscale.observe.python.tensors import bytes_of
from mlscale.recording import Fact, Recorder

_EVERY_S, _ENOUGH = 0.5, 12


class Samples:
    """The samples of one process. Records a Fact for each of the first ones seen, and once what fresh memory costs here."""

    def __init__(self, pid: int, interpreter: Interpreter, recorder: Recorder) -> None:
        self._pid, self._interpreter, self._recorder = pid, interpreter, recorder
        self._seen_at, self._seen = -10.0, 0

    def look(self, frame: Frame, place: SamplesIn, t: float) -> None:
        """Reads the first of the samples that are collected in a frame, when it is time to."""
        if self._seen >= _ENOUGH or t - self._seen_at < _EVERY_S:
            return
        interpreter = self._interpreter
        size = sum(
            bytes_of(interpreter, item) for item in interpreter.items_at(interpreter.local(frame, place.local), 1)
        )
        if not size:
            return
        batch = interpreter.int_at(interpreter.local(frame, place.batch)) if place.batch else None
        self._recorder.add(Fact(t, "sample", {"pid": self._pid, "bytes": size, "batch": batch}))
        if not self._seen:
            filled_s, released_s = machine.fresh_memory_s()
            self._recorder.add(Fact(t, "fresh_memory", {"fill_s_per_byte": filled_s, "release_s_per_byte": released_s}))
        self._seen_at, self._seen = t, self._seen + 1
