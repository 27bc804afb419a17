"""Python objects in the memory of a live process: their types, attributes and plain values.

A process that is not stopped may change what is being read. So nothing here trusts a pointer: each read may fail, each
object's type is checked by name, and what makes no sense is None.
"""

from __future__ import annotations

import struct

from mlscale.observe.python import layout as at
from mlscale.observe.python.layout import Layout
from mlscale.observe.python.memory import Memory, Torn

_MAX_STRING = 4096
_MAX_KEYS = 512


class Objects:
    """The objects of one process, at remote addresses. No public method raises, but `read`."""

    def __init__(self, memory: Memory, layout: Layout) -> None:
        self._memory = memory
        self._at = layout
        self._types: dict[int, str] = {}
        self._indices: dict[tuple[int, str], int] = {}

    def type_name(self, obj: int) -> str:
        """Name of an object's type, "" where it is none."""
        try:
            kind = self._memory.word(obj + at.OBJECT_TYPE)
            known = self._types.get(kind)
            if known is None:
                # A type's own type is `type`, or a metaclass; its name must be printable.
                known = self._memory.text(self._memory.word(kind + at.TYPE_NAME))
                if not known.isprintable() or len(self._types) > 4096:
                    return ""
                self._types[kind] = known
            return known
        except Torn:
            return ""

    def is_alive(self, obj: int) -> bool:
        """Whether anything holds an object: pointers to freed ones lie about beyond a frame's own variables."""
        try:
            return bool(self._memory.word(obj) & 0xFFFF_FFFF)  # ob_refcnt; 32 bits of it from 3.12 on
        except Torn:
            return False

    def attribute(self, obj: int, name: str) -> int | None:
        """Remote address of an instance attribute's value, None where there is none. Slots and class attributes: None."""
        place = self.slot(obj, name)
        try:
            return (self._memory.word(place) or None) if place is not None else None
        except Torn:
            return None

    def slot(self, obj: int, name: str) -> int | None:
        """Remote address of an attribute's place, for `int_in`. Valid until the object's dict grows or it dies."""
        try:
            return self._place_of(obj, name)
        except (Torn, struct.error):
            return None

    def int_in(self, slot: int) -> int | None:
        """The int in a slot: two reads."""
        try:
            return self.int_at(self._memory.word(slot))
        except Torn:
            return None

    def int_at(self, obj: int | None) -> int | None:
        """A Python int's value (bool too), None where it is none."""
        if not obj or self.type_name(obj) not in ("int", "bool"):
            return None
        try:
            size, low, high = struct.unpack("<qII", self._memory.read(obj + at.OBJECT_SIZE, 16))
        except Torn:
            return None
        if self._at.tagged_int:
            digits, negative = size >> 3, size & 3 == 2
        else:
            digits, negative = abs(size), size < 0
        if digits > 2:
            return None  # beyond 2**60: no counter of ours
        value = (low if digits else 0) + ((high << 30) if digits == 2 else 0)
        return -value if negative else value

    def float_at(self, obj: int | None) -> float | None:
        """A Python float's value, None where it is none."""
        if not obj or self.type_name(obj) != "float":
            return None
        try:
            return float(struct.unpack("<d", self._memory.read(obj + at.FLOAT_VALUE, 8))[0])
        except Torn:
            return None

    def str_at(self, obj: int | None) -> str | None:
        """A Python str's value, None where it is none."""
        if not obj or self.type_name(obj) != "str":
            return None
        try:
            return self._str(obj)
        except Torn:
            return None

    def len_at(self, obj: int | None) -> int | None:
        """Length of a list or tuple, None where it is none."""
        if not obj or self.type_name(obj) not in ("list", "tuple"):
            return None
        try:
            return self._memory.word(obj + at.OBJECT_SIZE)
        except Torn:
            return None

    def items_at(self, obj: int | None, limit: int = 16) -> list[int]:
        """Addresses of the items of a list or tuple, at most `limit`."""
        if not obj:
            return []
        try:
            kind = self.type_name(obj)
            if kind == "tuple":
                return self._tuple(obj, limit)
            if kind == "list":
                count = min(self._memory.word(obj + at.OBJECT_SIZE), limit)
                return self._words(self._memory.word(obj + at.LIST_ITEMS), count)
        except Torn:
            pass
        return []

    def values_at(self, obj: int | None) -> list[int]:
        """Addresses of a dict's values, in its order. A dict of attributes, which shares its keys with others: []."""
        if not obj or self.type_name(obj) != "dict":
            return []
        try:
            keys, shared = self._words(obj + at.DICT_KEYS, 2)
            if shared:
                return []
            size, entries, count = self._entries(keys)
            data = self._memory.read(entries, size * count)
        except Torn:
            return []
        found = (int.from_bytes(data[(n + 1) * size - 8 : (n + 1) * size], "little") for n in range(count))
        return [value for value in found if value]

    def read(self, address: int, size: int) -> bytes:
        """Raw memory. Raises Torn."""
        return self._memory.read(address, size)

    def _place_of(self, obj: int, name: str) -> int:
        memory, how = self._memory, self._at.attributes
        kind = memory.word(obj + at.OBJECT_TYPE)
        flags = memory.word(kind + at.TYPE_FLAGS)
        if how != "dictoffset" and flags & at.MANAGED_DICT:
            values = 0
            if how == "values-32":
                values, table = self._words(obj - 32, 2)
            else:
                table = memory.word(obj - 24)
                if how == "tagged-24" and table & 1:
                    values, table = table + 1, 0
                elif how == "inline" and not table and flags & at.INLINE_VALUES:
                    values = obj + memory.word(kind + at.TYPE_BASICSIZE)
            if values:
                index = self._index(memory.word(kind + self._at.cached_keys), name)
                return values + self._at.values + 8 * index
        else:
            offset = memory.word(kind + at.TYPE_DICTOFFSET)
            if not 0 < offset < 1 << 20:
                raise Torn
            table = memory.word(obj + offset)
        return self._item(table, name)

    def _item(self, table: int, name: str) -> int:
        """Where dict[name] stands, for string keys."""
        keys, values = self._words(table + at.DICT_KEYS, 2)
        index = self._index(keys, name)
        if values:
            return values + self._at.values + 8 * index
        entry_size, entries, _ = self._entries(keys)
        return entries + entry_size * index + entry_size - 8

    def _entries(self, keys: int) -> tuple[int, int, int]:
        """Size of an entry, where the entries start, and how many there are."""
        if self._at.keys_kind < 0:
            size, _, _, count = self._words(keys + 8, 4)
            width = 1 if size <= 0xFF else 2 if size <= 0xFFFF else 4
            return 24, keys + 40 + size * width, min(count, _MAX_KEYS)
        head = self._memory.read(keys, 32)
        count = int.from_bytes(head[24:32], "little")
        if head[9] > 32:
            raise Torn
        return (16 if head[self._at.keys_kind] else 24), keys + 32 + (1 << head[9]), min(count, _MAX_KEYS)

    def _index(self, keys: int, name: str) -> int:
        """Position of a key among a table's entries. Checked again on each use, for tables are freed and reused."""
        entry_size, entries, count = self._entries(keys)
        key_at = entry_size - 16
        known = self._indices.get((keys, name))
        if (
            known is not None
            and known < count
            and self._str(self._memory.word(entries + entry_size * known + key_at)) == name
        ):
            return known
        data = self._memory.read(entries, entry_size * count)
        for index in range(count):
            key = int.from_bytes(data[index * entry_size + key_at :][:8], "little")
            if key and self._str(key) == name:
                self._indices[(keys, name)] = index
                return index
        raise Torn

    def _tuple(self, obj: int, limit: int = 1024) -> list[int]:
        count = self._memory.word(obj + at.OBJECT_SIZE)
        if count > 1 << 20:
            raise Torn
        return self._words(obj + self._at.tuple_items, min(count, limit))

    def _words(self, address: int, count: int) -> list[int]:
        return list(struct.unpack(f"<{count}Q", self._memory.read(address, 8 * count)))

    def _str(self, obj: int) -> str:
        head = self._memory.read(obj, 40)
        length = struct.unpack_from("<Q", head, at.STR_LENGTH)[0]
        state = struct.unpack_from("<I", head, at.STR_STATE)[0]
        kind, compact, ascii_only = (state >> 2) & 7, state & 32, state & 64
        if length > _MAX_STRING or not compact or kind not in (1, 2, 4):
            raise Torn
        data = self._memory.read(obj + (self._at.ascii_data if ascii_only else self._at.compact_data), length * kind)
        return data.decode({1: "latin-1", 2: "utf-16-le", 4: "utf-32-le"}[kind], "replace")
