"""Where CPython keeps things: byte offsets by version, for 64-bit builds with the GIL.

Source: the headers of each release (Include/internal/pycore_frame.h, pycore_interp.h, cpython/dictobject.h and so on),
printed with offsetof by tests/observe/python/offsets.c, which a test compiles against each Python that is at hand.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """Byte offsets within CPython's structures; -1 where a version has no such field."""

    # _PyRuntimeState, PyInterpreterState, PyThreadState
    interpreters_head: int
    threads_head: int
    thread_next: int
    thread_frame: int  # the frame; or the _PyCFrame that points to it
    cframe_frame: int  # within _PyCFrame; -1: thread_frame is the frame itself
    thread_native_id: int  # -1: only the pthread_t, at thread_pthread
    thread_pthread: int
    # _PyInterpreterFrame (PyFrameObject in 3.10)
    frame_previous: int
    frame_code: int
    frame_owner: int
    frame_locals: int
    frame_instruction: int  # where the interpreter is within the code
    frame_stack: int  # how far its evaluation stack is filled: a count; from 3.14 on and in 3.10, a pointer
    generator_frame: int  # a generator's own frame, within the generator (a pointer to it in 3.10)
    # PyCodeObject
    code_filename: int
    code_name: int
    code_qualname: int
    code_first_line: int
    code_local_names: int
    # PyTypeObject, PyHeapTypeObject
    cached_keys: int
    # PyDictKeysObject
    keys_kind: int  # -1: the header of 3.10
    values: int  # where the array starts within PyDictValues
    # str, int
    ascii_data: int
    compact_data: int
    tagged_int: bool  # 3.12: the length of an int is in a tag
    # Where an object keeps its attributes: "dictoffset", "values-32", "tagged-24", "inline"
    attributes: str
    tuple_items: int = 24
    reference_tags: int = 0  # from 3.14 on, references in frames carry tags in their lowest bits


_COMMON = {"frame_owner": -1, "cframe_frame": -1, "thread_pthread": -1, "values": 0}

# From 3.12 on, where a version's own entry says nothing else.
_SINCE_3_12 = {
    **_COMMON,
    "thread_next": 8,
    "frame_previous": 8,
    "frame_code": 0,
    "frame_owner": 70,
    "frame_locals": 72,
    "frame_instruction": 56,
    "frame_stack": 64,
    "generator_frame": 72,
    "code_filename": 112,
    "code_name": 120,
    "code_qualname": 128,
    "code_first_line": 68,
    "code_local_names": 96,
    "cached_keys": 880,
    "keys_kind": 10,
    "ascii_data": 40,
    "compact_data": 56,
}
_SINCE_3_13 = {**_SINCE_3_12, "thread_frame": 72, "thread_native_id": 160, "values": 8}
_SINCE_3_14 = {**_SINCE_3_13, "frame_owner": 74, "frame_locals": 80, "tuple_items": 32, "reference_tags": 3}

LAYOUTS: dict[tuple[int, int], Layout] = {
    (3, 10): Layout(
        **{
            **_COMMON,
            "interpreters_head": 32,
            "threads_head": 8,
            "thread_next": 8,
            "thread_frame": 24,
            "thread_native_id": -1,
            "thread_pthread": 176,
            "frame_previous": 24,
            "frame_code": 32,
            "frame_locals": 352,
            "frame_instruction": 96,
            "frame_stack": 64,
            "generator_frame": 16,
            "code_filename": 104,
            "code_name": 112,
            "code_qualname": 112,
            "code_first_line": 40,
            "code_local_names": 72,
            "cached_keys": 872,
            "keys_kind": -1,
            "ascii_data": 48,
            "compact_data": 72,
        },
        tagged_int=False,
        attributes="dictoffset",
    ),
    (3, 11): Layout(
        **{
            **_COMMON,
            "interpreters_head": 40,
            "threads_head": 16,
            "thread_next": 8,
            "thread_frame": 56,
            "cframe_frame": 8,
            "thread_native_id": 160,
            "frame_previous": 48,
            "frame_code": 32,
            "frame_owner": 69,
            "frame_locals": 72,
            "frame_instruction": 56,
            "frame_stack": 64,
            "generator_frame": 80,
            "code_filename": 112,
            "code_name": 120,
            "code_qualname": 128,
            "code_first_line": 72,
            "code_local_names": 96,
            "cached_keys": 872,
            "keys_kind": 10,
            "ascii_data": 48,
            "compact_data": 72,
        },
        tagged_int=False,
        attributes="values-32",
    ),
    (3, 12): Layout(
        **{
            **_SINCE_3_12,
            "interpreters_head": 40,
            "threads_head": 72,
            "thread_frame": 56,
            "cframe_frame": 0,
            "thread_native_id": 144,
        },
        tagged_int=True,
        attributes="tagged-24",
    ),
    (3, 13): Layout(
        **{
            **_SINCE_3_13,
            "interpreters_head": 632,
            "threads_head": 7344,
        },
        tagged_int=True,
        attributes="inline",
    ),
    (3, 14): Layout(
        **{
            **_SINCE_3_14,
            "interpreters_head": 808,
            "threads_head": 7344,
        },
        tagged_int=True,
        attributes="inline",
    ),
    (3, 15): Layout(
        **{
            **_SINCE_3_14,
            "interpreters_head": 936,
            "threads_head": 7336,
            "thread_native_id": 184,
            "cached_keys": 888,
        },
        tagged_int=True,
        attributes="inline",
    ),
}

# The same in all of these versions.
OBJECT_TYPE = 8
OBJECT_SIZE = 16  # ob_size of a var-sized object; lv_tag of an int from 3.12 on
TYPE_NAME = 24
TYPE_BASICSIZE = 32
TYPE_FLAGS = 168
TYPE_DICTOFFSET = 288
LIST_ITEMS = 24
FLOAT_VALUE = 16
INT_DIGITS = 24
STR_LENGTH = 16
STR_STATE = 32
DICT_KEYS = 32
DICT_VALUES = 40
ENUMERATE_ITERATOR = 24  # en_sit of enumobject.c
MANAGED_DICT = 1 << 4
INLINE_VALUES = 1 << 2
OWNED_BY_INTERPRETER = 3  # from here on: a shim frame, without code of its own (enum _frameowner)
# _Py_DebugOffsets, with which _PyRuntime begins since 3.13: where this very build keeps its two largest structures' fields.
COOKIE = b"xdebugpy"
OFFSET_OF_INTERPRETERS_HEAD, OFFSET_OF_THREADS_HEAD = 40, 72
