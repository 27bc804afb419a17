"""What went on over time, for the timeline of a report: a few tracks of at most 120 bins. Pure.

Each track has bins as wide as its samples allow, so that a bin is never one lucky look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from mlscale.loaders.kind import LoaderKind
from mlscale.loaders.threads import THREADS
from mlscale.profile import timeline, training, workers
from mlscale.profile.activity import worker_activity
from mlscale.profile.job import JobProfile
from mlscale.profile.recognise import Roles, loader_of, own_places, roles_of, training_tids
from mlscale.recording import Counter, Fact, GpuSample, ProcessSample, Recording, Stack, ThreadSample

MOST_BINS = 120
LOOKS_A_BIN = 8  # fewer tell a share no better than to a sixth
WORKER_LOOKS_A_BIN = 5  # there are fewer of them, and nothing else shows a worker's state over time
GPU_SAMPLES_A_BIN = 2  # the driver's figure is a mean already
BATCHES_A_BIN = 6  # batches come in bursts, one from each worker
DIGITS = 3
_ROUNDS = 25  # of raking: more change nothing that can be seen
_LEAST_SHARE = 0.002  # of the time, for a part to be drawn

_TRAINING = {
    "data": "data",
    "data_file": "data",
    "start": "data",
    "step": "step",
    "gpu": "step",
    "python": "host",
    "file": "host",
    "wait": "host",
    "gil": "host",
    "save": "save",
    "communication": "communication",
    "evaluation": "evaluation",
}
TRAINING_PARTS = ("data", "step", "host", "save", "communication")
WORKER_PARTS = ("compute", "io_wait", "run_queue", "gil_wait", "hand_over", "idle", "other")

Values = tuple[float | None, ...]


@dataclass(frozen=True)
class Track:
    """A figure over time: equal bins of `bin_s` seconds from the start of the watch. None: nothing was seen then."""

    bin_s: float
    values: Values


@dataclass(frozen=True)
class Shares:
    """How time divides, bin by bin; the parts of a bin sum to 1. Bins as in a Track."""

    bin_s: float
    parts: Mapping[str, Values]


@dataclass(frozen=True)
class Series:
    """The tracks of a watch; None for what was not to be seen. Several GPUs: their mean, the least and the most busy."""

    gpu_busy_fraction: Track | None = None
    gpu_busy_low: Track | None = None
    gpu_busy_high: Track | None = None
    training: Shares | None = None
    workers: Shares | None = None
    batches_per_s: Track | None = None
    storage_read_bytes_per_s: Track | None = None
    cpu_used_cores: Track | None = None


def series_of(recording: Recording, profile: JobProfile) -> Series | None:
    """The tracks of a recording, agreeing with the profile that was made of it. None where it has no length."""
    whole = recording.observed_s
    if whole <= 0:
        return None
    roles = roles_of(recording)
    by_thread: dict[tuple[int, int], list[ThreadSample]] = {}
    by_process: dict[int, list[ProcessSample]] = {}
    by_gpu: dict[int, list[tuple[float, float]]] = {gpu.index: [] for gpu in profile.host.gpus}
    for event in recording.events:
        if isinstance(event, ThreadSample):
            by_thread.setdefault((event.pid, event.tid), []).append(event)
        elif isinstance(event, ProcessSample):
            by_process.setdefault(event.pid, []).append(event)
        elif isinstance(event, GpuSample) and event.gpu in by_gpu and event.values.get("busy") is not None:
            by_gpu[event.gpu].append((event.t, float(event.values["busy"])))
    main = training_tids(recording, roles, by_thread)
    steady = _steady(profile, whole)
    mean, low, high = _gpus(list(by_gpu.values()), whole)
    return Series(
        gpu_busy_fraction=mean,
        gpu_busy_low=low,
        gpu_busy_high=high,
        training=_training(recording, profile, roles, main, by_thread, steady),
        workers=_workers(recording, profile, roles, main, by_thread, steady),
        batches_per_s=_batches(recording, main),
        storage_read_bytes_per_s=_growth(
            [by_process.get(pid, []) for pid in (*roles.workers, *roles.training)], lambda s: s.read_bytes, whole
        ),
        cpu_used_cores=_growth([by_process.get(pid, []) for pid in roles.everyone], lambda s: s.cpu_s, whole),
    )


def _steady(profile: JobProfile, whole: float) -> list[timeline.Span]:
    left_out = [(start, end) for start, end, name in profile.window.phases if name != "checkpoint"]
    return timeline.without([(0.0, whole)], left_out)


def _bins(samples: int, a_bin: int, whole: float) -> tuple[int, float]:
    """How many bins, and how long each is."""
    count = max(1, min(MOST_BINS, samples // a_bin))
    return count, whole / count


def _track(bin_s: float, values: Iterable[float | None]) -> Track:
    return Track(_tidy(bin_s, 6), tuple(None if value is None else _tidy(value) for value in values))


def _tidy(value: float, digits: int = DIGITS) -> float:
    return float(f"{value:.{digits}g}")


def _gpus(
    by_gpu: Sequence[Sequence[tuple[float, float]]], whole: float
) -> tuple[Track | None, Track | None, Track | None]:
    """Mean of the GPUs, and the least and most busy one in each bin (where there are several)."""
    seen = [samples for samples in by_gpu if samples]
    if not seen:
        return None, None, None
    count, bin_s = _bins(min(map(len, seen)), GPU_SAMPLES_A_BIN, whole)
    means = [_means(samples, count, bin_s) for samples in seen]
    columns = [[value for value in column if value is not None] for column in zip(*means, strict=True)]
    mean = _track(bin_s, [sum(column) / len(column) if column else None for column in columns])
    if len(seen) == 1:
        return mean, None, None
    return (
        mean,
        _track(bin_s, [min(column, default=None) for column in columns]),
        _track(bin_s, [max(column, default=None) for column in columns]),
    )


def _means(samples: Sequence[tuple[float, float]], count: int, bin_s: float) -> list[float | None]:
    totals, numbers = [0.0] * count, [0] * count
    for t, value in samples:
        place = min(count - 1, max(0, int(t / bin_s)))
        totals[place] += value
        numbers[place] += 1
    return [total / number if number else None for total, number in zip(totals, numbers, strict=True)]


def _training(
    recording: Recording,
    profile: JobProfile,
    roles: Roles,
    main: Mapping[int, tuple[int, int]],
    by_thread: Mapping[tuple[int, int], Sequence[ThreadSample]],
    steady: Sequence[timeline.Span],
) -> Shares | None:
    """The training thread's activities; of several ranks, their mean."""
    loader = profile.job.loader
    looks: list[tuple[float, str]] = []
    for key in main.values():
        own = training.understand(
            by_thread[key],
            recording.stacks,
            loader is not None and loader.kind == THREADS.id,
            bool(roles.workers),
            own_places(loader),
        )
        stacks = any(look.stack for look in own)
        # What neither is a known function nor blocks: the step, unless the step was recognised elsewhere.
        sure = sum(look.what in ("step", "gpu") for look in own) >= training.SURE_STEP * max(1, len(own))
        for look in own:
            if look.what != training.BLIND and (look.stack or not stacks):
                looks.append((look.sample.t, _TRAINING.get(look.what, "host" if sure else "step")))
    thread = profile.training
    target = {name: getattr(thread, name) for name in TRAINING_PARTS} if thread is not None else None
    # No look tells a step in which the GPU works from one in which it waits for kernels: its own counts do.
    launching = thread.launch / (thread.launch + thread.step) if thread is not None and thread.launch else 0.0
    return _shares(looks, LOOKS_A_BIN, target, recording.observed_s, steady, {}, launching)


def _workers(
    recording: Recording,
    profile: JobProfile,
    roles: Roles,
    main: Mapping[int, tuple[int, int]],
    by_thread: Mapping[tuple[int, int], Sequence[ThreadSample]],
    steady: Sequence[timeline.Span],
) -> Shares | None:
    """The activities of the threads that prepare data, their mean."""
    if profile.workers is None:
        return None
    kind, _ = loader_of(recording, roles, main, by_thread)
    looks: list[tuple[float, str]]
    if kind is not None and kind.worker_kind == "thread":
        others = {tid: own for (pid, tid), own in by_thread.items() if pid in main and (pid, tid) != main[pid]}
        found = workers.loader_threads(others, recording.stacks, kind).values()
        looks = sorted((look.sample.t, look.what) for own in found for look in own)
    else:
        samples = sorted((s for pid in roles.workers for s in by_thread.get((pid, pid), [])), key=lambda s: s.t)
        looks = _understood(samples, recording.stacks, kind)
    target = {name: getattr(profile.workers, name) for name in WORKER_PARTS}
    # No look tells a thread that runs from one that waits for a core: the kernel's totals do.
    return _shares(looks, WORKER_LOOKS_A_BIN, target, recording.observed_s, steady, {"run_queue": "compute"})


def _understood(
    samples: Sequence[ThreadSample], stacks: Sequence[Stack], kind: LoaderKind | None
) -> list[tuple[float, str]]:
    """When, and what each look at a worker saw. Large jobs have many looks, and few that differ."""
    known: dict[tuple[int | None, str, str | None], str] = {}
    looks = []
    for sample in samples:
        key = (sample.stack, sample.state, sample.target)
        if key not in known:
            stack = stacks[sample.stack] if sample.stack is not None else None
            known[key] = worker_activity(sample, stack, kind)
        looks.append((sample.t, known[key]))
    return looks


def _shares(
    looks: Sequence[tuple[float, str]],
    a_bin: int,
    target: Mapping[str, float] | None,
    whole: float,
    steady: Sequence[timeline.Span],
    like: Mapping[str, str],
    launching: float = 0.0,
) -> Shares | None:
    """Shares by bin, raked so that over the steady bins they add up to `target`, which rests on more than looks alone.

    A part of `target` that no look saw takes the shape of the part named in `like`, else an even one. `launching`: so much of the
    looks at the step counts as host work.
    """
    if not looks:
        return None
    count, bin_s = _bins(len(looks), a_bin, whole)
    tally: dict[str, list[float]] = {}
    total = [0] * count
    for t, what in looks:
        place = min(count - 1, max(0, int(t / bin_s)))
        tally.setdefault(what, [0.0] * count)[place] += 1
        total[place] += 1
    shares = {
        what: [n / all_ if all_ else 0.0 for n, all_ in zip(row, total, strict=True)] for what, row in tally.items()
    }
    if launching:
        step = shares.get("step", [0.0] * count)
        host = shares.get("host", [0.0] * count)
        shares["host"] = [seen + launching * share for seen, share in zip(host, step, strict=True)]
        shares["step"] = [(1 - launching) * share for share in step]
    inside = [place for place in range(count) if total[place] and timeline.inside((place + 0.5) * bin_s, steady)]
    if target is not None and inside:
        for what, share in target.items():
            if share > _LEAST_SHARE and not any(shares.get(what, ())):
                shape = shares.get(like.get(what, ""), [1.0] * count)
                shares[what] = [share * value for value in shape]
        _rake(shares, target, inside)
        _make_whole(shares, range(count))  # also the bins before and after the steady ones
    parts = {
        what: tuple(_tidy(share) if number else None for share, number in zip(row, total, strict=True))
        for what, row in shares.items()
        if max(row) > _LEAST_SHARE
    }
    order = (*TRAINING_PARTS, "evaluation", *WORKER_PARTS)
    return Shares(_tidy(bin_s, 6), {what: parts[what] for what in order if what in parts})


def _rake(shares: dict[str, list[float]], target: Mapping[str, float], places: Sequence[int]) -> None:
    """Iterative proportional fitting: each part's mean becomes its target, and each bin stays whole."""
    for _ in range(_ROUNDS):
        for what, row in shares.items():
            mean = sum(row[place] for place in places) / len(places)
            if mean > 0:
                for place in places:
                    row[place] *= target.get(what, 0.0) / mean
        _make_whole(shares, places)


def _make_whole(shares: dict[str, list[float]], places: Iterable[int]) -> None:
    """Each bin's shares add up to one."""
    for place in places:
        together = sum(row[place] for row in shares.values())
        if together > 0:
            for row in shares.values():
                row[place] /= together


def _batches(recording: Recording, main: Mapping[int, tuple[int, int]]) -> Track | None:
    """Batches a second that the loops were given, of all ranks together."""
    # The rest of the events, which are many, tell nothing of batches.
    counted = replace(recording, events=tuple(e for e in recording.events if isinstance(e, (Counter, Fact))))
    known = [p for pid in main if (p := timeline.progress_of(counted, pid)) is not None and len(p.points) > 2]
    if not known:
        return None
    least = min(int(progress.points[-1][1]) for progress in known)
    count, bin_s = _bins(least, BATCHES_A_BIN, recording.observed_s)
    return _track(bin_s, _binned_growth([progress.points for progress in known], count, bin_s))


def _growth(
    processes: Sequence[Sequence[ProcessSample]], read: Callable[[ProcessSample], float | None], whole: float
) -> Track | None:
    """A counter's growth per second, of all processes together."""
    lines = [[(s.t, float(value)) for s in own if (value := read(s)) is not None] for own in processes]
    lines = [line for line in lines if len(line) > 1]
    if not lines:
        return None
    count, bin_s = _bins(max(map(len, lines)), 1, whole)
    return _track(bin_s, _binned_growth(lines, count, bin_s))


def _binned_growth(lines: Sequence[Sequence[tuple[float, float]]], count: int, bin_s: float) -> list[float | None]:
    """Growth per second in each bin, read off between samples by straight lines. A line counts in the bins of which it
    covers half; where none does, nothing is known."""
    rates: list[float | None] = [None] * count
    for line in lines:
        grown, covered = [0.0] * count, [0.0] * count
        for (t0, v0), (t1, v1) in zip(line, line[1:], strict=False):
            if t1 <= t0:
                continue
            first, last = int(t0 / bin_s), int(t1 / bin_s)
            if first == last < count:  # most are: this is where large jobs spend their time
                grown[first] += max(0.0, v1 - v0)
                covered[first] += t1 - t0
                continue
            slope = max(0.0, v1 - v0) / (t1 - t0)
            for place in range(first, min(count - 1, last) + 1):
                seconds = min(t1, (place + 1) * bin_s) - max(t0, place * bin_s)
                if seconds > 0:
                    grown[place] += slope * seconds
                    covered[place] += seconds
        for place in range(count):
            if covered[place] >= bin_s / 2:
                rates[place] = (rates[place] or 0.0) + grown[place] / covered[place]
    return rates
