"""The recording: raw samples of one watch, as plain data. Written compactly, readable up to the byte where it was cut.

Format: a zlib stream of JSON lines, flushed once a second. The first line is the header; each further line is
`[tag, ...fields]` with the tags of `_TAGS`. Times are seconds since the watch began (CLOCK_MONOTONIC).
"""

from __future__ import annotations

import json
import os
import time
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, TypeAlias

from mlscale.errors import UnreadableInput

FORMAT = "mlscale-recording"
VERSION = 1
FLUSH_EVERY_S = 1.0  # at most this much is lost when the writer is killed

Json: TypeAlias = Any


@dataclass(frozen=True)
class StackFrame:
    """One Python frame. `function` is the qualified name where the interpreter has it."""

    function: str
    filename: str
    line: int | None


Stack: TypeAlias = tuple[StackFrame, ...]  # leaf first


class ThreadSample(NamedTuple):
    """One look at one thread. `target` is what a blocked thread waits on: "file:/p", "socket:1.2.3.4:80", "pipe"."""

    t: float
    pid: int
    tid: int
    state: str  # R, S, D, T, Z of proc(5)
    cpu_ns: int | None  # cumulative, from schedstat
    queue_ns: int | None  # cumulative run-queue wait
    syscall: int | None  # number; -1: blocked outside a system call (a page fault); None: running or unreadable
    target: str | None
    stack: int | None  # index into Recording.stacks; None: not read
    moved: bool | None = (
        None  # the interpreter went on between two reads of the stack: Python runs, not one long C call
    )
    at_edge: bool = False  # the leaf is where the loop turns to the next batch
    turns: int | None = None  # cumulative, from schedstat: how often it was given a core
    late: bool = False  # the look waited for a core: it saw what came after the moment that chance had chosen


class ProcessSample(NamedTuple):
    """Cumulative counters of one process: CPU seconds of all threads, /proc/PID/io, faults."""

    t: float
    pid: int
    cpu_s: float
    system_s: float
    read_chars: int | None  # rchar
    read_calls: int | None  # syscr
    read_bytes: int | None
    major_faults: int
    threads: int
    rss_bytes: int


class Counter(NamedTuple):
    """A progress counter inside a process, such as "batches" yielded to the loop or a worker's batch number."""

    t: float
    pid: int
    name: str
    value: float


class ProcessSeen(NamedTuple):
    """A process of the job. `role`: training, worker, or helper (neither). `command` is redacted."""

    t: float
    pid: int
    parent: int
    role: str
    command: str
    facts: Mapping[str, Json]


class ProcessGone(NamedTuple):
    """A process that ended."""

    t: float
    pid: int


class MachineSample(NamedTuple):
    """Once a second: CPU times, quota counters, pressure, memory, per-device counters. Keys as the kernel names them."""

    t: float
    values: Mapping[str, Json]


class GpuSample(NamedTuple):
    """One look at one GPU through NVML. Keys are absent where the driver has no answer."""

    t: float
    gpu: int
    values: Mapping[str, Json]


MOMENT_S = (
    0.005  # until an answer on its way is looked at once more: a tick of the kernel's clock (4 ms, CONFIG_HZ=250)
)


class ConnectionSample(NamedTuple):
    """A TCP connection at the moment when a thread was seen to wait for it. `target` as in ThreadSample."""

    t: float
    pid: int
    inode: int
    target: str
    sent_ms: int  # since data last went out: the request
    received_ms: int  # since data last came in
    round_trip_s: float
    received_bytes: int  # so far
    gained_bytes: int | None = None  # of the same answer, `moment_s` later; None: not looked for, or it ended
    moment_s: float = MOMENT_S


def is_coming_in(sent_ms: float, received_ms: float) -> bool:
    """Whether an answer is on its way, by the time since its request and since data last came in. What came in at once after
    the request, and nothing since, is a header: the answer is still to come."""
    return received_ms < sent_ms / 2


class Fact(NamedTuple):
    """Something found once: `name` is its kind ("store", "loader", "gpu", "limit", "image", "denied", ...)."""

    t: float
    name: str
    values: Mapping[str, Json]


Event: TypeAlias = (
    ThreadSample
    | ProcessSample
    | Counter
    | ProcessSeen
    | ProcessGone
    | MachineSample
    | GpuSample
    | ConnectionSample
    | Fact
)
_TAGS: dict[str, type[Any]] = {
    "s": ThreadSample,
    "p": ProcessSample,
    "c": Counter,
    "+": ProcessSeen,
    "-": ProcessGone,
    "m": MachineSample,
    "g": GpuSample,
    "n": ConnectionSample,
    "f": Fact,
}
_TAG_OF = {kind: tag for tag, kind in _TAGS.items()}


@dataclass(frozen=True)
class Recording:
    """All that was seen. `ended`: duration, stable, job exited, interrupted, or recording ends (cut off)."""

    header: Mapping[str, Json]
    stacks: tuple[Stack, ...]
    events: tuple[Event, ...]
    ended: str
    observed_s: float
    warnings: tuple[str, ...] = ()


class Recorder:
    """Collects events in memory and, when given a writer, on disk as they come. Interns stacks."""

    def __init__(self, header: Mapping[str, Json], writer: RecordingWriter | None = None) -> None:
        self.header = dict(header)
        self.stacks: list[Stack] = []
        self.events: list[Event] = []
        self.warnings: list[str] = []
        self._ids: dict[Stack, int] = {}
        self._writer = writer
        self._pending: list[Event | str] = []
        self._write(json.dumps({"format": FORMAT, "version": VERSION, **self.header}))

    def stack(self, frames: Stack) -> int:
        """The number of a stack, given one on first sight."""
        known = self._ids.get(frames)
        if known is None:
            known = self._ids[frames] = len(self.stacks)
            self.stacks.append(frames)
            if self._writer is not None:
                self._pending.append(json.dumps(["k", [[f.function, f.filename, f.line] for f in frames]]))
        return known

    def add(self, event: Event) -> None:
        """Appends an event. Its time is rounded by the caller, so that a replay gives the same report."""
        self.events.append(event)
        if self._writer is not None:
            self._pending.append(event)

    def flush(self) -> None:
        """Writes what was added since the last time: once a second, for one long write costs far less than many."""
        if self._pending:
            pending, self._pending = self._pending, []
            self._write("\n".join(line if isinstance(line, str) else line_of(line) for line in pending))

    def finish(self, ended: str, observed_s: float) -> Recording:
        """Closes the stream with the reason and gives the recording."""
        observed_s = round(observed_s, 4)
        self.flush()
        self._write(json.dumps(["e", ended, observed_s, self.warnings]))
        return Recording(self.header, tuple(self.stacks), tuple(self.events), ended, observed_s, tuple(self.warnings))

    def _write(self, line: str) -> None:
        if self._writer is None:
            return
        try:
            self._writer.write(line)
        except OSError as error:
            # A full disk must not cost the user the diagnosis.
            self._writer = None
            self.warnings.append(f"The recording stops here: {error.strerror or error}. The watch went on without it.")


def line_of(event: Event) -> str:
    """An event as it stands in the file."""
    return json.dumps([_TAG_OF[type(event)], *event], default=str, separators=(",", ":"))


class RecordingWriter:
    """Writes a recording to `path`. A context manager. Raises OSError where the path cannot be opened."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file: IO[bytes] = open(self.path, "wb")
        self._zip = zlib.compressobj(6)
        self._flushed_at = time.monotonic()

    def write(self, line: str) -> None:
        """Adds one line, or several; they reach the disk within a second."""
        self._file.write(self._zip.compress(line.encode() + b"\n"))
        now = time.monotonic()
        if now - self._flushed_at >= FLUSH_EVERY_S:
            self._flushed_at = now
            self._file.write(self._zip.flush(zlib.Z_SYNC_FLUSH))
            self._file.flush()

    def close(self) -> None:
        """Ends the stream. A full disk here loses at most the last second."""
        try:
            self._file.write(self._zip.flush(zlib.Z_FINISH))
            self._file.close()
        except OSError:
            # What was flushed before is readable; the watch already holds everything in memory.
            self._file = open(os.devnull, "wb")

    def __enter__(self) -> RecordingWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read(path: str | os.PathLike[str]) -> Recording:
    """The recording in `path`, up to where it was cut. Raises UnreadableInput where nothing of it can be used."""
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise UnreadableInput(
            f"{path}: {error.strerror}. Name a file written by `mlscale diagnose --record`."
        ) from None
    if not raw:
        raise UnreadableInput(f"{path}: the file is empty. Record again with `mlscale diagnose --record FILE`.")
    lines, cut = _inflate(raw)
    header = _header(path, next(lines, None))
    stacks: list[Stack] = []
    events: list[Event] = []
    ended, observed_s, warnings = "recording ends", 0.0, []
    for line in lines:
        try:
            tag, *fields = json.loads(line)
            if tag == "k":
                stacks.append(tuple(StackFrame(*frame) for frame in fields[0]))
            elif tag == "e":
                ended, observed_s, warnings = fields[0], fields[1], list(fields[2])
            elif tag in _TAGS:
                event: Event = _TAGS[tag](*fields)
                if isinstance(event, ThreadSample) and event.stack is not None and event.stack >= len(stacks):
                    raise ValueError("a stack that was never defined")
                events.append(event)
            # Tags from a newer mlscale are passed over: the rest still tells the truth.
        except (ValueError, TypeError, IndexError):
            cut = True
            break
    if ended == "recording ends":
        observed_s = max((event.t for event in events), default=0.0)
        cut = True
    if cut:
        warnings.append(f"{Path(path).name} was cut off; what it holds up to {observed_s:.1f} s was used.")
    if not events:
        raise UnreadableInput(f"{path}: the recording holds no samples. Record again, for at least a few seconds.")
    return Recording(header, tuple(stacks), tuple(events), ended, observed_s, tuple(warnings))


def _inflate(raw: bytes) -> tuple[Iterator[str], bool]:
    """The lines of a zlib stream, and whether it ends before its time."""
    unzip = zlib.decompressobj()
    text = b""
    cut = False
    try:
        text = unzip.decompress(raw) + unzip.flush()
        cut = not unzip.eof
    except zlib.error:
        # A damaged byte: give what comes out before it.
        unzip, cut = zlib.decompressobj(), True
        for start in range(0, len(raw), 4096):
            try:
                text += unzip.decompress(raw[start : start + 4096])
            except zlib.error:
                break
    lines = text.split(b"\n")
    if cut and lines:
        lines.pop()  # an unfinished line
    return (line.decode("utf-8", "replace") for line in lines if line), cut


def _header(path: str | os.PathLike[str], line: str | None) -> dict[str, Json]:
    try:
        header = json.loads(line or "")
        if header["format"] != FORMAT:
            raise KeyError
    except (ValueError, KeyError, TypeError):
        raise UnreadableInput(
            f"{path}: not a recording of mlscale. Name a file written by `mlscale diagnose --record FILE`."
        ) from None
    if header.get("version") != VERSION:
        raise UnreadableInput(
            f"{path}: recording version {header.get('version')!r}; this mlscale reads version {VERSION}. "
            "Replay it with the mlscale that wrote it."
        )
    return dict(header)
