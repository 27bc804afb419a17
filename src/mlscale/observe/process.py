"""One process of the job under watch: its threads' states, waits and stacks, and the counters in its memory."""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from mlscale.loaders.kind import SamplesIn, on_stack
from mlscale.loaders.known import LOADERS
from mlscale.observe import proc
from mlscale.observe.batches import Batches
from mlscale.observe.images import Images
from mlscale.observe.peers import Peers
from mlscale.observe.python.memory import Unreadable
from mlscale.observe.python.reader import Frame, Interpreter, Place
from mlscale.observe.samples import Samples
from mlscale.observe.waits import Waits
from mlscale.recording import ConnectionSample, Counter, Fact, Recorder, Stack, StackFrame, ThreadSample

_WAITS = tuple(place for kind in LOADERS for place in kind.waits)
_LOOP_WAITS = tuple(place for kind in LOADERS for place in kind.waits if kind.worker_kind != "thread")
_HELPERS = tuple(place for kind in LOADERS for place in kind.helpers)
_STEPS = ("/torch/nn/", "/torch/optim/", "/torch/autograd/")
_STARTS = tuple(place for kind in LOADERS for place in kind.starts)
_SAMPLES = tuple(place for kind in LOADERS for place in kind.samples)
_WORKER_COUNT_EVERY_S = 1.0
_SCHEDULE_EVERY_S = 0.5
_SAME_S = 0.5  # for which a blocked thread's stack is taken for the same, when its place and its wait are
_MAX_FRAMES = 64
_TRIES = 3
# Calls at the loop's edge: letting a batch go, or waiting for the interpreter lock. A sleep is a call of the loop's own.
_AT_EDGE = proc.FREES | proc.FUTEX
_EDGE_BYTES = 32  # of bytecode after asking for a batch: unpacking it and storing its parts, which frees the last one
_INNER_THREADS = 8  # of a worker that waits for threads of its own


# What the last look at a wait found, and until when it is taken for the same: system call, stack, target, codes, frames, inode.
_Same: TypeAlias = tuple[float, int, int | None, str | None, tuple[int, ...], list[int], str | None]


@dataclass(frozen=True)
class _Places:
    """Depths in a stack of the functions whose locals are read; None where they are not on it."""

    next: int | None
    wait: int | None  # the outermost function of a loader, by which the loop waits
    worker_loop: int | None
    samples: tuple[int, SamplesIn] | None  # the loop's own loader collects them there
    resize: int | None
    leaf_is_queue: bool
    starts: bool  # the loader builds or ends its iterator


_NOWHERE = _Places(None, None, None, None, None, False, False)


def _depth(frames: list[Frame], function: str, file: str) -> int | None:
    for depth, frame in enumerate(frames):
        if frame.function.rpartition(".")[2] == function and frame.filename.endswith(file):
            return depth
    return None


class Watched:
    """A process under watch. `role`: training, worker, helper; None until its Python can be read."""

    def __init__(self, pid: int, parent: int, recorder: Recorder, peers: Peers | None = None) -> None:
        self.pid, self.parent = pid, parent
        self.role: str | None = None
        self.starts_workers = False  # a fork server
        self.command = proc.command_line(pid)
        self.interpreter: Interpreter | None = None
        self.unreadable: str | None = None
        self.tids: dict[int, int] = {}  # Python threads: id -> thread state
        self.main_tid = pid
        self.trained: Counted[int] = Counted()  # thread -> how often it was seen to train
        self.lost = False  # a look found it gone
        self.waits = Waits(pid, peers)
        self._recorder = recorder
        self._files: dict[int, proc.ThreadFiles] = {}
        self._ids: dict[tuple[int, ...], int] = {}
        self._leaves: set[int] = set()  # innermost codes of the stacks that are known
        self._places: dict[int, _Places] = {}
        self._same: dict[object, _Same] = {}
        self._counted_at = self._learned_at = -10.0
        self._edges: dict[int, int] = {}  # frame -> the instruction at which it asked for a batch
        self._batches: Batches | None = None
        self._samples: Samples | None = None
        self._images: Images | None = None
        self._worker_batch: int | None = None
        self.refused = 0  # times in a row that its Python could not be read

    def attach(self) -> None:
        """Finds its Python, if that can be read; safe to call again while it starts."""
        if self.interpreter is not None:
            return
        try:
            self.interpreter = Interpreter(self.pid)
            self._batches = Batches(self.pid, self.interpreter, self._recorder)
            self._samples = Samples(self.pid, self.interpreter, self._recorder)
            self._images = Images(self.interpreter, self._recorder)
            self.unreadable, self.refused = None, 0
        except Unreadable as error:
            self.unreadable, self.refused = str(error), self.refused + 1
        # A child that had not become its program had its parent's. Asked last: an older memory then has no frames to read.
        self.command = proc.command_line(self.pid)
        self.refresh()

    def detach(self) -> None:
        """Forgets its Python: it becomes another program, and the memory that was opened is not that one's."""
        if self.interpreter is not None:
            self.interpreter.close()
        self.interpreter = self._batches = self._samples = self._images = None
        self.tids = {}

    def refresh(self) -> None:
        """Looks for new Python threads."""
        if self.interpreter is not None:
            self.tids = self.interpreter.threads()
        alive = set(proc.threads_of(self.pid))
        for tid in [tid for tid, files in self._files.items() if files.pid != self.pid or tid not in alive]:
            self._files.pop(tid).close()

    def frames(self, tid: int) -> list[Frame]:
        """Python frames of a thread, leaf first."""
        if self.interpreter is None or tid not in self.tids:
            return []
        return self.interpreter.stack(self.tids[tid], _MAX_FRAMES)

    def look(self, tid: int, t: float, *, late: bool = False) -> ThreadSample:
        """One look at a thread, recorded; `late`: it waited for a core. Raises ProcessLookupError when it is gone."""
        files = self._files.get(tid)
        if files is None:
            files = self._files[tid] = proc.ThreadFiles(self.pid, tid)
        interpreter, thread = self.interpreter, self.tids.get(tid)
        wait = files.wait()
        place = interpreter.place(thread) if interpreter is not None and thread is not None else None
        cpu_ns = queue_ns = turns = None
        if t - files.read_at >= _SCHEDULE_EVERY_S:  # running totals: they need no look of their own
            files.read_at = t
            cpu_ns, queue_ns, turns = files.schedule()
        # The same call from the same instruction of the same frame, a moment later: the same stack and the same wait.
        key = (tid, wait, place)
        known = self._same.get(key)
        if known is not None and t < known[0]:
            _, number, stack, target, codes, addresses, inode = known
            edge = number in _AT_EDGE and bool(addresses) and self._at_edge(addresses[0], place)
            sample = ThreadSample(
                t, self.pid, tid, "S", cpu_ns, queue_ns, number, target, stack, None, edge, turns, late
            )
        else:
            state, call = files.state_and_call(wait)
            codes, addresses = (), []
            stack = moved = target = inode = None
            if interpreter is not None and thread is not None:
                codes, addresses = self._walk(thread, place, state)
                stack = self._ids.get(codes)
                if stack is None and codes:
                    stack = self._intern(codes)
                if state == "R" and place is not None:
                    # The walk took some 50 microseconds: bytecode moves on within one.
                    moved = interpreter.place(thread) != place
            if call is not None:
                target = self.waits.target(call, interpreter.read if interpreter else None)
                if target in ("futex", "pipe") and self.role == "worker" and tid == self.main_tid:
                    target = self._inner(target, stack) or target
                elif state == "S" and place is not None:
                    if len(self._same) > 64:
                        self._same.clear()
                    self._same[key] = (t + _SAME_S, call[0], stack, target, codes, addresses, self.waits.inode)
                inode = self.waits.inode
            edge = bool(addresses) and self._at_edge(addresses[0], place)
            edge = edge and (state == "R" or (call is not None and call[0] in _AT_EDGE))
            sample = ThreadSample(
                t,
                self.pid,
                tid,
                state,
                cpu_ns,
                queue_ns,
                call[0] if call else None,
                target,
                stack,
                moved,
                edge,
                turns,
                late,
            )
        self._recorder.add(sample)
        if inode is not None and target is not None:
            self._connection(t, inode, target, lambda: (files.wait() or b"").split()[:1] == (wait or b"").split()[:1])
        if stack is not None and tid == self.main_tid:
            self._read_locals(self._places[stack] if addresses else _NOWHERE, codes if addresses else (), addresses, t)
        return sample

    def _connection(self, t: float, inode: str, target: str, still: Callable[[], bool]) -> None:
        """Records how far the answer is that a thread waits for. `still`: whether it waits in the same call."""
        connections = self.waits.peers.connections
        found = connections.of(inode)
        if found is not None:
            gained_bytes, moment_s = connections.gained(inode, found, still)
            self._recorder.add(
                ConnectionSample(
                    t,
                    self.pid,
                    int(inode),
                    target,
                    found.sent_ms,
                    found.received_ms,
                    found.round_trip_s,
                    found.received_bytes,
                    gained_bytes,
                    moment_s,
                )
            )

    def _walk(self, thread: int, place: Place | None, state: str) -> tuple[tuple[int, ...], list[int]]:
        """Codes and frames of a thread, leaf first. Of one that went on meanwhile, the innermost code alone, and no frames.

        Trying again until a whole stack comes out would favour what runs for long without a call.
        """
        interpreter = self.interpreter
        assert interpreter is not None
        if state == "R" and place is not None:
            codes, addresses = interpreter.walk(thread, _MAX_FRAMES)
            if (codes and codes[0] == place.code) or not interpreter.knows(place.code):
                return codes, addresses
            if codes and place.code not in self._leaves:  # who calls it, for all the looks that cannot tell
                again, _ = interpreter.walk(thread, _MAX_FRAMES)
                for whole in (codes, again):
                    if whole and whole not in self._ids:
                        self._intern(whole)
            return (place.code,), []
        leaf = place.frame if place is not None else 0
        for attempt in range(_TRIES):
            codes, addresses = interpreter.walk(thread, _MAX_FRAMES, 0 if attempt else leaf)
            if codes:
                return codes, addresses
        return (), []

    def _at_edge(self, leaf: int, place: Place | None) -> bool:
        """Whether a thread's leaf is where its loop turns to the next batch: it takes it, or lets go of the last one."""
        known = self._edges.get(leaf)
        if known is None or place is None:
            return False
        return 0 <= place.instruction - known <= _EDGE_BYTES

    def _learn_edges(self, addresses: list[int], wait: int) -> None:
        """Remembers where the callers of a loader's waiting function are: the edges of the loop over batches."""
        assert self.interpreter is not None
        callers = addresses[wait + 1 : wait + 4]
        found = {address: self.interpreter.instruction(address) for address in callers}
        _, now = self.interpreter.walk(self.tids[self.main_tid], _MAX_FRAMES)
        if now[len(now) - len(addresses) + wait :] != addresses[wait:]:
            return  # the loop has gone on meanwhile: what was read is the instruction of something else
        self._edges = {address: instruction for address, instruction in found.items() if instruction is not None}

    def _read_locals(self, places: _Places, codes: tuple[int, ...], addresses: list[int], t: float) -> None:
        """Counters and sizes from the frames that were just seen, each at its own pace."""
        if self.role == "training":
            if places.wait is not None and t - self._learned_at >= _SAME_S:
                self._learned_at = t
                self._learn_edges(addresses, places.wait)
            if self._batches is not None and not places.starts:  # attributes move while an iterator is built
                self._batches.look(codes, addresses, places.next, t)
            if self._samples is not None and places.samples is not None:
                depth, kind = places.samples
                self._samples.look(self._frame(codes, addresses, depth), kind, t)
        elif places.worker_loop is not None and t - self._counted_at >= _WORKER_COUNT_EVERY_S:
            self._counted_at = t
            self._count_worker(self._frame(codes, addresses, places.worker_loop), t)
        if places.resize is not None and self._images is not None:
            self._images.look(codes[places.resize :], addresses[places.resize :], t)

    def _frame(self, codes: tuple[int, ...], addresses: list[int], depth: int) -> Frame:
        assert self.interpreter is not None
        return self.interpreter.frame(codes[depth], addresses[depth])

    def _inner(self, target: str, stack: int | None) -> str | None:
        """What is done meanwhile by the threads, or by the programs at the other end of a pipe, that a worker waits for.

        "running", or what one of them waits for in a store; None where this tells nothing, as for the loader's queues.
        """
        if stack is None or self._places[stack].leaf_is_queue:
            return None
        if target == "pipe":
            waiters = [(child, child) for child in proc.main_children_of(self.pid)]
        else:
            waiters = [(self.pid, tid) for tid in proc.threads_of(self.pid) if tid != self.main_tid]
        for pid, tid in waiters[:_INNER_THREADS]:
            try:
                files = self._files.get(tid)
                if files is None:
                    files = self._files[tid] = proc.ThreadFiles(pid, tid)
                state, call = files.state_and_call(files.wait())
                if state == "R":
                    return "running"
                waits = self.waits if pid == self.pid else Waits(pid, self.waits.peers)
                found = waits.target(call, None) if call else None
                if found and found.startswith(("file:", "socket:", "fault:")):
                    self.waits.inode = waits.inode
                    self.waits.remote |= waits.remote
                    return found
            except ProcessLookupError:
                continue
        return None

    def _intern(self, codes: tuple[int, ...]) -> int:
        assert self.interpreter is not None
        frames = [self.interpreter.frame(code) for code in codes]
        known = self._ids[codes] = self._recorder.stack(stack_of(frames))
        if len(codes) > 1:
            self._leaves.add(codes[0])
        self._places[known] = _Places(
            _depth(frames, "__next__", "utils/data/dataloader.py"),
            max((d for d, f in enumerate(frames) if on_stack((_plain(f),), _WAITS)), default=None),
            _depth(frames, "_worker_loop", "utils/data/_utils/worker.py"),
            next(((d, p) for d, f in enumerate(frames) for p in _SAMPLES if p.where.matches(_plain(f))), None),
            _depth(frames[:4], "resize", "PIL/Image.py"),
            # The leaf is the connection's own code; the queue is a few frames above it.
            any(frame.filename.endswith("multiprocessing/queues.py") for frame in frames[:6]),
            on_stack(tuple(map(_plain, frames)), _STARTS),
        )
        return known

    def _count_worker(self, loop: Frame, t: float) -> None:
        """Records a PyTorch worker's batch number and the length of its index list, from locals of `_worker_loop`."""
        interpreter = self.interpreter
        if interpreter is None:
            return
        number = interpreter.int_at(interpreter.local(loop, "idx"))
        if number is not None and number >= 0:
            self._recorder.add(Counter(t, self.pid, "idx", number))
        size = interpreter.len_at(interpreter.local(loop, "index"))
        if size and size != self._worker_batch:
            self._worker_batch = size
            facts = {
                "pid": self.pid,
                "batch": size,
                "workers": interpreter.int_at(interpreter.local(loop, "num_workers")),
                "worker_id": interpreter.int_at(interpreter.local(loop, "worker_id")),
            }
            self._recorder.add(Fact(t, "loader_worker", facts))

    def close(self) -> None:
        """Gives all descriptors back."""
        for files in self._files.values():
            files.close()
        self._files.clear()
        if self.interpreter is not None:
            self.interpreter.close()


def _plain(frame: Frame) -> StackFrame:
    return StackFrame(frame.function, frame.filename, frame.line)


def stack_of(frames: list[Frame]) -> Stack:
    """Frames as they are recorded."""
    return tuple(_plain(frame) for frame in frames)


def training_thread(process: Watched) -> int:
    """The thread that trains: the one that was most often seen in a loader's `__next__` or in torch; the main one unless another.

    The main thread of a real GPU's loop is often in neither; and a thread that pins batches waits for workers all the time.
    """
    if _trains(stack_of(process.frames(process.pid))):
        process.trained[process.pid] += 1
    else:
        others = (tid for tid in process.tids if tid != process.pid)
        process.trained.update(next(([tid] for tid in others if _trains(stack_of(process.frames(tid)))), []))
    seen = {tid: times for tid, times in process.trained.items() if tid in process.tids}
    if not seen:
        return process.main_tid if process.main_tid in process.tids or not process.tids else process.pid
    return max(seen, key=lambda tid: (seen[tid], tid == process.pid))


def _trains(stack: Stack) -> bool:
    """Whether a thread waits for batches, or is in the model, its gradients, or the optimizer."""
    if on_stack(stack, _HELPERS):
        return False
    return on_stack(stack, _LOOP_WAITS) or any(part in frame.filename for frame in stack for part in _STEPS)
