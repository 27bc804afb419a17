"""Watches a job: looks at its threads at random times, many times a second, and writes down what it sees."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mlscale.loaders.kind import on_stack
from mlscale.loaders.known import LOADERS
from mlscale.observe import proc
from mlscale.observe.around import Around
from mlscale.observe.find import Target
from mlscale.observe.gpu import Gpus
from mlscale.observe.header import header_of
from mlscale.observe.limits import Limits, read_limits
from mlscale.observe.pace import next_pace
from mlscale.observe.process import Watched, training_thread
from mlscale.observe.tree import Tree
from mlscale.recording import (
    Counter,
    Fact,
    GpuSample,
    Recorder,
    Recording,
    RecordingWriter,
    ThreadSample,
)

# Looks per tick of the rate. The training thread's time is what is to be explained; the workers' time on a CPU and in
# the run queue is known exactly from the kernel, and looks only divide the rest.
TRAINING_LOOKS = 1.5
WORKER_LOOKS = 0.5
# Where data is waited for most of the time, what the workers do is the question: then both are looked at each time. To wake up
# costs as much as a look, and a second look right after the first one half of that.
MOSTLY_WAITS, ENOUGH_LOOKS = 0.5, 40
# Beside workers, other threads of the training process seldom prepare data: one look of so many is at them.
OTHERS_EACH = 8
COUNTERS_EVERY_S = 2.0  # CPU seconds, bytes read and the like: they add up by themselves
GPU_EVERY_S = 0.25
FULL_TREE_EVERY_S = 5.0
LATE_S = 0.3e-3  # after its time, from which a look waited for a core: timers alone are 0.1 ms late
START_WAIT_S = 60.0  # for a job that is still starting
STARTED_AFTER_BATCHES = 3  # the first ones pay for start-up

_WAITS = tuple(place for kind in LOADERS for place in kind.waits)


@dataclass(frozen=True)
class Progress:
    """What is seen so far. `seen` holds figures by name: workers, batches, data_wait_fraction, gpu_busy_fraction."""

    elapsed_s: float
    steady_s: float
    duration_s: float
    phase: str  # "looking", "starting", "watching"
    seen: Mapping[str, float] = field(default_factory=dict)


class _Seen:
    """Counts for the progress line, kept as samples come."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.looks = self.data = 0
        self.batches: float | None = None
        self.first_batches: float | None = None
        self.gpu: dict[int, float] = {}
        self._is_data: dict[int, bool] = {}

    def add(self, sample: ThreadSample) -> None:
        if sample.stack is None:
            return
        stack = self.recorder.stacks[sample.stack]
        if len(stack) == 1 and stack[0].function != "<module>":
            return  # cut short: the thread went on meanwhile
        self.looks += 1
        known = self._is_data.get(sample.stack)
        if known is None:
            known = self._is_data[sample.stack] = on_stack(stack, _WAITS)
        self.data += known

    def figures(self, tree: Tree) -> dict[str, float]:
        found: dict[str, float] = {"workers": len(tree.of_role("worker"))}
        if self.looks >= 20:
            found["data_wait_fraction"] = self.data / self.looks
        if self.batches is not None and self.first_batches is not None:
            found["batches"] = self.batches - self.first_batches
        if self.gpu:
            found["gpu_busy_fraction"] = sum(self.gpu.values()) / len(self.gpu)
        return found


def watch(
    target: Target,
    *,
    duration_s: float = 30.0,
    rate_hz: float = 20.0,
    writer: RecordingWriter | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
    enough: Callable[[Recording], bool] | None = None,
) -> Recording:
    """Watches until `duration_s` of training were seen, the job ends, `stop` says so, or `enough` is content.

    `enough` is asked each 5 s from 15 s on. Never raises for what the job does: a job that ends is a recording that ends.
    """
    limits = read_limits(target.pid)
    recorder = Recorder(header_of(target, rate_hz, limits), writer)
    gpus = Gpus()
    tree = Tree(target.pid, recorder)
    gc.collect()
    gc.freeze()  # what is there stays: no need to walk over it again while watching
    try:
        return _Loop(target, tree, gpus, limits, recorder, duration_s, rate_hz).run(on_progress, stop, enough)
    finally:
        gpus.close()
        for process in tree.processes.values():
            process.close()


class _Loop:
    """The state of one watch."""

    def __init__(
        self,
        target: Target,
        tree: Tree,
        gpus: Gpus,
        limits: Limits,
        recorder: Recorder,
        duration_s: float,
        rate_hz: float,
    ) -> None:
        self.tree, self.gpus, self.recorder = tree, gpus, recorder
        self.around = Around(target.pid, tree, limits, recorder)
        self.root = target.pid
        self.duration_s, self.rate_hz = duration_s, rate_hz
        self.began = time.monotonic()
        self.started: float | None = None
        self.seen = _Seen(recorder)
        self.pace = 1.0  # looks are this much further apart than asked for
        self._workers: list[tuple[Watched, int]] = []  # the main threads of worker processes
        self._others: list[tuple[Watched, int]] = []  # Python threads of training processes that do not train
        self._training: list[Watched] = []
        self._turn = self._training_turn = self._worker_turn = self._other_turn = 0
        self._random = random.Random()
        self._cpu_before = time.thread_time()
        self._gpu_turn = 0
        self._lost: set[int] = set()
        self._iteration: dict[tuple[int, str], float] = {}
        self._next_counters = self._next_gpu = self._next_second = self._next_full = 0.0
        self._events_read = 0
        self._asked_at = 10.0

    def now(self) -> float:
        """Seconds since the watch began; to 0.1 ms, as recordings hold it."""
        return round(time.monotonic() - self.began, 4)

    def run(
        self,
        on_progress: Callable[[Progress], None] | None,
        stop: Callable[[], bool],
        enough: Callable[[Recording], bool] | None,
    ) -> Recording:
        for fact in self.gpus.facts():
            self.recorder.add(Fact(0.0, "gpu", fact))
        if self.gpus.reason:
            self.recorder.add(Fact(0.0, "no_gpu", {"reason": self.gpus.reason}))
        slot, late = 0.0, False
        ended = "duration"
        while True:
            now = self.now()
            if now >= self._next_second:
                self._each_second(now)
                if not proc.alive(self.root) or not self.tree.processes:
                    ended = "job exited"
                    break
                if on_progress is not None:
                    on_progress(self._progress(now))
                if stop():
                    ended = "interrupted"
                    break
                if self.started is not None and now - self.started >= self.duration_s:
                    break
                if self.started is None and now >= max(START_WAIT_S, self.duration_s):
                    break
                if enough is not None and self._ask(enough, now):
                    ended = "stable"
                    break
            if now >= self._next_gpu:
                self._next_gpu = now + GPU_EVERY_S
                self._look_at_gpu(now)
            self._look(self.now(), late)
            step = self.pace / (self.rate_hz * TRAINING_LOOKS)
            # One look in each slot, at a random place in it: steady in number, and never in step with the job. (Places
            # spread by the golden ratio err half as much, and far off for a job whose cycle resonates with them.)
            slot = max(slot + step, now)
            due = slot + self._random.random() * step
            pause = due - self.now()
            if pause > 0:
                time.sleep(pause)
            late = pause > 0 and self.now() > due + LATE_S
        if ended != "job exited":
            self.around.read(self.now(), training=self.started is not None)
        return self.recorder.finish(ended, self.now())

    def _each_second(self, now: float) -> None:
        self._next_second = now + 1.0
        full = now >= self._next_full
        if full:
            self._next_full = now + FULL_TREE_EVERY_S
        self.tree.update(now, full=full or self.started is None)
        for process in self.tree.processes.values():
            if process.role in ("training", "worker"):
                if full or self.started is None:
                    process.refresh()
                if process.role == "training" and (full or self.started is None):
                    process.main_tid = training_thread(process)
            process.waits.forget()
        self._training = self.tree.of_role("training")
        self._workers = [(process, process.pid) for process in self.tree.of_role("worker")]
        self._others = [(p, tid) for p in self._training for tid in p.tids if tid != p.main_tid]
        if now >= self._next_counters:
            self._next_counters = now + COUNTERS_EVERY_S - 0.5
            self.around.read(now, training=self.started is not None)
        self.around.notice_stores(now)
        self._follow_counters(now)
        self.recorder.flush()
        used = time.thread_time() - self._cpu_before
        self._cpu_before += used
        self.pace = next_pace(self.pace, used, full=self.around.full)

    def _look(self, now: float, late: bool) -> None:
        """One look at a training thread, or at a thread that prepares data, or both. `late`: it waited for a core."""
        waits = self.seen.looks >= ENOUGH_LOOKS and self.seen.data > MOSTLY_WAITS * self.seen.looks
        even = waits and bool(self._workers)
        if self._training:
            self._training_turn = (self._training_turn + 1) % len(self._training)
            process = self._training[self._training_turn]
            try:
                self.seen.add(process.look(process.main_tid, now, late=late))
            except ProcessLookupError:
                process.lost = True
        if (self._workers or self._others) and (even or self._random.random() * TRAINING_LOOKS <= WORKER_LOOKS):
            process, tid = self._next_preparing()
            try:
                process.look(tid, now, late=late)
            except ProcessLookupError:
                process.lost = process.lost or tid == process.pid

    def _next_preparing(self) -> tuple[Watched, int]:
        """Each in turn: workers, and now and then one of the other threads; without workers, those alone."""
        self._turn += 1
        if self._others and (not self._workers or self._turn % OTHERS_EACH == 0):
            self._other_turn = (self._other_turn + 1) % len(self._others)
            return self._others[self._other_turn]
        self._worker_turn = (self._worker_turn + 1) % len(self._workers)
        return self._workers[self._worker_turn]

    def _look_at_gpu(self, now: float) -> None:
        if not self.gpus.count:
            return
        index = self._gpu_turn % self.gpus.count
        self._gpu_turn += 1
        if index in self._lost:
            return
        values = self.gpus.sample(index)
        if "lost" in values:
            self._lost.add(index)
            self.recorder.add(Fact(now, "gpu_lost", {"index": index, "reason": values["lost"]}))
            return
        if "busy" in values:
            self.seen.gpu[index] = values["busy"]
        self.recorder.add(GpuSample(now, index, values))
        if self._gpu_turn <= self.gpus.count:
            self.recorder.add(Fact(now, "gpu_holders", {str(k): sorted(v) for k, v in self.gpus.holders().items()}))

    def _follow_counters(self, now: float) -> None:
        """Learns from the counters whether the loop runs: then the clock of the watch starts."""
        events = self.recorder.events
        moved = False
        for event in events[self._events_read :]:
            if isinstance(event, Counter) and event.name.startswith("yielded"):
                key = (event.pid, event.name)
                before = self._iteration.get(key)
                if before is None or event.value < before:
                    self._iteration[key] = event.value
                elif event.value > before:
                    self._iteration[key] = event.value
                    gained = event.value - before
                    self.seen.batches = (self.seen.batches or 0.0) + gained
                    moved = True
        self.seen.first_batches = 0.0 if self.seen.batches is not None else None
        self._events_read = len(events)
        if self.started is not None:
            return
        training = self.tree.of_role("training")
        counts = any(name.startswith("yielded") for _, name in self._iteration)
        if counts:
            if moved and (self.seen.batches or 0) >= STARTED_AFTER_BATCHES:
                self.started = now
        elif training and (any(p.unreadable for p in training) or self.seen.data or now >= 5):
            # No counter tells: a loader was seen at work, or nothing more can be known.
            self.started = now

    def _progress(self, now: float) -> Progress:
        phase = "looking" if not self.tree.of_role("training") else "starting" if self.started is None else "watching"
        steady = 0.0 if self.started is None else now - self.started
        return Progress(now, steady, self.duration_s, phase, self.seen.figures(self.tree))

    def _ask(self, enough: Callable[[Recording], bool], now: float) -> bool:
        if self.started is None or now - self.started < self._asked_at + 5:
            return False
        self._asked_at = now - self.started
        recorder = self.recorder
        so_far = Recording(
            recorder.header, tuple(recorder.stacks), tuple(recorder.events), "stable", now, tuple(recorder.warnings)
        )
        return enough(so_far)
