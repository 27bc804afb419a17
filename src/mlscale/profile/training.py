"""How the training thread's time divides. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mlscale.loaders.kind import Where, on_stack
from mlscale.profile.activity import (
    ALL_TAKE_OVERS,
    is_store,
    own_activity,
    shown_name,
    telling_frame,
    training_activity,
    user_frame,
    waits_for_the_interpreter,
)
from mlscale.profile.counters import thread_shares, turns_per_s
from mlscale.profile.job import FunctionShare, TrainingThread
from mlscale.profile.timeline import Span, runs
from mlscale.profile.torn import whole_stacks
from mlscale.recording import Stack, ThreadSample

SURE_STEP = 0.02  # a share of the time in functions that are surely the step: then nothing else is taken for it
_DATA = ("data", "data_file")
BLIND = "blind"  # blocked, and neither the stack nor the system call may be seen
SAME_WITHIN = 3.0  # standard errors: farther apart is no chance
TELLING_WAIT = 0.5  # of chance: looks at even times err by half of it, and tell longer waits from none 14 times of 15
LEAST_IN_TIME = 0.5  # of the looks at a sleeping thread: where there are fewer, all count
FITTED = 20  # rounds of the fit: far more than it takes
SAVE_GAP_S = 0.3  # looks at one save that lie further apart belong to two saves


@dataclass(frozen=True)
class Look:
    """One look at the training thread, understood. `what` is a fine activity."""

    sample: ThreadSample
    what: str
    stack: Stack | None


def understand(
    samples: Sequence[ThreadSample],
    stacks: Sequence[Stack],
    threads_load: bool,
    workers: bool,
    own_loader: tuple[Where, ...] = (),
) -> list[Look]:
    """Names what each look saw. `threads_load`: threads of this process prepare the data; `workers`: processes do;
    `own_loader`: these functions of the loop's own do."""
    activity: dict[int, str] = {}
    looks = []
    whole = whole_stacks(samples, stacks, lambda stack: training_activity(stack) != "own")
    for sample in samples:
        stack = whole[sample.stack] if sample.stack is not None else None
        if sample.stack is None or stack is None:
            looks.append(Look(sample, _without_stack(sample, workers), None))
            continue
        what = activity.get(sample.stack)
        if what is None:
            what = "data" if on_stack(stack, own_loader) else training_activity(stack)
            activity[sample.stack] = what
        if sample.at_edge and what in ("own", "step"):
            what = "data"
        elif threads_load and what != "data" and waits_for_the_interpreter(sample, stack):
            what = "gil"
        elif what == "own":
            what = own_activity(sample)
        looks.append(Look(sample, what, stack))
    return looks


def _without_stack(sample: ThreadSample, workers: bool) -> str:
    """By state and wait alone: a pipe from the workers is data; a sleep or the GPU is the step."""
    target = sample.target or ""
    if sample.state == "R":
        return "call"
    if workers and target in ("pipe", "unix"):
        return "data"
    if is_store(target):
        return "data_file"
    if sample.target is None and sample.syscall is None:
        return BLIND
    return {"sleep": "sleep", "gpu": "gpu"}.get(target, "wait")


def weigh(looks: Sequence[Look], spans: Sequence[Span], *, throttled: bool) -> list[float]:
    """The share of the loop's time that each look stands for.

    A look needs a core, and finds one more easily while the job leaves one: running threads are seen too seldom. The
    kernel's totals say how much of the time the thread ran or wanted to; looks divide each part, not the whole. A look
    whose stack changed while it was read says only that the thread ran. One that had to wait for a core saw not the moment that
    chance had chosen but what came after it: of a thread that ran then, its next sleep. As many late looks at a sleep are such as
    looks at the running thread are missing; the others stand, for while the cores are full a thread sleeps elsewhere than else.
    """
    total = len(looks)
    stacks = any(look.stack for look in looks)
    running = [look.sample.state == "R" for look in looks]
    usable = [bool(look.stack) or not stacks for look in looks]
    asleep = [u and not r for r, u in zip(running, usable, strict=True)]
    share = sum(running) / total
    exact = thread_shares([look.sample for look in looks], spans)
    if exact is not None:
        ran = min(1.0, exact[0] + exact[1])
        # The kernel counts no run-queue wait while a quota holds the group back; it still shows as runnable.
        share = max(ran, share) if throttled else ran
    late = [a and look.sample.late for look, a in zip(looks, asleep, strict=True)]
    kept = 1.0
    if 0 < sum(late) <= (1 - LEAST_IN_TIME) * sum(asleep):
        kept -= min(1.0, max(0.0, share * total - sum(running)) / sum(late))
    counted = [(kept if slow else 1.0) if u else 0.0 for u, slow in zip(usable, late, strict=True)]
    sums = {flag: sum(c for r, c in zip(running, counted, strict=True) if r is flag) for flag in (True, False)}
    if not sums[True]:
        share = 0.0
    elif not sums[False]:
        share = 1.0
    part = {True: share, False: 1 - share}
    return [part[r] * c / sums[r] if sums[r] else 0.0 for r, c in zip(running, counted, strict=True)]


def _as_the_gpu_says(looks: Sequence[Look], weights: list[float], gpu_busy: float, queue: float) -> list[float]:
    """Where the share of looks in the step is the GPU's busy share but for chance, the GPU's is taken: it misses nothing.

    In its step the thread may wait for a core as well (of `queue`, its share of the time that it does so): while the GPU works,
    or once it is done. Which of both, looks say: what lies nearer. What the thread ran stays what the kernel counted; only what
    is left is chance (iterative proportional fitting, after Deming and Stephan 1940). Where the shares differ by more, the GPU
    works behind the thread's back (asynchronously), and both stand as they are.
    """
    in_step = [look.what in ("step", "gpu") for look in looks]
    runs = [look.sample.state == "R" for look in looks]
    step, ran, both = (
        sum(weight for weight, yes in zip(weights, flags, strict=True) if yes)
        for flags in (in_step, runs, [s and r for s, r in zip(in_step, runs, strict=True)])
    )
    told, chance = gpu_busy, _chance(step, len(looks))
    waits = min(queue, both)
    if step - gpu_busy > chance:
        told = min(step, gpu_busy + waits)
    elif waits > TELLING_WAIT * chance and step - gpu_busy > waits / 2:
        told = gpu_busy + waits
    if not 0 < step < 1 or abs(step - told) > chance:
        return weights
    for _ in range(FITTED):
        weights = _scaled(_scaled(weights, runs, ran), in_step, told)
    return weights


def _scaled(weights: Sequence[float], chosen: Sequence[bool], share: float) -> list[float]:
    """Weights of which those chosen add up to a share, and the others to the rest; as they are where there are none of one."""
    now = sum(weight for weight, yes in zip(weights, chosen, strict=True) if yes)
    if not 0 < now < 1:
        return list(weights)
    part = {True: share / now, False: (1 - share) / (1 - now)}
    return [weight * part[yes] for weight, yes in zip(weights, chosen, strict=True)]


def _exchanging(looks: Sequence[Look], weights: Sequence[float], gpu_busy: float, beside: float) -> Sequence[Look]:
    """A rank that blocks inside the backward pass waits for the others' gradients, where what is left of the step without
    that is what the GPU works, but for chance. Else the GPU may work there too, and nothing is said of single looks. Nor where
    threads `beside` it compute as long: with CUDA another one runs the backward pass."""
    blocked = [look.what == "step" and _blocked_in_backward(look) for look in looks]
    if beside >= sum(weight for weight, b in zip(weights, blocked, strict=True) if b):
        return looks
    left = sum(w for look, w, b in zip(looks, weights, blocked, strict=True) if look.what in ("step", "gpu") and not b)
    if abs(left - gpu_busy) > _chance(left, len(looks)):
        return looks
    return [replace(look, what="communication") if b else look for look, b in zip(looks, blocked, strict=True)]


def _chance(share: float, looks: int) -> float:
    """By how much a share of so many looks may be off."""
    return SAME_WITHIN * math.sqrt(max(share * (1 - share), 1e-4) / looks)


def _stopped_beyond(beyond_gpu: float, waits: float, looks: int) -> float:
    """By how much a quota stopped the thread for longer than looks have it (the kernel counts no such waits): what its step
    takes beyond the GPU's work says so better, where it is that wait but for chance."""
    chance = _chance(waits, looks)
    return beyond_gpu - waits if beyond_gpu > chance >= abs(beyond_gpu - waits) else 0.0


def _launching(looks: Sequence[Look], weights: Sequence[float], idle: float) -> float:
    """How much of `idle`, in which the GPU has nothing to do though the loop is in its step, the thread spends in torch: it
    launches kernels more slowly than the GPU works them off. Work of the user's own within the step comes first."""
    own = sum(weight for look, weight in zip(looks, weights, strict=True) if _runs_own_code(look))
    torch = sum(weight for look, weight in zip(looks, weights, strict=True) if look.what == "step" and _in_torch(look))
    return min(torch, idle - own) if idle - own > _chance(torch, len(looks)) else 0.0


def _runs_own_code(look: Look) -> bool:
    """Whether a thread computes in its step, and not in torch: in a function of the user's own that is named after the step."""
    return look.what == "step" and look.sample.state == "R" and bool(look.stack) and not _in_torch(look)


def _in_torch(look: Look) -> bool:
    return any("/torch/" in frame.filename for frame in look.stack or ())


def _overlap(gpu_busy: float | None, rest: float, looks: int) -> float:
    """Share of the time in which the GPU works although the thread waits, saves or exchanges: beyond chance, `rest` is all
    that the step can be."""
    if gpu_busy is None or gpu_busy - rest <= _chance(rest, looks):
        return 0.0
    return gpu_busy - rest


def divide(
    looks: Sequence[Look],
    spans: Sequence[Span],
    *,
    gpu_busy: float | None,
    inline: bool,
    ranks: int,
    throttled: bool = False,
    pinned: bool = False,
    beside: float = 0.0,
) -> TrainingThread | None:
    """Shares of the loop's time. `gpu_busy`: of the GPU, where one is seen. `pinned`: another thread takes batches over to pin
    them. `beside`: cores that other threads of its process use. None without looks."""
    if not looks:
        return None
    weights = weigh(looks, spans, throttled=throttled)

    def sum_of(chosen: Callable[[Look], bool]) -> float:
        return sum((weight for look, weight in zip(looks, weights, strict=True) if chosen(look)), 0.0)

    def share(*names: str) -> float:
        return sum_of(lambda look: look.what in names)

    def runnable(*names: str) -> float:
        return sum_of(lambda look: look.what in names and look.sample.state == "R")

    on_cpu = thread_shares([look.sample for look in looks], spans)

    def ran() -> tuple[float, float, float]:
        """Share of the time that the thread was runnable, and on a CPU; and what part of the first it waited for a core."""
        runs_share = sum_of(lambda look: look.sample.state == "R")
        cpu = on_cpu[0] if on_cpu else runs_share
        return runs_share, cpu, 1 - min(1.0, cpu / runs_share) if runs_share > 0 else 1.0

    if gpu_busy is not None:
        if ranks > 1:
            looks = _exchanging(looks, weights, gpu_busy, beside)
        weights = _as_the_gpu_says(looks, weights, gpu_busy, ran()[0] * ran()[2])
    runs_share, cpu, off_core = ran()
    data, save, communication = share("start", *_DATA), share("save"), share("communication")
    if gpu_busy is not None:
        # A loop that blocks, while the GPU idles, most likely waits for data; what else it was, nobody may see.
        data += min(share(BLIND), max(0.0, 1 - gpu_busy))
    step = share("step", "gpu")
    host_sure, unsure = share("python", "file", "wait", "gil"), share("sleep", "call")
    if ranks > 1:
        # A rank that blocks inside the backward pass, while the GPU has nothing to do, waits for the others' gradients; or for
        # the thread that runs that pass for it, and computes.
        blocked = max(0.0, sum_of(lambda look: look.what == "step" and _blocked_in_backward(look)) - beside)
        if gpu_busy is not None:
            blocked = min(blocked, max(0.0, 1 - data - save - communication - gpu_busy))
        communication, step = communication + blocked, step - blocked
    rest = max(0.0, 1 - data - save - communication)
    step_is_sure = step >= SURE_STEP
    host = min(rest, host_sure + (unsure if step_is_sure else 0.0))
    queue, queue_data = off_core * runs_share, off_core * runnable(*_DATA)
    launch = idle_in_step = 0.0
    if gpu_busy is not None:
        # The GPU itself tells how much of the rest is the step. What overlaps it costs nothing; and to wait for a core once it
        # is done is no work of the host.
        waits, beyond = min(queue, runnable("step", "gpu")), step - gpu_busy
        if not step_is_sure:
            waits, beyond = min(queue, runnable("step", "gpu", "call")), step + unsure - gpu_busy
            beyond = beyond if beyond > _chance(step + unsure, len(looks)) else 0.0
        waits = min(waits, max(0.0, beyond))
        idle = min(max(host, rest - gpu_busy - waits), max(0.0, rest - gpu_busy))
        idle_in_step, host = idle - host, idle
        launch = _launching(looks, weights, idle_in_step)
        if throttled:
            queue += _stopped_beyond(rest - host - gpu_busy, waits, len(looks))
        else:
            queue_data = min(queue_data, queue - waits)
    step = rest - host
    data_runs = (1 - off_core) * runnable(*_DATA)
    data_io = sum_of(lambda look: look.what in _DATA and in_store(look))
    saves = runs([look.sample.t for look in looks], [look.what == "save" for look in looks], 0.0) if save else []
    saves = _merge(saves)
    span = (looks[-1].sample.t - looks[0].sample.t) or 1.0
    return TrainingThread(
        data=data,
        step=step,
        host=host,
        save=save,
        communication=communication,
        cpu=cpu,
        data_cpu=data_runs if inline else 0.0,
        data_io_wait=data_io if inline else 0.0,
        start=share("start"),
        receive=0.0 if inline else data_runs,
        receive_wait=0.0 if inline else sum_of(_waits_to_take_over),
        pinned=pinned,
        queue=queue,
        queue_data=queue_data,
        gil=min(host, share("gil")),
        launch=launch,
        turns_per_s=turns_per_s([look.sample for look in looks]),
        overlap=_overlap(gpu_busy, rest, len(looks)),
        functions=_functions(looks, weights, step_is_sure, inline, idle_in_step > _chance(step, len(looks))),
        stacks_seen=any(look.stack for look in looks),
        samples=len(looks),
        saves_seen=len(saves),
        save_seconds=save * span / len(saves) if saves else 0.0,
    )


def in_store(look: Look) -> bool:
    """Whether a look at a thread that loads data saw it wait for the store."""
    sample = look.sample
    return sample.state != "R" and (is_store(sample.target) or sample.state == "D" or sample.target == "sleep")


def _waits_to_take_over(look: Look) -> bool:
    """Whether a thread is blocked while it takes a batch over: its worker's interpreter is not yet free to hand it out."""
    return look.what in _DATA and look.sample.state != "R" and on_stack(look.stack or (), ALL_TAKE_OVERS)


def _blocked_in_backward(look: Look) -> bool:
    return look.sample.state == "S" and bool(look.stack) and "/torch/autograd/" in (look.stack or ())[0].filename


def _merge(spans: Sequence[Span]) -> list[Span]:
    found: list[Span] = []
    for start, end in spans:
        if found and start - found[-1][1] < SAVE_GAP_S:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


_NAMES = {
    "python": "host",
    "file": "host",
    "wait": "host",
    "gil": "host",
    "data_file": "data",
    "start": "data",
    "gpu": "step",
}


def _functions(
    looks: Sequence[Look], weights: Sequence[float], step_is_sure: bool, inline: bool, idles_in_step: bool
) -> tuple[FunctionShare, ...]:
    """Largest first: which function the thread was in, by activity. `idles_in_step`: the GPU, while the loop is in its step."""
    tally: dict[tuple[str, str, int | None, str], float] = {}
    for look, weight in zip(looks, weights, strict=True):
        if not look.stack or not weight:
            continue
        what = _NAMES.get(look.what, look.what)
        if look.what in ("sleep", "call"):
            what = "host" if step_is_sure else "step"
        if idles_in_step and _runs_own_code(look):
            what = "host"
        # The user's own function is what they can change; of preparation, the function that takes the time.
        frame = telling_frame(look.stack) if inline and what == "data" else user_frame(look.stack)
        frame = frame or telling_frame(look.stack)
        if frame is not None:
            key = (shown_name(frame), frame.filename, frame.line, what)
            tally[key] = tally.get(key, 0.0) + weight
    largest = sorted(tally.items(), key=lambda item: -item[1])[:12]
    return tuple(FunctionShare(*key, share) for key, share in largest)
