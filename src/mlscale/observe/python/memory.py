"""Another process's memory, read-only, and where its Python runtime lies in it."""

from __future__ import annotations

import os
import re
import struct

_POINTER = struct.Struct("<Q")
_EI_CLASS_64_LITTLE = b"\x7fELF\x02\x01"
_PT_LOAD = 1
_SHT_SYMTAB, _SHT_DYNSYM = 2, 11
_LIBPYTHON = re.compile(r"/libpython(3)\.(\d+)(t?)(?:d?)\.so")
_PYTHON = re.compile(r"/python(3)\.(\d+)(t?)$")


class Unreadable(Exception):
    """The Python state of a process cannot be read; the text says why."""


class Torn(Exception):
    """What was read makes no sense, because the process went on meanwhile."""


class Memory:
    """/proc/PID/mem, opened read-only. Raises Unreadable where the kernel refuses."""

    def __init__(self, pid: int) -> None:
        try:
            self.fd = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise Unreadable(f"the kernel refuses its memory ({error.strerror})") from None

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes. Raises Torn where they are not mapped (any more)."""
        try:
            data = os.pread(self.fd, size, address)
        except (OSError, OverflowError, ValueError):
            raise Torn from None
        if len(data) != size:
            raise Torn
        return data

    def word(self, address: int) -> int:
        """One 64-bit word."""
        return int(_POINTER.unpack(self.read(address, 8))[0])

    def text(self, address: int, limit: int = 128) -> str:
        """A C string."""
        # Read up to the page's end first: the next one may not be mapped.
        size = min(limit, 4096 - address % 4096)
        data = self.read(address, size)
        if b"\0" not in data and size < limit:
            data += self.read(address + size, limit - size)
        return data.split(b"\0", 1)[0].decode("utf-8", "replace")

    def close(self) -> None:
        """Gives the descriptor back."""
        os.close(self.fd)


def find_runtime(pid: int) -> tuple[int, tuple[int, int]]:
    """Address of _PyRuntime in a process, and the Python version. Raises Unreadable."""
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise Unreadable(f"the kernel refuses its memory map ({error.strerror})") from None
    bases: dict[str, int] = {}
    for line in lines:
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5].startswith("/") and int(fields[2], 16) == 0:
            bases.setdefault(fields[5], int(fields[0].split("-")[0], 16))
    try:
        program = os.readlink(f"/proc/{pid}/exe")
    except OSError:
        program = ""
    candidates = [path for path in bases if _LIBPYTHON.search(path)] + [program]
    version: tuple[int, int] | None = None
    for path in candidates:
        named = _LIBPYTHON.search(path) or _PYTHON.search(path)
        if named is not None:
            if named[3]:
                raise Unreadable("it runs a free-threaded Python, which mlscale cannot read yet")
            version = (int(named[1]), int(named[2]))
    for path in candidates:
        base = bases.get(path)
        if base is None:
            continue
        file_name = f"/proc/{pid}/exe" if path == program else f"/proc/{pid}/root{path.removesuffix(' (deleted)')}"
        symbols = _symbols(file_name, {b"_PyRuntime", b"Py_Version"})
        if b"_PyRuntime" in symbols:
            first_load = symbols[b""]
            runtime = base - first_load + symbols[b"_PyRuntime"]
            if version is None and b"Py_Version" in symbols:  # since 3.11, for programs that embed Python
                memory = Memory(pid)
                try:
                    packed = memory.word(base - first_load + symbols[b"Py_Version"])
                    version = ((packed >> 24) & 0xFF, (packed >> 16) & 0xFF)
                except Torn:
                    pass
                finally:
                    memory.close()
            if version is None:
                raise Unreadable("its Python version is unknown")
            return runtime, version
    raise Unreadable("it runs no Python" if version is None else "its Python keeps no symbol _PyRuntime")


def _symbols(path: str, wanted: set[bytes]) -> dict[bytes, int]:
    """Values of ELF symbols, and under b"" the address of the first loaded segment. {} where it is no 64-bit ELF."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
            if not head.startswith(_EI_CLASS_64_LITTLE):
                return {}
            segments_at, sections_at = struct.unpack_from("<QQ", head, 32)
            segment_size, segments, section_size, sections = struct.unpack_from("<HHHH", head, 54)
            file.seek(segments_at)
            table = file.read(segment_size * segments)
            found: dict[bytes, int] = {}
            for at in range(0, len(table), segment_size):
                kind = struct.unpack_from("<I", table, at)[0]
                if kind == _PT_LOAD:
                    address = struct.unpack_from("<Q", table, at + 16)[0]
                    found[b""] = address & ~0xFFF
                    break
            file.seek(sections_at)
            table = file.read(section_size * sections)
            headers = [struct.unpack_from("<IIQQQQIIQQ", table, at) for at in range(0, len(table), section_size)]
            for header in sorted((h for h in headers if h[1] in (_SHT_DYNSYM, _SHT_SYMTAB)), key=lambda h: -h[1]):
                offset, size, names_index = header[4], header[5], header[6]
                file.seek(headers[names_index][4])
                names = file.read(headers[names_index][5])
                places = {}
                for name in wanted - set(found):
                    place = names.find(b"\0" + name + b"\0")
                    if place >= 0:
                        places[place + 1] = name
                if not places:
                    continue
                file.seek(offset)
                for name_at, _, _, section, value, _ in struct.iter_unpack("<IBBHQQ", file.read(size - size % 24)):
                    if section and name_at in places:
                        found[places[name_at]] = value
                if wanted <= set(found):
                    break
            return found
    except (OSError, struct.error, IndexError):
        return {}
