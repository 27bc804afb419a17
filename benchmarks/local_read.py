"""CPU time of reading a local file, in nanoseconds a byte: LOCAL_READ_S_PER_BYTE of mlscale/ladder/case.py.

    python benchmarks/local_read.py [FOLDER]

Reads of 0.2, 1 and 16 MB, from the page cache (the least of five) and after the file was dropped from it.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time

FILE_BYTES = 64 << 20
READS_BYTES = (200_000, 1_000_000, 16_000_000)


def cpu_s_per_byte(file: int, read_bytes: int) -> float:
    """CPU seconds a byte of reading the whole file."""
    os.lseek(file, 0, os.SEEK_SET)
    began, so_far = time.thread_time(), 0
    while data := os.read(file, read_bytes):
        so_far += len(data)
    return (time.thread_time() - began) / so_far


def main() -> None:
    """Prints a table."""
    with tempfile.TemporaryFile(dir=sys.argv[1] if len(sys.argv) > 1 else None) as written:
        written.write(os.urandom(FILE_BYTES))
        written.flush()
        file = written.fileno()
        os.fsync(file)
        print("| bytes a read | cached, ns a byte | dropped, ns a byte |\n|---|---|---|")
        for read_bytes in READS_BYTES:
            cached = min(cpu_s_per_byte(file, read_bytes) for _ in range(5))
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            print(f"| {read_bytes} | {cached * 1e9:.3f} | {cpu_s_per_byte(file, read_bytes) * 1e9:.3f} |")


if __name__ == "__main__":
    main()
