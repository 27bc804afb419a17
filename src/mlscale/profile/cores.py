"""Cores: how many the job may use, how many it uses, and who uses the others. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlscale.profile import workers
from mlscale.profile.counters import Totals, thread_shares
from mlscale.profile.job import Cpu, Loader, Program
from mlscale.profile.recognise import Roles
from mlscale.profile.timeline import Span
from mlscale.recording import Fact, Recording

# Of the cores that it wants and could have, from which others yield to the job: beside programs that do not (nice 19, another
# session) it had 0.5 of them, and waking up beside none at all costs a few per cent.
GETS_THEM = 0.85


def throttled_of(totals: Totals, spans: Sequence[Span]) -> float | None:
    """Seconds per second for which the quota stopped the job's group."""
    return totals.machine_rate("throttled_s", spans)


def cpu_of(
    recording: Recording,
    totals: Totals,
    spans: Sequence[Span],
    roles: Roles,
    by_worker: Mapping[int, Sequence[workers.WorkerLook]],
    threads: Mapping[int, Sequence[workers.WorkerLook]],
    throttled: float | None,
    loader: Loader | None,
    waiting: float,
) -> Cpu | None:
    """The job's cores, and what others take of them, over the steady spans. None where no process told its CPU time.

    `waiting`: how many of the job's threads wait for a core, on average.
    """
    header = recording.header
    job = totals.rate(roles.everyone, lambda s: s.cpu_s, spans)
    if job is None:
        return None
    logical = int(header.get("logical_cpus", 1))
    affinity = len(header.get("affinity", [])) or logical
    quota = header.get("quota_cores")
    limit, source = float(logical), "machine"
    if affinity < limit:
        limit, source = float(affinity), "affinity"
    if quota is not None and quota < limit:
        limit, source = float(quota), "quota"
    training_cores = totals.rate(roles.training, lambda s: s.cpu_s, spans) or 0.0
    worker_cores = totals.rate(roles.workers, lambda s: s.cpu_s, spans) or 0.0
    if threads:
        worker_cores = 0.0
        for looks in threads.values():
            exact = thread_shares([look.sample for look in looks], spans)
            worker_cores += exact[0] if exact else 0.0
        training_cores = max(0.0, training_cores - worker_cores)
    job, worker_cores = _with_short_lived(job, worker_cores, by_worker, loader)
    machine = totals.machine_rate("cpu_s", spans)
    niceness = header.get("nice")
    # Programs that are nicer than the job leave it the cores as soon as it wants them.
    yielding = totals.machine_rate("nice_s", spans) or 0.0 if niceness is not None and niceness <= 0 else 0.0
    serving = totals.machine_rate("serving_cpu_s", spans) or 0.0
    others = max(0.0, machine - job - serving) if machine is not None else 0.0
    if source == "machine" and not _yield(job, max(0.0, others - yielding), limit, waiting):
        yielding = 0.0
    return Cpu(
        limit_cores=limit,
        limit_source=source,  # type: ignore[arg-type]
        affinity_cores=affinity,
        quota_cores=quota,
        job_cores=job,
        other_cores=max(0.0, others - yielding),
        training_cores=training_cores,
        worker_cores=worker_cores,
        throttled_fraction=min(1.0, throttled) if throttled is not None else None,
        rival_groups=_rival_groups(recording),
        programs=_programs(recording),
        serving_cores=serving,
        servers=_servers(recording),
    )


def _with_short_lived(
    job: float, worker_cores: float, by_worker: Mapping[int, Sequence[workers.WorkerLook]], loader: Loader | None
) -> tuple[float, float]:
    """Cores of the job and of its workers. Workers that live for less than two readings of their CPU time (short epochs)
    leave no totals; then the looks at them say how much they computed."""
    looks = [look for own in by_worker.values() for look in own]
    if loader is None or loader.worker_kind != "process" or not looks or len(by_worker) <= loader.workers:
        return job, worker_cores  # no worker was replaced by another; looks also see threads that wait for a core
    seen = loader.workers * sum(look.what == "compute" for look in looks) / len(looks)
    if worker_cores >= seen / 2:
        return job, worker_cores
    return job + seen - worker_cores, seen


def _yield(job: float, others: float, limit: float, waiting: float) -> bool:
    """Whether nicer programs leave the job the cores that it wants. Between sessions (autogroup) and cgroups, the kernel
    shares the cores whatever their niceness: then the job waits for a core although the programs that do not yield leave it one.
    """
    return job >= GETS_THEM * min(max(0.0, limit - others), job + waiting)


def _rival_groups(recording: Recording) -> int:
    """Groups of the other programs, where all are known and none is the job's own."""
    seen = _beside(recording)
    own, groups = seen.get("group"), {one.get("group") for one in seen.get("programs", ())}
    return 0 if own is None or None in groups or own in groups else len(groups)


def _programs(recording: Recording) -> tuple[Program, ...]:
    """Other programs that took the cores, largest first."""
    named = _beside(recording).get("programs", ())
    return tuple(Program(int(one["pid"]), str(one["name"]), float(one["cores"])) for one in named)


def _servers(recording: Recording) -> tuple[str, ...]:
    """Programs that serve the job's data, in the order in which they were found."""
    facts = [event.values for event in recording.events if isinstance(event, Fact) and event.name == "serving"]
    return tuple(dict.fromkeys(str(values["name"]) for values in facts))


def _beside(recording: Recording) -> Mapping[str, Any]:
    """What was found of other programs; empty where they were not looked for."""
    facts = [event.values for event in recording.events if isinstance(event, Fact) and event.name == "beside"]
    return facts[-1] if facts else {}
