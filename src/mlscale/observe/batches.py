"""Batches that a training loop was given: its loader's iterator counts them, in the job's memory."""

from __future__ import annotations

from collections.abc import Sequence

from mlscale.loaders.known import LOADERS
from mlscale.observe.python.reader import Frame, Interpreter
from mlscale.recording import Counter, Fact, Recorder

_ITERATORS = tuple(name for kind in LOADERS for name in kind.iterators)
_COUNTER_OF = {name: kind.counter for kind in LOADERS for name in kind.iterators}
_COUNT_EVERY_S = 0.2  # dates a batch to a tenth of a second on average: 0.5 % of a rate over 15 s
_FIND_EVERY_S = 1.0  # a walk over all variables of the training thread's frames, for the loop's iterator
_SLOT_S = 1.0  # for which an attribute's place is taken for the same
# Since the last epoch began: while epochs are that short, each look counts, or their ends go by unseen.
_SHORT_EPOCH_S = 5.0
_SHORTER_EPOCH_S = 1.0  # the same: while epochs are that short, each look walks, or whole ones would go by unseen
_JUMP, _ANY_GAIN = 5, 20  # times the pace of before, and batches, beyond which a count has to be found anew
_AFTER_A_FALL = (
    2  # the same for a new epoch's count, whose loop goes on at its pace: freed memory reads as a count, too
)
_MOST = 1 << 40  # batches: more are no count
_DEEPEST = 40  # frames that are searched for the loop
_NESTED = 6  # generators in generators that are searched: webdataset has one for each step of its pipeline
_BESIDE = 8  # generators of one depth that are searched, to bound what a look costs


class Batches:
    """The counts of one process. Records a Counter for each count, and a Fact for each iterator."""

    def __init__(self, pid: int, interpreter: Interpreter, recorder: Recorder) -> None:
        self._pid, self._interpreter, self._recorder = pid, interpreter, recorder
        self._iterator: int | None = None
        self._iterators: dict[int, int] = {}
        self._slot: tuple[int, float] | None = None
        self._loop: Frame | None = None  # that holds the loop's iterator
        self._counted_at = self._found_at = -10.0
        self._turned_at = -10.0  # when an epoch was last seen to begin
        self._last_count = -1
        self._last_at = 0.0
        self._rate: float | None = None  # batches per second

    def look(self, codes: Sequence[int], addresses: Sequence[int], in_next: int | None, t: float) -> None:
        """Records how many batches the loop was given, when it is time to.

        `codes`, `addresses`: the stack of its thread, leaf first, empty where it is not known; `in_next`: the depth of the
        iterator's `__next__` on it.
        """
        if t - self._turned_at >= _SHORT_EPOCH_S and t - self._counted_at < _COUNT_EVERY_S:
            return
        self._counted_at = t
        found = self._current(codes, addresses, in_next, t)
        if found is not None and found != self._iterator:
            self._turned_at = t if self._iterators else self._turned_at
            self._iterator, self._slot, self._last_count = found, None, -1
            if found not in self._iterators:
                self._iterators[found] = len(self._iterators)
                self._describe(found, t)
        value = self._value(t)
        if self._iterator is None or value is None or not 0 <= value < _MOST:
            return
        gain = value - self._last_count
        if not self._follows(value, t) and (gain > 0 or not self._begins(value, t)):
            # The epoch has ended, and its iterator's memory is another object's by now; or the loop has become faster.
            self._iterator, self._slot, self._turned_at, self._rate = None, None, t, None
            return
        if gain < 0:  # another iterator at the same address
            self._turned_at = t
        elif self._last_count >= 0 and t > self._last_at:
            self._rate = gain / (t - self._last_at)
        self._last_count, self._last_at = value, t
        self._recorder.add(Counter(t, self._pid, f"yielded#{self._iterators[self._iterator]}", value))

    def _value(self, t: float) -> int | None:
        """The count as it stands; None where it cannot be read now."""
        interpreter, value = self._interpreter, None
        if self._iterator is None:
            return None
        if self._slot is not None and t - self._slot[1] <= _SLOT_S:
            value = interpreter.int_in(self._slot[0])
        if value is None or value == self._last_count:
            # Nothing counted; or the next epoch's iterator, at the same address with its attributes elsewhere.
            name = _COUNTER_OF.get(interpreter.type_name(self._iterator))
            place = interpreter.slot(self._iterator, name) if name else None
            if place is None:
                self._iterators.pop(self._iterator, None)
                self._iterator, self._slot, self._turned_at = None, None, t  # its epoch has ended
                return None
            self._slot = (place, t)
            value = interpreter.int_in(place)
        if value is None:
            self._slot, self._turned_at = None, t  # look for the iterator anew
        elif self._slot is not None and not self._follows(value, t):
            # Or the number was replaced, and its memory reused, while it was read: a second look tells.
            again = interpreter.int_in(self._slot[0])
            value = None if again is not None and again < value and not self._follows(again, t) else again
        return value

    def _follows(self, value: int, t: float) -> bool:
        """Whether a count may come next after the last one of the same epoch, at the pace of before."""
        gain = value - self._last_count
        if self._last_count < 0 or self._rate is None:
            return self._last_count < 0 or gain >= 0
        return 0 <= gain <= max(_JUMP * self._rate * (t - self._last_at), _ANY_GAIN)

    def _begins(self, value: int, t: float) -> bool:
        """Whether a count that is lower than the last one may be a new epoch's, at the pace of before."""
        if self._last_count < 0 or self._rate is None:
            return True
        return value <= max(_AFTER_A_FALL * self._rate * (t - self._last_at), _ANY_GAIN)

    def _current(self, codes: Sequence[int], addresses: Sequence[int], in_next: int | None, t: float) -> int | None:
        """The DataLoader iterator in use: `self` of its `__next__`, or held by a frame of the training loop."""
        interpreter = self._interpreter
        if in_next is not None:
            found = interpreter.local(interpreter.frame(codes[in_next], addresses[in_next]), "self")
            if found and interpreter.type_name(found) in _ITERATORS:
                if len(codes) > in_next + 1:  # its caller is the loop
                    self._loop = interpreter.frame(codes[in_next + 1], addresses[in_next + 1])
                return found
        since = t - self._turned_at
        pause = 0.0 if since < _SHORTER_EPOCH_S else _COUNT_EVERY_S if since < _SHORT_EPOCH_S else _FIND_EVERY_S
        if self._iterator is not None and not interpreter.is_alive(self._iterator):
            self._iterator, self._slot, pause = None, None, 0.0  # its epoch has ended
        if t - self._found_at < pause:
            return None
        self._found_at = t
        # Without a stack, where the loop's own frame was last: it stays while the loop runs.
        stack = list(zip(codes, addresses, strict=True))[:_DEEPEST]
        frames = [interpreter.frame(code, address) for code, address in stack]
        if not frames and self._loop is not None:
            frames = [self._loop]
        for frame in frames:
            found = interpreter.find(frame, _ITERATORS)
            if found is not None and interpreter.type_name(found) in _ITERATORS:
                self._loop = frame
                return found
        if self._iterator is not None:  # counts still: what generators hold may be another loader's
            return None
        for frame in frames:
            through = self._through_generators(frame)
            if through:
                self._loop = frame
                return through.pop() if len(through) == 1 else None  # of several, which one goes on is not known
        return None

    def _through_generators(self, frame: Frame) -> set[int]:
        """DataLoader iterators that a frame goes through generators for: `for batch in tqdm(loader)`, webdataset."""
        interpreter, found = self._interpreter, set()
        inner = [frame]
        for _ in range(_NESTED):
            inner = [generator for outer in inner for generator in interpreter.generators(outer)][:_BESIDE]
            for generator in inner:
                held = interpreter.find(generator, _ITERATORS)
                if held is not None and interpreter.type_name(held) in _ITERATORS:
                    found.add(held)
        return found

    def _describe(self, iterator: int, t: float) -> None:
        interpreter = self._interpreter
        facts: dict[str, object] = {
            "pid": self._pid,
            "number": self._iterators[iterator],
            "type": interpreter.type_name(iterator),
            "workers": interpreter.int_at(interpreter.attribute(iterator, "_num_workers")),
            "prefetch_factor": interpreter.int_at(interpreter.attribute(iterator, "_prefetch_factor")),
            "persistent": bool(interpreter.int_at(interpreter.attribute(iterator, "_persistent_workers"))),
            "pin_memory": bool(interpreter.int_at(interpreter.attribute(iterator, "_pin_memory"))),
            "dataset": interpreter.attribute(iterator, "_dataset"),
        }
        sampler = interpreter.attribute(iterator, "_index_sampler")
        if sampler is not None:
            facts["batch_size"] = interpreter.int_at(interpreter.attribute(sampler, "batch_size"))
        self._recorder.add(Fact(t, "iterator", facts))
