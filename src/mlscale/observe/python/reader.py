"""Frames and locals of a live CPython process, read from its memory while it runs on.

A process that is not stopped may change what is being read. So nothing here trusts a pointer: each read may fail, each
object's type is checked by name, and a look that makes no sense is given up (None, or a stack cut short).
"""

from __future__ import annotations

import dataclasses
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mlscale.observe import proc
from mlscale.observe.python import layout as at
from mlscale.observe.python.layout import LAYOUTS, Layout
from mlscale.observe.python.memory import Memory, Torn, Unreadable, find_runtime

_MAX_THREADS = 512
_MAX_STRING = 4096
_MAX_KEYS = 512
_STACK_BLOCK = 4096  # the callers' frames lie just below the leaf's, in one chunk of the interpreter's data stack
_PLACE_BYTES = 72  # of a frame, from its code object to its instruction, in all layouts
_SCAN_SLOTS = 24  # of a frame's evaluation stack; deeper ones are rare in a training loop
_GLIBC_TID = 0x2D0  # of struct pthread on x86-64 (glibc's nptl/descr.h); only 3.10 needs it


@dataclass(frozen=True)
class Frame:
    """One Python frame. `address` and `code` are remote addresses, for reading its locals."""

    function: str
    filename: str
    line: int  # where the function begins
    address: int
    code: int


class Place(NamedTuple):
    """Where a thread's interpreter is: its innermost frame and code object, and the instruction. Remote addresses; in 3.10 the
    instruction is an offset."""

    frame: int
    code: int
    instruction: int


@dataclass(frozen=True)
class _Code:
    function: str
    filename: str
    line: int
    local_names: tuple[str, ...]


class Interpreter:
    """The Python of one process. Raises Unreadable where it cannot be read; after that, no method raises."""

    def __init__(self, pid: int) -> None:
        runtime, self.version = find_runtime(pid)
        layout = LAYOUTS.get(self.version)
        if layout is None:
            raise Unreadable(f"Python {self.version[0]}.{self.version[1]} is not one that mlscale reads by itself")
        self.pid = pid
        self._at: Layout = layout
        self._runtime = runtime
        self._memory = Memory(pid)
        self._tags = ~layout.reference_tags
        self._codes: dict[int, _Code] = {}
        self._types: dict[int, str] = {}
        self._indices: dict[tuple[int, str], int] = {}
        try:
            self._at = layout = self._as_built(layout)
            if self._memory.word(runtime + layout.interpreters_head) == 0:
                self.close()
                raise Unreadable("its Python has not started yet")
        except Torn:
            self.close()
            raise Unreadable("its memory cannot be read") from None

    def _as_built(self, layout: Layout) -> Layout:
        """The layout with what this build says of itself: between two bug-fix releases, large structures may change."""
        memory, runtime = self._memory, self._runtime
        if self.version < (3, 13) or memory.read(runtime, 8) != at.COOKIE:
            return layout
        return dataclasses.replace(
            layout,
            interpreters_head=memory.word(runtime + at.OFFSET_OF_INTERPRETERS_HEAD),
            threads_head=memory.word(runtime + at.OFFSET_OF_THREADS_HEAD),
        )

    def close(self) -> None:
        """Gives the descriptor back."""
        self._memory.close()

    def threads(self) -> dict[int, int]:
        """Thread id (as this machine counts) -> remote address of its thread state. {} where it cannot be read."""
        tids = set(proc.threads_of(self.pid))
        inside = proc.namespace_tids(self.pid, tids)
        found: dict[int, int] = {}
        memory, layout = self._memory, self._at
        try:
            interpreter = memory.word(self._runtime + layout.interpreters_head)
            thread = memory.word(interpreter + layout.threads_head)
            while thread and len(found) < _MAX_THREADS:
                if layout.thread_native_id >= 0:
                    tid = memory.word(thread + layout.thread_native_id)
                    tid = inside.get(tid, tid)
                else:
                    tid = self._tid_of_pthread(memory.word(thread + layout.thread_pthread), tids)
                if tid in tids:
                    found[tid] = thread
                thread = memory.word(thread + layout.thread_next)
        except Torn:
            pass
        return found

    def _tid_of_pthread(self, pthread: int, tids: set[int]) -> int:
        data = self._memory.read(pthread, _GLIBC_TID + 4)
        tid = struct.unpack_from("<I", data, _GLIBC_TID)[0]
        if tid in tids:
            return int(tid)
        # Another C library: the id stands somewhere in the descriptor.
        return next((word for (word,) in struct.iter_unpack("<I", data) if word in tids), 0)

    def walk(self, thread: int, limit: int = 64, leaf: int = 0) -> tuple[tuple[int, ...], list[int]]:
        """Remote addresses of a thread's code objects and of its frames, leaf first. () where it changed meanwhile.

        `leaf`: the address of its innermost frame, where `place` has just told it.
        """
        memory, layout = self._memory, self._at
        code_word, previous_word, owner_at = layout.frame_code >> 3, layout.frame_previous >> 3, layout.frame_owner
        known, tags = self._codes, self._tags
        codes: list[int] = []
        addresses: list[int] = []
        try:
            address = leaf or memory.word(thread + layout.thread_frame)
            if layout.cframe_frame >= 0 and not leaf:
                address = memory.word(address + layout.cframe_frame)
            block, words, block_at = b"", memoryview(b"").cast("Q"), 0
            for _ in range(limit * 2):
                if not address or len(codes) >= limit:
                    break
                here = address - block_at
                if here < 0 or here + 88 > len(block):
                    block, block_at = self._block(address)
                    words = memoryview(block).cast("Q")
                    here = address - block_at
                if owner_at < 0 or block[here + owner_at] < at.OWNED_BY_INTERPRETER:
                    code_at = words[(here >> 3) + code_word] & tags
                    if code_at in known or self._read_code(code_at) is not None:
                        codes.append(code_at)
                        addresses.append(address)
                address = words[(here >> 3) + previous_word]
                if address & 7:
                    raise Torn
        except Torn:
            return (), []  # half a stack would be taken for another one
        return tuple(codes), addresses

    def knows(self, code_at: int) -> bool:
        """Whether there is a code object at an address."""
        return code_at in self._codes or self._read_code(code_at) is not None

    def frame(self, code_at: int, address: int = 0) -> Frame:
        """What is known of a code object that `walk` gave."""
        code = self._codes.get(code_at)
        if code is None:
            return Frame("?", "?", 0, address, code_at)
        return Frame(code.function, code.filename, code.line, address, code_at)

    def stack(self, thread: int, limit: int = 64) -> list[Frame]:
        """The frames of a thread, leaf first, at most `limit`. [] where there are none or they changed meanwhile."""
        codes, addresses = self.walk(thread, limit)
        return [self.frame(code, address) for code, address in zip(codes, addresses, strict=True)]

    def place(self, thread: int) -> Place | None:
        """Where a thread's interpreter is. Two looks that differ show Python at work.

        Frame and code are read a moment after each other: of all that a look tells, it is what least depends on what the
        thread does meanwhile.
        """
        fd, layout = self._memory.fd, self._at
        try:
            # The hottest read of all: no call that can be spared.
            raw = os.pread(fd, 8, thread + layout.thread_frame)
            if layout.cframe_frame >= 0:
                raw = os.pread(fd, 8, int.from_bytes(raw, "little") + layout.cframe_frame)
            frame = int.from_bytes(raw, "little")
            raw = os.pread(fd, _PLACE_BYTES, frame + layout.frame_code)
            instruction_at = layout.frame_instruction - layout.frame_code
            instruction = int.from_bytes(raw[instruction_at : instruction_at + 8], "little")
            return Place(frame, int.from_bytes(raw[:8], "little") & self._tags, instruction)
        except (OSError, OverflowError):
            return None

    def instruction(self, frame: int) -> int | None:
        """Where a frame is in its code: an address in 3.11 and later, an offset in 3.10."""
        try:
            raw = self._memory.read(frame + self._at.frame_instruction, 8)
        except Torn:
            return None
        return int.from_bytes(raw, "little")

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

    def read(self, address: int, size: int) -> bytes:
        """Raw memory. Raises Torn."""
        return self._memory.read(address, size)

    def _block(self, address: int) -> tuple[bytes, int]:
        """Memory around a frame that is likely to hold its callers too: one system call instead of one per frame."""
        if self._at.attributes != "dictoffset":  # from 3.11 on, frames lie on a stack of their own
            start = max(address - _STACK_BLOCK, 0) & ~7
            try:
                return self._memory.read(start, _STACK_BLOCK + 88), start
            except Torn:
                pass
        return self._memory.read(address, 88), address

    def _read_code(self, address: int) -> _Code | None:
        if self.type_name(address) != "code":
            return None
        layout, memory = self._at, self._memory
        try:
            function = self._str(memory.word(address + layout.code_qualname))
            filename = self._str(memory.word(address + layout.code_filename))
            line = struct.unpack("<I", memory.read(address + layout.code_first_line, 4))[0]
            names = tuple(self._str(item) for item in self._tuple(memory.word(address + layout.code_local_names)))
        except Torn:
            return None
        code = self._codes[address] = _Code(function, filename, int(line), names)
        return code

    def local(self, frame: Frame, name: str) -> int | None:
        """Remote address of a local variable's value, None where it is unset or unknown."""
        code: _Code | None = self._codes.get(frame.code)
        if code is None or name not in code.local_names:
            return None
        try:
            index = code.local_names.index(name)
            return self._memory.word(frame.address + self._at.frame_locals + 8 * index) & self._tags or None
        except Torn:
            return None

    def find(self, frame: Frame, suffixes: Sequence[str]) -> int | None:
        """An object in a frame's variables or on its evaluation stack whose type's name ends in one of `suffixes`.

        The iterator of a running `for` loop is held there, also while the loop's body runs, and inside `enumerate`.
        """
        code = self._codes.get(frame.code)
        if code is None:
            return None
        count = len(code.local_names) + _SCAN_SLOTS
        try:
            slots: tuple[int, ...] = struct.unpack(
                f"<{count}Q", self._memory.read(frame.address + self._at.frame_locals, 8 * count)
            )
        except Torn:
            return None
        for slot in slots:
            slot &= self._tags
            if slot < 4096 or slot % 8:
                continue
            name = self.type_name(slot)
            if name == "enumerate":
                try:
                    slot = self._memory.word(slot + at.ENUMERATE_ITERATOR)
                except Torn:
                    continue
                name = self.type_name(slot)
            if name and name.endswith(tuple(suffixes)) and self.is_alive(slot):
                return slot
        return None

    def is_alive(self, obj: int) -> bool:
        """Whether anything holds an object: pointers to freed ones lie about beyond a frame's own variables."""
        try:
            return bool(self._memory.word(obj) & 0xFFFF_FFFF)  # ob_refcnt; 32 bits of it from 3.12 on
        except Torn:
            return False

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

    def attribute(self, obj: int, name: str) -> int | None:
        """Remote address of an instance attribute's value, None where there is none. Slots and class attributes: None."""
        place = self.slot(obj, name)
        try:
            return (self._memory.word(place) or None) if place is not None else None
        except Torn:
            return None

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
