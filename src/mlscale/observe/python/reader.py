"""Frames and locals of a live CPython process, read from its memory while it runs on.

What `objects` says of pointers goes for frames: a look that makes no sense is given up (None, or a stack cut short).
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
from mlscale.observe.python.objects import Objects

_MAX_THREADS = 512
_STACK_BLOCK = 4096  # the callers' frames lie just below the leaf's, in one chunk of the interpreter's data stack
_PLACE_BYTES = 72  # of a frame, from its code object to its instruction, in all layouts
_MAX_SLOTS = 512  # of a generator: more are torn memory
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
    slots: int | None = None  # variables, and values on its evaluation stack, that are in use; None: not known


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


class Interpreter(Objects):
    """The Python of one process. Raises Unreadable where it cannot be read; after that, no method raises."""

    def __init__(self, pid: int) -> None:
        runtime, self.version = find_runtime(pid)
        layout = LAYOUTS.get(self.version)
        if layout is None:
            raise Unreadable(f"Python {self.version[0]}.{self.version[1]} is not one that mlscale reads by itself")
        super().__init__(Memory(pid), layout)
        self.pid = pid
        self._runtime = runtime
        self._tags = ~layout.reference_tags
        self._codes: dict[int, _Code] = {}
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
        for slot in self._held(frame):
            name = self.type_name(slot)
            if name and name.endswith(tuple(suffixes)) and self.is_alive(slot):
                return slot
        return None

    def generators(self, frame: Frame) -> list[Frame]:
        """The frames of the generators that a frame holds, for `find`: a loop over `tqdm(batches)` goes through one."""
        memory, layout = self._memory, self._at
        found: list[Frame] = []
        for slot in dict.fromkeys(self._held(frame)):
            if self.type_name(slot) != "generator" or not self.is_alive(slot):
                continue
            try:
                address = slot + layout.generator_frame
                if self.version < (3, 11):
                    address = memory.word(address)
                code_at = memory.word(address + layout.frame_code) & self._tags
                slots = self._slots(address)
            except Torn:
                continue
            if self.knows(code_at) and 0 < slots <= _MAX_SLOTS:  # none while it runs: then it is on the stack
                found.append(dataclasses.replace(self.frame(code_at, address), slots=slots))
        return found

    def _slots(self, address: int) -> int:
        """How many slots of a frame at rest are in use. Beyond them, a generator's memory ends."""
        layout = self._at
        first, _, third = struct.unpack("<qqq", self._memory.read(address + layout.frame_stack, 24))
        if (3, 11) <= self.version < (3, 14):  # a count, of 32 bits
            return int(first & 0xFFFF_FFFF) if not first & 0x8000_0000 else -1
        below = (first - address - layout.frame_locals) // 8  # a pointer: to the first free one; in 3.10, to the stack
        return int(below) + (int(third & 0xFFFF_FFFF) if self.version < (3, 11) else 0)

    def _held(self, frame: Frame) -> list[int]:
        """What a frame's variables and evaluation stack point to, or may: also beyond what is in use."""
        code = self._codes.get(frame.code)
        if code is None:
            return []
        count = len(code.local_names) + _SCAN_SLOTS if frame.slots is None else frame.slots
        try:
            slots: tuple[int, ...] = struct.unpack(
                f"<{count}Q", self._memory.read(frame.address + self._at.frame_locals, 8 * count)
            )
        except Torn:
            return []
        held: list[int] = []
        for slot in slots:
            slot &= self._tags
            if slot < 4096 or slot % 8:
                continue
            if self.type_name(slot) == "enumerate":
                try:
                    slot = self._memory.word(slot + at.ENUMERATE_ITERATOR)
                except Torn:
                    continue
            held.append(slot)
        return held
