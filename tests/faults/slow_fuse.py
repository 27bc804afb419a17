"""A read-only FUSE file system over a folder, that answers each read late. Many reads may wait at once.

The delay is a number of milliseconds, or a file that holds it, read anew at each read.
"""

import os
import sys
import time

from fuse import FUSE, Operations


class Slow(Operations):
    def __init__(self, source: str, latency_ms: str) -> None:
        self.source, self.latency_ms = source, latency_ms

    def delay_s(self):
        if self.latency_ms.startswith("/"):
            with open(self.latency_ms) as file:
                return float(file.read() or 0) / 1e3
        return float(self.latency_ms) / 1e3

    def getattr(self, path, fh=None):
        found = os.lstat(self.source + path)
        names = ("st_mode", "st_size", "st_nlink", "st_uid", "st_gid", "st_mtime", "st_atime", "st_ctime")
        return {name: getattr(found, name) for name in names}

    def readdir(self, path, fh):
        return [".", "..", *os.listdir(self.source + path)]

    def open(self, path, flags):
        return os.open(self.source + path, os.O_RDONLY)

    def read(self, path, size, offset, fh):
        time.sleep(self.delay_s())
        return os.pread(fh, size, offset)

    def release(self, path, fh):
        os.close(fh)


if __name__ == "__main__":
    FUSE(
        Slow(sys.argv[1], sys.argv[3]),
        sys.argv[2],
        foreground=True,
        nothreads=False,
        ro=True,
        direct_io=True,
    )
