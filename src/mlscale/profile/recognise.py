"""Who is who in a recording: the training processes and their threads, the workers, the loader, the framework. Pure."""

from __future__ import annotations

import re
from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlscale.loaders.kind import LoaderKind, Where, on_stack
from mlscale.loaders.known import LOADERS
from mlscale.loaders.own import OWN
from mlscale.loaders.processes import PROCESSES
from mlscale.loaders.pytorch import PYTORCH
from mlscale.loaders.threads import THREADS
from mlscale.profile.activity import waits_for_the_interpreter
from mlscale.profile.job import Loader
from mlscale.recording import Fact, ProcessSeen, Recording, ThreadSample


@dataclass(frozen=True)
class Roles:
    """Process ids by role: training in the order of ranks, workers, and everyone of the job."""

    training: tuple[int, ...]
    workers: tuple[int, ...]
    everyone: tuple[int, ...]


def roles_of(recording: Recording) -> Roles:
    """Who trains, and who prepares data."""
    training_pids: list[int] = []
    worker_pids: list[int] = []
    everyone: list[int] = []
    for event in recording.events:
        if isinstance(event, ProcessSeen):
            everyone.append(event.pid)
            if event.role == "training":
                training_pids.append(event.pid)
            elif event.role == "worker":
                worker_pids.append(event.pid)
    ranked = sorted(training_pids, key=lambda pid: _rank_key(recording, pid))
    return Roles(tuple(ranked), tuple(worker_pids), tuple(everyone))


def _rank_key(recording: Recording, pid: int) -> tuple[int, int]:
    for event in recording.events:
        if isinstance(event, ProcessSeen) and event.pid == pid:
            rank = event.facts.get("rank")
            return (rank if isinstance(rank, int) else 1 << 20), pid
    return 1 << 20, pid


_PUTS = (Where("Queue.put", "/queue.py"),)
MOSTLY_FEEDS = 0.97  # of its looks: the rest are torn stacks and the moments between taking and putting
LOCKED = 0.05  # of the loop's looks: below, the lock costs less than any verdict asks for (WAIT_LARGEST, 7 %)
SOME_LOOKS = 20  # at either thread, from which their shares say anything


def training_tids(
    recording: Recording, roles: Roles, by_thread: Mapping[tuple[int, int], Sequence[ThreadSample]]
) -> dict[int, tuple[int, int]]:
    """Training process -> (pid, tid) of its training thread: the one that was looked at most.

    Unless that one only takes batches from the loader and puts them into a queue, from which the main thread takes them
    (prefetch_generator and the like): then the main thread trains.
    """
    found = {}
    for pid in roles.training:
        own = [(len(samples), key) for key, samples in by_thread.items() if key[0] == pid]
        if own:
            found[pid] = max(own)[1]
            main = (pid, pid)
            if found[pid] != main and main in by_thread and _feeds(recording, by_thread[found[pid]], by_thread[main]):
                found[pid] = main
    return found


def _feeds(recording: Recording, feeder: Sequence[ThreadSample], main: Sequence[ThreadSample]) -> bool:
    """Whether a thread does nothing but iterate and put, and the main thread takes from a queue, and does something else."""

    def share(samples: Sequence[ThreadSample], places: tuple[Where, ...]) -> float:
        stacks = [recording.stacks[sample.stack] for sample in samples if sample.stack is not None]
        if len(stacks) < SOME_LOOKS:
            return 0.0
        return sum(on_stack(stack, places) for stack in stacks) / len(stacks)

    loads = tuple(place for kind in LOADERS for place in kind.waits if kind.worker_kind != "thread")
    takes = share(main, THREADS.waits)
    return share(feeder, loads + _PUTS) >= MOSTLY_FEEDS and share(feeder, loads) > 0 and 0 < takes < 1


def loader_of(
    recording: Recording,
    roles: Roles,
    main: Mapping[int, tuple[int, int]],
    by_thread: Mapping[tuple[int, int], Sequence[ThreadSample]],
) -> tuple[LoaderKind | None, Loader | None]:
    """Which loader feeds the job, as its iterator, its workers and its stacks show it."""
    iterators = [e.values for e in recording.events if isinstance(e, Fact) and e.name == "iterator"]
    own_workers = [e.values for e in recording.events if isinstance(e, Fact) and e.name == "loader_worker"]
    spawned = [
        bool(e.facts.get("spawned")) for e in recording.events if isinstance(e, ProcessSeen) and e.role == "worker"
    ]
    method = ("spawn" if any(spawned) else "fork") if spawned else None
    if iterators or own_workers:
        facts = iterators[0] if iterators else {}
        # One that was still being built tells little: the next of the same data is as good.
        alike = [one for one in iterators if one.get("dataset") == facts.get("dataset")]
        facts = next((one for one in alike if one.get("batch_size")), facts)
        count = facts.get("workers")
        if count is None:
            count = max((w["workers"] for w in own_workers if w.get("workers")), default=len(roles.workers))
        batch = facts.get("batch_size") or max((w["batch"] for w in own_workers), default=None)
        label = PYTORCH.label
        return PYTORCH, Loader(
            PYTORCH.id,
            label,
            "process" if count else "inline",
            int(count),
            batch_size=int(batch) if batch else None,
            prefetch_factor=facts.get("prefetch_factor"),
            start_method=method if count else None,
            persistent_workers=facts.get("persistent"),
        )
    tally: Tally[str] = Tally()
    for key in main.values():
        for sample in by_thread.get(key, []):
            if sample.stack is not None:
                for kind in LOADERS:
                    if on_stack(recording.stacks[sample.stack], kind.waits):
                        tally[kind.id] += 1
                        break
    by_id = {kind.id: kind for kind in LOADERS}
    if PYTORCH.id in tally or (roles.workers and not tally):
        count = len(set(roles.workers)) if method else 0
        return PYTORCH, Loader(PYTORCH.id, PYTORCH.label, "process" if count else "inline", count, start_method=method)
    if roles.workers:
        return PROCESSES, Loader(PROCESSES.id, PROCESSES.label, "process", len(roles.workers), start_method=method)
    if not tally:
        seen = {sample.stack for key in main.values() for sample in by_thread.get(key, []) if sample.stack is not None}
        if any(on_stack(recording.stacks[stack], OWN.waits) for stack in seen):
            return OWN, Loader(OWN.id, OWN.label, OWN.worker_kind, 0)
        if _threads_feed(recording, main, by_thread):
            return THREADS, Loader(THREADS.id, THREADS.label, THREADS.worker_kind, 0)
        return None, None
    kind = by_id[tally.most_common(1)[0][0]]
    if kind is PROCESSES:
        kind = THREADS  # the same waits, without processes: a pool of threads
    return kind, Loader(kind.id, kind.label, kind.worker_kind, 0)


def _threads_feed(
    recording: Recording,
    main: Mapping[int, tuple[int, int]],
    by_thread: Mapping[tuple[int, int], Sequence[ThreadSample]],
) -> bool:
    """Whether another thread of a training process waits for room in a queue: it is ahead of the loop, which never waits there.

    Only where the loop waits for the interpreter lock: else such a thread may do anything, and costs the loop nothing.
    """
    own = [look for key in main.values() for look in by_thread.get(key, []) if look.stack is not None]
    locked = sum(
        look.stack is not None and waits_for_the_interpreter(look, recording.stacks[look.stack]) for look in own
    )
    if not own or locked < LOCKED * len(own):
        return False
    others = (looks for key, looks in by_thread.items() if key[0] in main and key != main[key[0]])
    blocked = {look.stack for looks in others for look in looks if look.stack is not None and look.state != "R"}
    return any(on_stack(recording.stacks[number], _PUTS) for number in blocked)


def own_places(loader: Loader | None) -> tuple[Where, ...]:
    """The functions of the loop's own that load, where nothing else does."""
    return OWN.waits if loader is not None and loader.kind == OWN.id else ()


_FRAMEWORKS = (
    (re.compile(r"/transformers/trainer"), "Hugging Face Trainer"),
    (re.compile(r"/(pytorch_lightning|lightning/pytorch)/"), "PyTorch Lightning"),
    (re.compile(r"/accelerate/"), "PyTorch with Accelerate"),
    (re.compile(r"/torch/"), "PyTorch"),
    (re.compile(r"/tensorflow/|/keras/"), "TensorFlow"),
    (re.compile(r"/jax/"), "JAX"),
)


def framework_of(recording: Recording) -> str | None:
    """The training framework, by the files on the stacks; None where there is none that is known."""
    files = {frame.filename for stack in recording.stacks for frame in stack}
    for pattern, name in _FRAMEWORKS:
        if any(pattern.search(file) for file in files):
            return name
    return None
