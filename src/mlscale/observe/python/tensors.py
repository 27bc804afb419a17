"""How many bytes a sample holds: tensors, arrays and what contains them, read from the memory of a live process.

Neither torch nor numpy promises where its fields lie. A tensor's C++ part points back at its Python object, and its number of
elements is the product of its sizes: where both hold, the fields are where they are thought to be. Else nothing is said.
"""

from __future__ import annotations

import math
import struct

from mlscale.observe.python.memory import Torn
from mlscale.observe.python.reader import Interpreter

_MOST_ITEMS, _DEEPEST = 16, 3
_PLAIN = ("int", "float", "bool", "str", "bytes", "NoneType")
_IMPL_WORDS = 40  # of c10::TensorImpl; its Python object is the seventh or the eighth (torch 1.13 to 2.13)
_INLINE_DIMENSIONS = 5  # more sizes than that lie elsewhere
_ITEM_BYTES = {0: 1, 1: 1, 2: 2, 3: 4, 4: 8, 5: 2, 6: 4, 7: 8, 8: 4, 9: 8, 10: 16, 11: 1, 15: 2}  # by c10::ScalarType
_MOST_BYTES = 1 << 40


def bytes_of(interpreter: Interpreter, obj: int, depth: int = 0) -> int:
    """Bytes in the tensors and arrays of an object: itself, or those in its tuples, lists and dicts. 0 where none is known."""
    kind = interpreter.type_name(obj)
    if not kind or kind in _PLAIN:
        return 0
    if kind in ("tuple", "list", "dict"):
        if depth >= _DEEPEST:
            return 0
        items = interpreter.values_at(obj) if kind == "dict" else interpreter.items_at(obj, _MOST_ITEMS)
        return sum(bytes_of(interpreter, item, depth + 1) for item in items[:_MOST_ITEMS])
    try:
        found = _array(interpreter, obj) if kind == "numpy.ndarray" else _tensor(interpreter, obj)
    except (Torn, struct.error):
        return 0
    return found if 0 <= found < _MOST_BYTES else 0


def _tensor(interpreter: Interpreter, obj: int) -> int:
    for implementation in struct.unpack(
        "<2Q", interpreter.read(obj + 16, 16)
    ):  # cdata, or what tells whether it is borrowed
        if implementation < 4096 or implementation % 8:
            continue
        words = struct.unpack(f"<{_IMPL_WORDS}q", interpreter.read(implementation, 8 * _IMPL_WORDS))
        for at in range(4, 12):
            if words[at] & ~1 != obj:
                continue
            dimensions, sizes = words[at + 1], words[at + 2 : at + 2 + _INLINE_DIMENSIONS]
            elements, scalar = words[at + 13], words[at + 14] & 0xFFFF
            if not 0 <= dimensions <= 64 or scalar not in _ITEM_BYTES:
                continue
            if dimensions <= _INLINE_DIMENSIONS and math.prod(sizes[:dimensions]) != elements:
                continue
            return int(elements * _ITEM_BYTES[scalar])
    return 0


def _array(interpreter: Interpreter, obj: int) -> int:
    dimensions, shape, strides = struct.unpack("<i4xQQ", interpreter.read(obj + 24, 24))
    if not 0 < dimensions <= 32:
        return 0
    sizes = struct.unpack(f"<{dimensions}q", interpreter.read(shape, 8 * dimensions))
    steps = struct.unpack(f"<{dimensions}q", interpreter.read(strides, 8 * dimensions))
    item = min((abs(step) for step in steps if step), default=0)
    return math.prod(sizes) * item if item <= 16 else 0
