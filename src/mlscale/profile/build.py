"""Recording -> JobProfile. Pure: the same recording gives the same profile, on any machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mlscale.loaders.kind import on_stack
from mlscale.loaders.threads import THREADS
from mlscale.profile import images, stores, timeline, training, workers
from mlscale.profile.cores import cpu_of, throttled_of
from mlscale.profile.counters import thread_shares
from mlscale.profile.demand import demand_of
from mlscale.profile.evenness import cpu_swing_of
from mlscale.profile.gpus import Busy, busy_of
from mlscale.profile.hand_over import hand_over_of
from mlscale.profile.job import THROTTLED, Host, Job, JobProfile, Store, TrainingThread, Window, Workers
from mlscale.profile.measurements import measurements_of
from mlscale.profile.missing import no_gpu_because, no_verdict_because, sleeps_in_step, warnings_of
from mlscale.profile.phases import Stretches, stretches_of
from mlscale.profile.ranks import mean_of, ranks_of
from mlscale.profile.recognise import framework_of, own_places
from mlscale.profile.seen import Seen, Thread, seen_of
from mlscale.profile.timeline import Progress, Span
from mlscale.profile.workers import WorkerLook
from mlscale.recording import Fact, Recording, ThreadSample

ByWorker = Mapping[int, Sequence[WorkerLook]]  # by process id, or by thread id where threads prepare the data


def build_profile(recording: Recording) -> JobProfile:
    """What the job did while it was watched. Never raises for what a recording lacks: the profile says what is missing."""
    seen = seen_of(recording)
    progress = [p for pid in seen.roles.training if (p := timeline.progress_of(recording, pid)) is not None]
    lead = max(progress, key=lambda p: p.points[-1][1], default=None)
    stretches = stretches_of(seen, lead)
    spans = stretches.spans
    gpu = busy_of(recording, spans, seen.roles.everyone)
    throttled = throttled_of(seen.totals, spans)
    is_throttled = (throttled or 0.0) > THROTTLED

    ranks = _training_threads(seen, spans, gpu, is_throttled)
    thread = mean_of(list(ranks.values()))
    threads = _loader_threads(seen, spans)
    if threads and seen.loader is not None:
        seen = replace(seen, loader=replace(seen.loader, workers=len(threads)))
    by_worker = threads or _loader_processes(seen, spans)
    divided = _workers(seen, by_worker, spans, is_throttled)

    no_verdict = no_verdict_because(seen, stretches, thread, gpu)
    if no_verdict is not None:
        thread = None
    waiting = _threads_waiting_for_cores(seen, thread, divided, len(ranks))
    cpu = cpu_of(recording, seen.totals, spans, seen.roles, by_worker, threads, throttled, seen.loader, waiting)
    rates = [rate for p in progress if (rate := timeline.rate(p, spans)) is not None]
    demand = demand_of(rates, thread, divided, cpu, seen.loader, _cpu_swing(seen, progress, spans, by_worker))
    return JobProfile(
        host=_host(seen, gpu),
        job=_job(seen, ranks),
        window=_window(seen, stretches, trains=thread is not None),
        cpu=cpu,
        training=thread,
        workers=divided if thread else None,
        stores=_stores(seen, spans, by_worker) if thread else (),
        demand=demand,
        oversized=images.oversized_of(recording, divided, thread, seen.inline),
        hand_over=hand_over_of(recording, seen.loader, seen.inline),
        measurements=measurements_of(seen, spans, rates, thread, divided, cpu, gpu, demand),
        warnings=tuple(dict.fromkeys([*warnings_of(seen, stretches), *gpu.warnings])),
        epochs_seen=_epochs(lead, spans),
        not_steady_reason=no_verdict,
    )


def _cpu_swing(seen: Seen, progress: Sequence[Progress], spans: Sequence[Span], by_worker: ByWorker) -> float | None:
    if seen.loader is not None and len(by_worker) > seen.loader.workers > 0:
        return None  # workers that were replaced meanwhile leave gaps in their CPU time
    pids = seen.roles.workers or seen.roles.training
    return cpu_swing_of(lambda part: seen.totals.rate(pids, lambda s: s.cpu_s, part), progress, spans)


def _within(looks: Sequence[ThreadSample], spans: Sequence[Span]) -> list[ThreadSample]:
    return [look for look in looks if timeline.inside(look.t, spans)]


def _training_threads(seen: Seen, spans: Sequence[Span], gpu: Busy, is_throttled: bool) -> dict[int, TrainingThread]:
    """How each rank's training thread divides its time, by process id."""
    threads_load, processes_load = seen.kind is THREADS, bool(seen.roles.workers)
    found = {}
    for pid, key in seen.main.items():
        own = _within(seen.looks.get(key, ()), spans)
        looks = training.understand(own, seen.recording.stacks, threads_load, processes_load, own_places(seen.loader))
        divided = training.divide(
            looks,
            spans,
            gpu_busy=gpu.fraction,
            inline=seen.inline,
            ranks=len(seen.main),
            throttled=is_throttled,
            pinned=_is_pinned(seen, pid),
            beside=_cores_beside(seen, pid, own, spans),
        )
        if divided is not None:
            found[pid] = divided
    return found


def _cores_beside(seen: Seen, pid: int, looks: Sequence[ThreadSample], spans: Sequence[Span]) -> float:
    """Cores that a training process uses beside the thread that was looked at; 0 where that is not known."""
    process, thread = seen.totals.rate([pid], lambda sample: sample.cpu_s, spans), thread_shares(looks, spans)
    return max(0.0, process - thread[0]) if process is not None and thread is not None else 0.0


def _is_pinned(seen: Seen, pid: int) -> bool:
    """Whether another thread of this training process takes its batches over, to pin their memory."""
    iterators = [e.values for e in seen.recording.events if isinstance(e, Fact) and e.name == "iterator"]
    if any(facts.get("pin_memory") for facts in iterators if facts.get("pid") == pid):
        return True
    places = seen.kind.helpers if seen.kind is not None else ()
    own = {look.stack for (owner, _), looks in seen.looks.items() if owner == pid for look in looks}
    return any(on_stack(seen.recording.stacks[number], places) for number in own if number is not None)


def _loader_threads(seen: Seen, spans: Sequence[Span]) -> dict[int, list[WorkerLook]]:
    """Looks at the training processes' threads that prepare data; none where processes do, or nothing does."""
    if seen.kind is None or seen.kind.worker_kind != "thread":
        return {}

    def is_another(thread: Thread) -> bool:
        return thread[0] in seen.main and thread != seen.main[thread[0]]

    candidates = {key[1]: _within(looks, spans) for key, looks in seen.looks.items() if is_another(key)}
    return workers.loader_threads(
        {tid: looks for tid, looks in candidates.items() if looks}, seen.recording.stacks, seen.kind
    )


def _loader_processes(seen: Seen, spans: Sequence[Span]) -> dict[int, list[WorkerLook]]:
    """Looks at the main thread of each worker process."""
    own = {pid: _within(seen.looks.get((pid, pid), ()), spans) for pid in seen.roles.workers}
    return {pid: workers.understand(looks, seen.recording.stacks, seen.kind) for pid, looks in own.items() if looks}


def _workers(seen: Seen, by_worker: ByWorker, spans: Sequence[Span], is_throttled: bool) -> Workers | None:
    """How the workers' time divides, averaged over them."""
    cpu = seen.totals.rate(seen.roles.workers, lambda sample: sample.cpu_s, spans)
    system = seen.totals.rate(seen.roles.workers, lambda sample: sample.system_s, spans)
    fraction = system / cpu if cpu and system is not None else None
    return workers.divide(by_worker, spans, throttled=is_throttled, system_fraction=fraction)


def _threads_waiting_for_cores(seen: Seen, thread: TrainingThread | None, divided: Workers | None, ranks: int) -> float:
    """How many of the job's threads wait for a core, on average."""
    waiting = thread.queue * ranks if thread is not None else 0.0
    if divided is not None and seen.loader is not None:
        waiting += divided.run_queue * seen.loader.workers * max(1, ranks)
    return waiting


def _stores(seen: Seen, spans: Sequence[Span], by_worker: ByWorker) -> tuple[Store, ...]:
    """The places that those who load the data wait for."""
    looks = [look for own in by_worker.values() for look in own]
    pids: tuple[int, ...] = seen.roles.workers
    loader, ranks = seen.loader, max(1, len(seen.main))
    loading = float(loader.workers if loader and loader.workers else len(by_worker)) * ranks
    if seen.inline:
        loading = float(len(by_worker))
    if seen.inline and not looks:
        pids, loading = seen.roles.training, float(len(seen.main))
        looks = _inline_looks(seen, spans)
    elif loader is not None and loader.worker_kind == "thread":
        pids = seen.roles.training
    return stores.stores_of(
        seen.recording,
        seen.totals,
        spans,
        workers.store_looks(looks),
        len(looks),
        loading,
        seen.totals.rate(pids, lambda sample: sample.read_bytes, spans),
        seen.totals.rate(pids, lambda sample: sample.read_chars, spans),
    )


def _inline_looks(seen: Seen, spans: Sequence[Span]) -> list[WorkerLook]:
    """The training threads' looks, as those of a worker that waits for a store or does something else."""
    found = []
    for key in seen.main.values():
        own = _within(seen.looks.get(key, ()), spans)
        for look in training.understand(own, seen.recording.stacks, False, False, own_places(seen.loader)):
            waits = look.what in ("data", "data_file") and training.in_store(look)
            found.append(WorkerLook(look.sample, "io_wait" if waits else "other", look.stack))
    return found


def _host(seen: Seen, gpu: Busy) -> Host:
    header = seen.recording.header
    return Host(
        hostname=str(header.get("hostname", "?")),
        logical_cpus=int(header.get("logical_cpus", 1)),
        memory_bytes=int(header.get("memory", {}).get("MemTotal", 0)),
        threads_per_core=int(header.get("threads_per_core", 1)),
        gpus=gpu.gpus,
        instance_type=header.get("instance_type"),
        container=header.get("container"),
        gpu_missing_reason=no_gpu_because(seen.recording),
        accelerator_simulated=not gpu.gpus and sleeps_in_step(seen),
    )


def _job(seen: Seen, ranks: Mapping[int, TrainingThread]) -> Job:
    training_pids = seen.roles.training
    pid = training_pids[0] if training_pids else int(seen.recording.header.get("root", 0))
    process = seen.totals.seen.get(pid)
    return Job(
        pid=pid,
        command=process.command if process else "",
        framework=framework_of(seen.recording),
        loader=seen.loader,
        ranks=ranks_of(seen.totals, ranks),
    )


def _window(seen: Seen, stretches: Stretches, *, trains: bool) -> Window:
    return Window(
        observed_s=seen.recording.observed_s,
        steady_s=timeline.length(stretches.spans) if trains else 0.0,
        rate_hz=float(seen.recording.header.get("rate_hz", 0)),
        phases=stretches.phases,
        ended=seen.recording.ended,
    )


def _epochs(lead: Progress | None, spans: Sequence[Span]) -> int:
    """Turns of an epoch in the steady training."""
    return sum(timeline.inside(turn, spans) for turn in lead.resets) if lead is not None else 0
