"""Recording -> JobProfile. Pure: the same recording gives the same profile, on any machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from mlscale.loaders.kind import LoaderKind
from mlscale.loaders.threads import THREADS
from mlscale.profile import images, stores, timeline, training, workers
from mlscale.profile.cores import cpu_of, throttled_of
from mlscale.profile.counters import Totals
from mlscale.profile.gpus import Busy, busy_of
from mlscale.profile.job import (
    THROTTLED,
    Cpu,
    Demand,
    Host,
    Job,
    JobProfile,
    Loader,
    Rank,
    Store,
    TrainingThread,
    Window,
    Workers,
)
from mlscale.profile.measurements import measurements_of
from mlscale.profile.recognise import Roles, framework_of, loader_of, own_places, roles_of, training_tids
from mlscale.profile.timeline import Span
from mlscale.recording import Fact, ProcessSeen, Recording, ThreadSample

EVALUATION_S = 1.0  # a shorter evaluation is part of training
MIN_LOOKS = 40  # at the training thread: fewer tell a share no better than to a quarter
MIN_SIMULATED = 0.1
EPOCH_PART_S = 3.0  # of an epoch on either side of its end: less says nothing of its reads
COLD_BYTES_PER_S, COLD_LEFT = 1e6, 0.3  # reads from the device worth speaking of; what is left of them once cached


def build_profile(recording: Recording) -> JobProfile:
    """What the job did while it was watched. Never raises for what a recording lacks: the profile says what is missing."""
    totals = Totals(recording)
    roles = roles_of(recording)
    by_thread: dict[tuple[int, int], list[ThreadSample]] = {}
    for event in recording.events:
        if isinstance(event, ThreadSample):
            by_thread.setdefault((event.pid, event.tid), []).append(event)
    main = training_tids(recording, roles, by_thread)
    kind, loader = loader_of(recording, roles, main, by_thread)
    progress = {pid: timeline.progress_of(recording, pid) for pid in roles.training}
    counted = [p for p in progress.values() if p is not None]
    lead = max(counted, key=lambda p: p.points[-1][1], default=None)
    ended = recording.observed_s
    began = min((s.t for tid in main.values() for s in by_thread.get(tid, [])), default=0.0)
    whole = timeline.steady_span(lead, began, ended, loader.workers if loader else 0)
    warnings = list(recording.warnings) + _warnings(recording, roles)
    cold = _cold_epoch(totals, lead, (began, ended), roles) if whole is not None else None
    if cold is not None and whole is not None:
        whole = (max(cold[1], whole[0]), whole[1])
    spans, phases = _spans(recording, whole, ended, main, by_thread)
    if cold is not None:
        phases = [cold, *(phase for phase in phases if phase[0] >= cold[1])]
    elif _in_first_epoch(totals, lead, whole, roles):
        warnings.append(
            "It was watched in its first epoch, and the data came from the device. Later epochs may find it in the page "
            "cache: watch again then, before moving the data."
        )
    gpu = busy_of(recording, spans, roles.everyone)
    throttled = throttled_of(totals, spans)
    is_throttled = (throttled or 0.0) > THROTTLED
    parts: dict[int, TrainingThread] = {}
    threads: dict[int, list[workers.WorkerLook]] = {}
    inline = loader is not None and loader.worker_kind == "inline"
    for pid, tid in main.items():
        own = [s for s in by_thread.get(tid, []) if timeline.inside(s.t, spans)]
        looks = training.understand(own, recording.stacks, kind is THREADS, bool(roles.workers), own_places(loader))
        divided = training.divide(
            looks, spans, gpu_busy=gpu.fraction, inline=inline, ranks=len(main), throttled=is_throttled
        )
        if divided is not None:
            parts[pid] = divided
    if kind is not None and kind.worker_kind == "thread":
        threads = _loader_threads(kind, main, by_thread, recording, spans)
        if loader is not None and threads:
            loader = Loader(loader.kind, loader.label, loader.worker_kind, len(threads), loader.batch_size)
    thread = _mean(list(parts.values()))
    not_steady = _not_steady(thread, whole, recording, roles)
    if not_steady is None and not gpu.gpus and _blind(main, by_thread):
        not_steady = (
            "The kernel hides what the job's threads do, and no GPU tells it either. "
            "`mlscale doctor` says how to open this; then watch again."
        )
    if not_steady is None and loader is None and framework_of(recording) is None and not gpu.fraction:
        not_steady = (
            "The process shows no sign of training: no loader, no framework and no busy GPU were seen. "
            "Name the training process with --pid."
        )
    by_worker = _by_worker(kind, roles, threads, by_thread, recording, spans)
    worker_cpu = totals.rate(roles.workers, lambda s: s.cpu_s, spans)
    worker_system = totals.rate(roles.workers, lambda s: s.system_s, spans)
    divided_workers = workers.divide(
        by_worker,
        spans,
        throttled=is_throttled,
        system_fraction=worker_system / worker_cpu if worker_cpu and worker_system is not None else None,
    )
    if not_steady:
        thread = None
    waiting = thread.queue * len(parts) if thread is not None else 0.0
    if divided_workers is not None and loader is not None:
        waiting += divided_workers.run_queue * loader.workers * max(1, len(parts))
    cpu = cpu_of(recording, totals, spans, roles, by_worker, threads, throttled, loader, waiting)
    found_stores = _stores(recording, totals, spans, roles, main, by_thread, by_worker, loader, inline)
    rates = [timeline.rate(p, spans) for p in counted]
    known_rates = [r for r in rates if r is not None]
    oversized = images.oversized_of(recording, divided_workers, thread, inline)
    demand = _demand(known_rates, thread, divided_workers, cpu, loader, inline) if thread else None
    steady_s = timeline.length(spans) if thread else 0.0
    header = recording.header
    host = Host(
        hostname=str(header.get("hostname", "?")),
        logical_cpus=int(header.get("logical_cpus", 1)),
        memory_bytes=int(header.get("memory", {}).get("MemTotal", 0)),
        threads_per_core=int(header.get("threads_per_core", 1)),
        gpus=gpu.gpus,
        instance_type=header.get("instance_type"),
        container=header.get("container"),
        gpu_missing_reason=_gpu_reason(recording),
        accelerator_simulated=not gpu.gpus and _sleeps_in_step(recording, main, by_thread),
    )
    root = roles.training[0] if roles.training else int(header.get("root", 0))
    seen = totals.seen.get(root)
    job = Job(
        pid=root,
        command=seen.command if seen else "",
        framework=framework_of(recording),
        loader=loader,
        ranks=_ranks(totals, parts) if len(parts) > 1 else (),
    )
    window = Window(
        observed_s=recording.observed_s,
        steady_s=steady_s,
        rate_hz=float(header.get("rate_hz", 0)),
        phases=tuple(phases),
        ended=recording.ended,
    )
    measured = measurements_of(
        recording,
        totals,
        spans,
        roles.workers,
        roles.training,
        known_rates,
        loader,
        thread,
        divided_workers,
        cpu,
        gpu,
        demand,
    )
    return JobProfile(
        host=host,
        job=job,
        window=window,
        cpu=cpu,
        training=thread,
        workers=divided_workers if thread else None,
        stores=found_stores if thread else (),
        demand=demand,
        oversized=oversized,
        measurements=measured,
        warnings=tuple(dict.fromkeys(warnings + list(gpu.warnings))),
        epochs_seen=sum(timeline.inside(t, spans) for t in lead.resets) if lead is not None else 0,
        not_steady_reason=not_steady,
    )


def _loader_threads(
    kind: LoaderKind,
    main: Mapping[int, tuple[int, int]],
    by_thread: Mapping[tuple[int, int], Sequence[ThreadSample]],
    recording: Recording,
    spans: Sequence[Span],
) -> dict[int, list[workers.WorkerLook]]:
    candidates = {
        tid: [s for s in samples if timeline.inside(s.t, spans)]
        for (pid, tid), samples in by_thread.items()
        if pid in main and (pid, tid) != main[pid]
    }
    return workers.loader_threads({t: s for t, s in candidates.items() if s}, recording.stacks, kind)


def _by_worker(
    kind: LoaderKind | None,
    roles: Roles,
    threads: Mapping[int, list[workers.WorkerLook]],
    by_thread: Mapping[tuple[int, int], Sequence[ThreadSample]],
    recording: Recording,
    spans: Sequence[Span],
) -> dict[int, list[workers.WorkerLook]]:
    if threads:
        return dict(threads)
    found = {}
    for pid in roles.workers:
        own = [s for s in by_thread.get((pid, pid), []) if timeline.inside(s.t, spans)]
        if own:
            found[pid] = workers.understand(own, recording.stacks, kind)
    return found


def _spans(
    recording: Recording,
    whole: Span | None,
    ended: float,
    main: Mapping[int, tuple[int, int]],
    by_thread: Mapping[tuple[int, int], Sequence[ThreadSample]],
) -> tuple[list[Span], list[tuple[float, float, str]]]:
    """The steady stretches, and the phases that are told apart; evaluation and warm-up are left out."""
    if whole is None:
        return [(0.0, ended)], [(0.0, ended, "no steady training")]
    phases: list[tuple[float, float, str]] = []
    if whole[0] > 0.5:
        phases.append((0.0, whole[0], "warm-up"))
    key = next(iter(main.values()), None)
    looks = training.understand(by_thread.get(key, []) if key else [], recording.stacks, False, False)
    inside = [look for look in looks if timeline.inside(look.sample.t, [whole])]
    holes = timeline.runs(
        [look.sample.t for look in inside], [look.what == "evaluation" for look in inside], EVALUATION_S
    )
    if timeline.length(holes) > 0.8 * timeline.length([whole]):
        holes = []  # it does nothing else: then this is the job
    phases += [(a, b, "evaluation") for a, b in holes]
    saves = timeline.runs([look.sample.t for look in inside], [look.what == "save" for look in inside], 0.05)
    phases += [(a, b, "checkpoint") for a, b in saves]
    return timeline.without([whole], holes), sorted(phases)


def _cold_epoch(
    totals: Totals, lead: timeline.Progress | None, whole: Span, roles: Roles
) -> tuple[float, float, str] | None:
    """The part of the window in which data still came from the device, where a later epoch finds it in the page cache."""
    if lead is None:
        return None
    for reset in lead.resets:
        if not whole[0] + EPOCH_PART_S <= reset <= whole[1] - EPOCH_PART_S:
            continue
        before = _device_bytes_per_s(totals, roles, (whole[0], reset))
        after = _device_bytes_per_s(totals, roles, (reset, whole[1]))
        if before is not None and after is not None and before >= COLD_BYTES_PER_S and after <= COLD_LEFT * before:
            return (whole[0], reset, "cold epoch")
    return None


def _in_first_epoch(totals: Totals, lead: timeline.Progress | None, whole: Span | None, roles: Roles) -> bool:
    """Whether the watch saw the first epoch from its beginning, never its end, and reads from the device."""
    if lead is None or whole is None or lead.resets or lead.first_value > 0:
        return False
    return (_device_bytes_per_s(totals, roles, whole) or 0.0) >= COLD_BYTES_PER_S


def _device_bytes_per_s(totals: Totals, roles: Roles, span: Span) -> float | None:
    return totals.rate((*roles.workers, *roles.training), lambda s: s.read_bytes, [span])


def _mean(parts: Sequence[TrainingThread]) -> TrainingThread | None:
    """The ranks' mean; the functions of the first."""
    if not parts:
        return None
    if len(parts) == 1:
        return parts[0]
    count = len(parts)

    def mean(name: str) -> float:
        return float(sum(getattr(part, name) for part in parts)) / count

    shares = [field.name for field in fields(TrainingThread) if field.type == "float" and field.name != "save_seconds"]
    return replace(
        parts[0],
        **{name: mean(name) for name in shares},  # type: ignore[arg-type]
        stacks_seen=all(part.stacks_seen for part in parts),
        samples=sum(part.samples for part in parts),
    )


def _not_steady(
    thread: TrainingThread | None,
    whole: Span | None,
    recording: Recording,
    roles: Roles,
) -> str | None:
    """Why there is no verdict, and what to do; None where training was seen."""
    if not roles.training:
        return "No training process was found in the tree. Attach once the first batches have gone through."
    if whole is None:
        return (
            "Fewer than three batches went through while it was watched: the job was starting, or its steps are long. "
            "Watch again once it trains, or longer (--duration 2m)."
        )
    if thread is None or thread.samples < MIN_LOOKS:
        return "The watch was too short to tell anything. Watch for at least 10 s of training."
    if thread.stacks_seen and thread.data + thread.step < 0.01 and thread.host < 0.01 and thread.save < 0.01:
        return "The training thread only waited. Attach while the job trains."
    if recording.ended == "job exited" and timeline.length([whole]) < 3:
        return "The job ended before it had trained for three seconds. Watch a longer run."
    return None


def _stores(
    recording: Recording,
    totals: Totals,
    spans: Sequence[Span],
    roles: Roles,
    main: Mapping[int, tuple[int, int]],
    by_thread: Mapping[tuple[int, int], Sequence[ThreadSample]],
    by_worker: Mapping[int, Sequence[workers.WorkerLook]],
    loader: Loader | None,
    inline: bool,
) -> tuple[Store, ...]:
    looks = [look for own in by_worker.values() for look in own]
    pids: tuple[int, ...] = roles.workers
    count = float(loader.workers if loader and loader.workers else len(by_worker))
    if not looks and inline:
        pids, count = roles.training, float(len(main))
        for key in main.values():
            own = [s for s in by_thread.get(key, []) if timeline.inside(s.t, spans)]
            for look in training.understand(own, recording.stacks, False, False, own_places(loader)):
                in_store = look.what in ("data", "data_file") and training.in_store(look)
                looks.append(workers.WorkerLook(look.sample, "io_wait" if in_store else "other", look.stack))
    elif loader is not None and loader.worker_kind == "thread":
        pids = roles.training
    return stores.stores_of(
        recording,
        totals,
        spans,
        workers.store_looks(looks),
        len(looks),
        count * max(1, len(main)) if not inline else count,
        totals.rate(pids, lambda s: s.read_bytes, spans),
        totals.rate(pids, lambda s: s.read_chars, spans),
    )


def _demand(
    rates: Sequence[timeline.Rate],
    thread: TrainingThread,
    own_workers: Workers | None,
    cpu: Cpu | None,
    loader: Loader | None,
    inline: bool,
) -> Demand | None:
    """Seconds per batch at each stage, for one rank. Without a batch rate, per unknown batch: None."""
    if not rates or cpu is None:
        return None
    per_rank = sum(r.value for r in rates) / len(rates)
    total = sum(r.value for r in rates)
    count = loader.workers if loader else 0
    if inline or own_workers is None or not count:
        cpu_s, io_s, hand_over_s = thread.data_cpu / per_rank, thread.data_io_wait / per_rank, 0.0
    else:
        cpu_s = cpu.worker_cores / total
        io_s = own_workers.io_wait * count / per_rank
        hand_over_s = own_workers.hand_over * count / per_rank
    training_cpu_s = max(0.0, cpu.training_cores / total - (cpu_s if inline else 0.0))
    return Demand(
        batches_per_s=per_rank,
        worker_cpu_s=cpu_s,
        worker_io_s=io_s,
        hand_over_s=hand_over_s,
        step_s=(thread.step + thread.overlap) / per_rank,
        host_s=thread.host / per_rank,
        save_s=thread.save / per_rank,
        communication_s=thread.communication / per_rank,
        training_cpu_s=training_cpu_s,
    )


def _ranks(totals: Totals, parts: Mapping[int, TrainingThread]) -> tuple[Rank, ...]:
    found = []
    for number, (pid, part) in enumerate(parts.items()):
        rank = totals.seen[pid].facts.get("rank") if pid in totals.seen else None
        found.append(
            Rank(rank if isinstance(rank, int) else number, pid, part.data, part.step, part.host, part.communication)
        )
    return tuple(sorted(found, key=lambda r: r.rank))


def _blind(main: Mapping[int, tuple[int, int]], by_thread: Mapping[tuple[int, int], Sequence[ThreadSample]]) -> bool:
    """Whether neither stacks nor system calls of the training threads were to be seen."""
    looks = [sample for key in main.values() for sample in by_thread.get(key, [])]
    return bool(looks) and all(sample.stack is None and sample.syscall is None for sample in looks)


def _gpu_reason(recording: Recording) -> str | None:
    return next((str(e.values["reason"]) for e in recording.events if isinstance(e, Fact) and e.name == "no_gpu"), None)


def _sleeps_in_step(
    recording: Recording,
    main: Mapping[int, tuple[int, int]],
    by_thread: Mapping[tuple[int, int], Sequence[ThreadSample]],
) -> bool:
    """Whether the training thread sleeps outside data loading for a good part of the time: a stand-in for a GPU."""
    for key in main.values():
        looks = training.understand(by_thread.get(key, []), recording.stacks, False, False)
        asleep = sum(1 for look in looks if look.sample.target == "sleep" and look.what in ("step", "sleep"))
        return asleep > MIN_SIMULATED * max(1, len(looks))
    return False


def _warnings(recording: Recording, roles: Roles) -> list[str]:
    """What could not be seen, and what that costs."""
    found: list[str] = []
    unreadable = {
        str(e.facts["unreadable"])
        for e in recording.events
        if isinstance(e, ProcessSeen) and e.role in ("training", "worker") and e.facts.get("unreadable")
    }
    for reason in sorted(unreadable):
        found.append(
            f"The job's Python frames could not be read: {reason}. Activities were told from thread states and system "
            "calls alone. `mlscale doctor` says how to open this."
        )
    for event in recording.events:
        if isinstance(event, Fact) and event.name == "gpu_lost":
            found.append(f"GPU {event.values['index']} was lost while watching: {event.values['reason']}.")
    others: Any = recording.header.get("others") or []
    if others:
        found.append(
            f"Other jobs run here too and were not watched ({'; '.join(map(str, others))}). Choose with --pid."
        )
    if recording.ended == "job exited":
        found.append("The job ended while it was watched.")
    if recording.ended == "interrupted":
        found.append("The watch was interrupted; this is what was seen until then.")
    return found


__all__ = ["Busy", "build_profile"]
