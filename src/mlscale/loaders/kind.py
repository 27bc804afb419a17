"""What is known of one data loader: by which functions on a stack its threads betray what they do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mlscale.recording import Stack, StackFrame


@dataclass(frozen=True)
class Where:
    """A function: `name` is its last part ("get") or qualified ("Queue.get", from Python 3.11 on); `file` the path's end."""

    name: str
    file: str

    def matches(self, frame: StackFrame) -> bool:
        """Whether a frame is this function. A qualified name also matches the bare one that Python 3.10 gives."""
        if not frame.filename.endswith(self.file):
            return False
        return self.name in ("*", frame.function) or frame.function.rpartition(".")[2] == self.name.rpartition(".")[2]


@dataclass(frozen=True)
class SamplesIn:
    """A function that collects the samples of a batch: in which of its variables, and which one holds their number."""

    where: Where
    local: str
    batch: str | None = None


@dataclass(frozen=True)
class LoaderKind:
    """One data loader. The order of checks is the order of the fields; the first that is on a stack decides."""

    id: str
    label: str
    worker_kind: Literal["process", "thread", "inline"]
    # On the training thread: it waits for data, or prepares it.
    waits: tuple[Where, ...]
    # On the training thread, within `waits`: a batch is there, and is taken over from its worker.
    takes_over: tuple[Where, ...] = ()
    # On the training thread: the loader starts or ends its workers.
    starts: tuple[Where, ...] = ()
    # Threads of the loader beside the training thread that only pass batches on: they wait for data, and never train.
    helpers: tuple[Where, ...] = ()
    # At the root of a worker: this is one of the loader's.
    worker_roots: tuple[Where, ...] = ()
    # On a worker: it hands a batch over; it has nothing to do; it prepares data.
    worker_hand_over: tuple[Where, ...] = ()
    worker_idle: tuple[Where, ...] = ()
    worker_prepares: tuple[Where, ...] = ()
    # Names (comm) of native threads that prepare data.
    native_threads: tuple[str, ...] = ()
    # Types whose instances count what they gave to the loop, and the attribute that counts.
    iterators: tuple[str, ...] = ()
    counter: str = ""
    # Where the samples of a batch are, on the training thread.
    samples: tuple[SamplesIn, ...] = ()
    # The change that gives it more threads, where its pipeline is not Python's.
    more_threads: str = ""


def on_stack(stack: Stack, places: tuple[Where, ...]) -> bool:
    """Whether any of these functions is on a stack."""
    return any(place.matches(frame) for frame in stack for place in places)


def depth_of(stack: Stack, places: tuple[Where, ...]) -> int | None:
    """How far from the leaf the first of these functions is; None where none is on the stack."""
    for depth, frame in enumerate(stack):
        if any(place.matches(frame) for place in places):
            return depth
    return None
