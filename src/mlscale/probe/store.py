"""What a store can do: its files, read by one thread, then by more at once, each dropped from the page cache before.

A job's own reading shows one operating point. How far waits overlap, and where the store's limit lies, shows only where more is
asked of it.
"""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from mlscale.errors import NotPermitted, UnreadableInput
from mlscale.observe import machine, storage
from mlscale.probe.files import WHOLE_BYTES, Read, endlessly, find_files, reads_of
from mlscale.probe.result import Part, StoreFound, StoreTrial

READERS = (1, 2, 4, 8, 16, 32)
PARTS = 6  # equal parts of a trial's time, for its spread
CACHED_S = 1.0
CACHED_BYTES = 256 << 20  # read twice: it must stay in the page cache meanwhile
_BUFFER_BYTES = 1 << 20  # of a reader: one preadv at most
_ENOUGH = 200  # reads of a trial: of fewer, those in flight at its end (up to 32) would matter
_HOPELESS = 100  # errors of a reader that read nothing
_PATIENCE_S = 5.0  # beyond a trial's end, for reads that have not come back
_POLL_S = 0.05
_CACHELESS = ("memory",)  # the store is memory itself


@dataclass
class _Log:
    """What one reader did: (when it ended, seconds it took, bytes)."""

    reads: list[tuple[float, float, int]] = field(default_factory=list)
    errors: list[OSError] = field(default_factory=list)


def probe_store(
    path: str,
    *,
    duration_s: float,
    readers: Sequence[int] = READERS,
    drop: bool = True,
    stop: Callable[[], bool] = lambda: False,
    on_trial: Callable[[int], None] = lambda readers: None,
) -> StoreFound:
    """Reads below `path` for `duration_s` seconds in all, the trials taking equal parts. `drop`: from the page cache first.
    `on_trial` hears how many readers begin. Raises UsageProblem, NotPermitted or UnreadableInput."""
    found = find_files(path, stop)
    reads = reads_of(found.files)
    mount = storage.mount_of(os.path.realpath(path), storage.mounts(os.getpid()))
    kind = mount.kind if mount else "other"
    drop = drop and kind not in _CACHELESS
    levels = [count for count in dict.fromkeys(readers) if count <= max(1, len(reads))] or [1]
    following = endlessly(reads)
    trials: list[StoreTrial] = []
    for count in levels:
        if stop():
            break
        on_trial(count)
        trials.append(_trial(following, count, duration_s / len(levels), drop=drop, stop=stop))
        if not trials[-1].parts:
            trials.pop()
            break
    if not trials and not stop():
        raise UnreadableInput(f"{path}: no read came back within {duration_s / len(levels) + _PATIENCE_S:.0f} s.")
    cached = None
    if drop and trials and not stop():
        best = max(trials, key=lambda trial: sum(p.amount or 0 for p in trial.parts))
        cached = _cached(reads, best.readers, stop)
    return StoreFound(
        path=path,
        files=len(found.files),
        file_bytes=sum(size for _, size in found.files),
        read_bytes=int(statistics.median(read.length for read in reads)),
        whole_files=statistics.median(size for _, size in found.files) <= WHOLE_BYTES,
        kind=kind,
        file_system=mount.file_system if mount else "?",
        device=str(storage.device_facts(mount.device).get("name", "")) if mount else "",
        trials=tuple(trials),
        cached=cached,
        dropped=drop,
        notes=(f"Only the first {len(found.files):,} files that were found are read.",) if found.cut else (),
        ended="interrupted" if stop() else "duration",
    )


def _trial(
    following: Iterator[Read], readers: int, seconds: float, *, drop: bool, stop: Callable[[], bool]
) -> StoreTrial:
    """One number of readers. No parts where nothing came back. Raises NotPermitted or UnreadableInput where every read fails."""
    logs = [_Log() for _ in range(readers)]
    lock = threading.Lock()
    began = time.monotonic()
    ends = began + seconds
    over = threading.Event()

    def next_read() -> Read:
        with lock:
            return next(following)

    device_before, cpu_before = _device_bytes(), time.process_time()
    # Daemons: a read from a dead server never comes back, and must not keep the command from ending.
    threads = [threading.Thread(target=_reader, args=(next_read, log, ends, over, drop), daemon=True) for log in logs]
    for thread in threads:
        thread.start()
    while time.monotonic() < ends and not stop() and any(thread.is_alive() for thread in threads):
        time.sleep(_POLL_S)
    over.set()
    ended = time.monotonic()
    for thread in threads:
        thread.join(max(0.0, ended + _PATIENCE_S - time.monotonic()))
    cpu_s, device_after = time.process_time() - cpu_before, _device_bytes()
    errors = [error for log in logs for error in log.errors]
    done = sorted(read for log in logs for read in log.reads)
    if errors and not done:
        raise _refusal(errors[0])
    device = None if device_before is None or device_after is None else device_after - device_before
    parts = _parts(done, began, ended, cpu_s)
    return StoreTrial(readers, parts, tuple(took for _, took, _ in done), device, len(errors))


def _reader(next_read: Callable[[], Read], log: _Log, ends: float, over: threading.Event, drop: bool) -> None:
    buffer = memoryview(bytearray(_BUFFER_BYTES))
    while time.monotonic() < ends and not over.is_set():
        try:
            took, got = _read(next_read(), buffer, drop=drop)
        except OSError as error:
            log.errors.append(error)
            if len(log.errors) >= _HOPELESS and not log.reads:
                return
            continue
        log.reads.append((time.monotonic(), took, got))


def _read(read: Read, buffer: memoryview, *, drop: bool) -> tuple[float, int]:
    """Opens and reads it as a loader does: the seconds that took, without what dropping it before took, and the bytes."""
    began = time.monotonic()
    descriptor = os.open(read.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if drop:
            opened = time.monotonic()
            os.posix_fadvise(descriptor, read.offset, read.length, os.POSIX_FADV_DONTNEED)
            began += time.monotonic() - opened
        got = 0
        while got < read.length:
            count = os.preadv(descriptor, [buffer[: min(len(buffer), read.length - got)]], read.offset + got)
            if count == 0:
                break  # it has become shorter
            got += count
        return time.monotonic() - began, got
    finally:
        os.close(descriptor)


def _parts(done: Sequence[tuple[float, float, int]], began: float, ends: float, cpu_s: float) -> tuple[Part, ...]:
    """The reads by when they ended, in parts of equal time up to the trial's end; up to the last read where there are too
    few for those in flight at the end not to matter. CPU time is shared out by time."""
    if not done:
        return ()
    if sum(ended <= ends for ended, _, _ in done) < _ENOUGH:
        ends = done[-1][0]
    length = max(1e-9, (ends - began) / PARTS)
    counts, amounts = [0] * PARTS, [0] * PARTS
    for ended, _, size in done:
        if ended <= ends:
            place = min(PARTS - 1, int((ended - began) / length))
            counts[place] += 1
            amounts[place] += size
    return tuple(Part(length, count, amount, cpu_s / PARTS) for count, amount in zip(counts, amounts, strict=True))


def _cached(reads: Sequence[Read], readers: int, stop: Callable[[], bool]) -> StoreTrial | None:
    """The same reads from the page cache. None where they do not stay there."""
    room = min(CACHED_BYTES, machine.memory_bytes().get("MemAvailable", 0) // 4)
    kept: list[Read] = []
    until = time.monotonic() + CACHED_S
    buffer = memoryview(bytearray(_BUFFER_BYTES))
    for read in reads:
        if room < read.length or time.monotonic() > until or stop():
            break
        try:
            room -= _read(read, buffer, drop=False)[1]
        except OSError:
            continue
        kept.append(read)
    if len(kept) < readers:
        return None
    found = _trial(endlessly(kept), readers, CACHED_S, drop=False, stop=stop)
    return found if found.parts else None


def _device_bytes() -> int | None:
    """Bytes that this process had read from block devices so far."""
    try:
        with open("/proc/self/io", encoding="ascii") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("read_bytes")), None)
    except (OSError, ValueError):
        return None


def _refusal(error: OSError) -> NotPermitted | UnreadableInput:
    name = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else "the data"
    if isinstance(error, PermissionError):
        return NotPermitted(f"{name}: this user may not read it. Run as the user of the job.")
    return UnreadableInput(f"{name}: {error.strerror or error}, as of every file that was tried.")
