"""What size images are stored at, and what size is made of them: read where PIL resizes one."""

from __future__ import annotations

from collections.abc import Sequence

from mlscale.observe.python.reader import Interpreter
from mlscale.recording import Fact, Recorder

_EVERY_S = 1.0
_CALLERS = 8  # frames above Image.resize in which the whole image may be
_NAMES = ("img", "image", "inpt", "pic")  # of its variable: torchvision's, its v2's, and what people call it


class Images:
    """Records sizes of the images that one process resizes, once a second at most."""

    def __init__(self, interpreter: Interpreter, recorder: Recorder) -> None:
        self._interpreter, self._recorder = interpreter, recorder
        self._seen_at = -10.0

    def look(self, codes: Sequence[int], addresses: Sequence[int], t: float) -> None:
        """At PIL's Image.resize, the first of these frames, and its callers.

        What is resized may have been cut out before, as torchvision's RandomResizedCrop does: its callers hold the whole one.
        """
        if t - self._seen_at < _EVERY_S:
            return
        interpreter = self._interpreter
        frame, *callers = map(interpreter.frame, codes[: 1 + _CALLERS], addresses[: 1 + _CALLERS])
        resized = self._size_of(interpreter.local(frame, "self"))
        wanted = [interpreter.int_at(item) for item in interpreter.items_at(interpreter.local(frame, "size"))]
        if resized is None or len(wanted) != 2 or None in wanted:
            return
        box: list[float | None] = []
        for item in interpreter.items_at(interpreter.local(frame, "box")):
            whole = interpreter.int_at(item)
            box.append(whole if whole is not None else interpreter.float_at(item))
        held = [self._size_of(interpreter.local(caller, name)) for caller in callers for name in _NAMES]
        stored = max([resized, *(size for size in held if size)], key=lambda size: size[0] * size[1])
        if len(box) != 4 or None in box:
            box = []
        self._seen_at = t
        cut_out = [0, 0, *resized] if stored != resized else None
        self._recorder.add(Fact(t, "image", {"stored": list(stored), "wanted": wanted, "box": box or cut_out}))

    def _size_of(self, image: int | None) -> tuple[int, int] | None:
        """Pixels of a PIL image at an address; None where it is none."""
        interpreter = self._interpreter
        size = interpreter.attribute(image, "_size") if image else None
        width, height, *_ = [*(interpreter.int_at(side) for side in interpreter.items_at(size)), None, None]
        return (width, height) if width and height else None
