/* Prints the offsets that src/mlscale/observe/python/layout.py tabulates, for the CPython whose headers are given:
   cc -w -I PREFIX/include/python3.X -I PREFIX/include/python3.X/internal offsets.c && ./a.out */
#define Py_BUILD_CORE 1
#include <Python.h>
#include <stddef.h>
#include <stdio.h>
#include <internal/pycore_runtime.h>
#include <internal/pycore_interp.h>
#if PY_VERSION_HEX >= 0x030E0000
#include <internal/pycore_interpframe_structs.h>
#endif
#if PY_VERSION_HEX >= 0x030B0000
#include <internal/pycore_dict.h>
#include <internal/pycore_frame.h>
#include <internal/pycore_code.h>
#else
#include <frameobject.h>
#endif
#define P(name, type, member) printf("%s %zu\n", name, offsetof(type, member))
int main(void) {
    P("interpreters_head", _PyRuntimeState, interpreters.head);
    P("thread_next", PyThreadState, next);
#if PY_VERSION_HEX >= 0x030B0000
    P("threads_head", PyInterpreterState, threads.head);
    P("native_id", PyThreadState, native_thread_id);
    P("frame_previous", _PyInterpreterFrame, previous);
    P("frame_owner", _PyInterpreterFrame, owner);
    P("frame_locals", _PyInterpreterFrame, localsplus);
    P("code_qualname", PyCodeObject, co_qualname);
    P("code_local_names", PyCodeObject, co_localsplusnames);
    P("code_instructions", PyCodeObject, co_code_adaptive);
    P("cached_keys", PyHeapTypeObject, ht_cached_keys);
#else
    P("threads_head", PyInterpreterState, tstate_head);
    P("thread_frame", PyThreadState, frame);
    P("native_id", PyThreadState, thread_id);
    P("frame_previous", PyFrameObject, f_back);
    P("frame_instruction", PyFrameObject, f_lasti);
    P("frame_code", PyFrameObject, f_code);
    P("frame_locals", PyFrameObject, f_localsplus);
    P("code_qualname", PyCodeObject, co_name);
    P("code_local_names", PyCodeObject, co_varnames);
    P("cached_keys", PyHeapTypeObject, ht_cached_keys);
#endif
#if PY_VERSION_HEX >= 0x030D0000
    P("thread_frame", PyThreadState, current_frame);
    P("frame_code", _PyInterpreterFrame, f_executable);
    P("frame_instruction", _PyInterpreterFrame, instr_ptr);
#elif PY_VERSION_HEX >= 0x030B0000
    P("thread_frame", PyThreadState, cframe);
    P("cframe_frame", _PyCFrame, current_frame);
    P("frame_code", _PyInterpreterFrame, f_code);
    P("frame_instruction", _PyInterpreterFrame, prev_instr);
#endif
#if PY_VERSION_HEX >= 0x030B0000
    P("generator_frame", PyGenObject, gi_iframe);
#if PY_VERSION_HEX >= 0x030E0000
    P("frame_stack", _PyInterpreterFrame, stackpointer);
#else
    P("frame_stack", _PyInterpreterFrame, stacktop);
#endif
#else
    P("frame_stack", PyFrameObject, f_valuestack);
    P("frame_stackdepth", PyFrameObject, f_stackdepth);  // 16 behind it
    P("generator_frame", PyGenObject, gi_frame);
#endif
    P("code_name", PyCodeObject, co_name);
    P("code_filename", PyCodeObject, co_filename);
    P("code_first_line", PyCodeObject, co_firstlineno);
    P("code_linetable", PyCodeObject, co_linetable);
    P("type_name", PyTypeObject, tp_name);
    P("type_flags", PyTypeObject, tp_flags);
    P("type_basicsize", PyTypeObject, tp_basicsize);
    P("type_dictoffset", PyTypeObject, tp_dictoffset);
    P("tuple_items", PyTupleObject, ob_item);
    P("dict_keys", PyDictObject, ma_keys);
    P("dict_values", PyDictObject, ma_values);
#if PY_VERSION_HEX >= 0x030B0000
    P("keys_kind", struct _dictkeysobject, dk_kind);
    P("keys_entries", struct _dictkeysobject, dk_nentries);
    P("keys_indices", struct _dictkeysobject, dk_indices);
    P("values", struct _dictvalues, values);
#endif
#if PY_VERSION_HEX >= 0x030C0000
    P("long_digits", PyLongObject, long_value.ob_digit);
#else
    P("long_digits", PyLongObject, ob_digit);
#endif
    printf("ascii_data %zu\n", sizeof(PyASCIIObject));
    printf("compact_data %zu\n", sizeof(PyCompactUnicodeObject));
    return 0;
}
