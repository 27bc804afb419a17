"""What a probe of a store reads: whole files in random order, or blocks at random places of large ones."""

from __future__ import annotations

import os
import random
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mlscale.errors import NotPermitted, UsageProblem

MOST_FILES = 20_000  # enough for minutes of reading; a walk over millions would take longer than the probe
LONGEST_WALK_S = 5.0
WHOLE_BYTES = 8 << 20  # a larger file is no sample but a container of them: shards, HDF5, token files
BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Read:
    """One read as a loader would do it: `length` bytes of `path` from `offset`."""

    path: str
    offset: int
    length: int


@dataclass(frozen=True)
class Found:
    """The files below a path. `cut`: there are more, or the walk took too long."""

    files: tuple[tuple[str, int], ...]
    cut: bool


def find_files(path: str, stop: Callable[[], bool]) -> Found:
    """The regular files with content at `path` or below it, with their sizes. Links to files are followed, links to folders
    below `path` are not. Raises UsageProblem where there are none, NotPermitted where they may not be read."""
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        hint = (
            " Mount it, and name a folder of the mount." if "://" in path else " Name a file or folder of the data set."
        )
        raise UsageProblem(f"{path}: {error.strerror or error}.{hint}") from None
    if stat.S_ISREG(mode):
        files, cut = [(path, os.path.getsize(path))], False
    elif stat.S_ISDIR(mode):
        files, cut = _walk(path, stop)
    else:
        raise UsageProblem(f"{path}: neither a file nor a folder. Name a file or folder of the data set.")
    files = [(name, size) for name, size in files if size > 0]
    if not files:
        if not os.access(path, os.R_OK | (os.X_OK if stat.S_ISDIR(mode) else 0)):
            raise NotPermitted(f"{path}: this user may not read it. Run as the user of the job.")
        raise UsageProblem(f"{path}: no file with content in it. Name a file or folder of the data set.")
    return Found(tuple(files), cut)


def _walk(path: str, stop: Callable[[], bool]) -> tuple[list[tuple[str, int]], bool]:
    until = time.monotonic() + LONGEST_WALK_S
    files: list[tuple[str, int]] = []
    folders = [path]
    while folders:
        try:
            entries = os.scandir(folders.pop())
        except OSError:
            continue  # of another user, or gone meanwhile
        with entries:
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif entry.is_file():
                        files.append((entry.path, entry.stat().st_size))
                except OSError:
                    continue
                if len(files) >= MOST_FILES:
                    return files, True
        if time.monotonic() > until or stop():
            return files, True
    return files, False


def reads_of(files: Sequence[tuple[str, int]], seed: int = 0) -> tuple[Read, ...]:
    """The reads of all files, in random order. Large files give at most MOST_FILES blocks together."""
    chance = random.Random(seed)
    reads = [Read(path, 0, size) for path, size in files if size <= WHOLE_BYTES]
    blocks = [(path, size // BLOCK_BYTES) for path, size in files if size > WHOLE_BYTES]
    total = sum(count for _, count in blocks)
    keep = min(1.0, MOST_FILES / total) if total else 0.0
    for path, count in blocks:
        places = chance.sample(range(count), max(1, int(count * keep)))
        reads += [Read(path, place * BLOCK_BYTES, BLOCK_BYTES) for place in places]
    chance.shuffle(reads)
    return tuple(reads)


def endlessly(reads: Sequence[Read]) -> Iterator[Read]:
    """One after the other, from the first again after the last: reading goes on where the trial before ended."""
    while True:
        yield from reads
