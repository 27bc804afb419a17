"""How the training thread's time divides. Pure."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Sequence
from dataclasses import dataclass

from mlscale.profile.activity import (
    is_store,
    own_activity,
    telling_frame,
    training_activity,
    user_frame,
)
from mlscale.profile.counters import thread_shares
from mlscale.profile.job import FunctionShare, TrainingThread
from mlscale.profile.timeline import Span, runs
from mlscale.recording import Stack, ThreadSample

SURE_STEP = 0.02  # a share of the time in functions that are surely the step: then nothing else is taken for it
SAVE_GAP_S = 0.3  # looks at one save that lie further apart belong to two saves


@dataclass(frozen=True)
class Look:
    """One look at the training thread, understood. `what` is a fine activity."""

    sample: ThreadSample
    what: str
    stack: Stack | None


def understand(
    samples: Sequence[ThreadSample], stacks: Sequence[Stack], threads_load: bool, workers: bool
) -> list[Look]:
    """Names what each look saw. `threads_load`: threads of this process prepare the data; `workers`: processes do."""
    activity: dict[int, str] = {}
    looks = []
    for sample in samples:
        if sample.stack is None:
            looks.append(Look(sample, _without_stack(sample, workers), None))
            continue
        stack = stacks[sample.stack]
        what = activity.get(sample.stack)
        if what is None:
            what = activity[sample.stack] = training_activity(stack)
        if what == "own":
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
    return {"sleep": "sleep", "gpu": "gpu"}.get(target, "wait")


def divide(
    looks: Sequence[Look], spans: Sequence[Span], *, gpu_busy: float | None, inline: bool, ranks: int
) -> TrainingThread | None:
    """Shares of the loop's time. `gpu_busy`: of the GPU, where one is seen. None without looks."""
    if not looks:
        return None
    total = len(looks)
    share = {what: count / total for what, count in Tally(look.what for look in looks).items()}
    data = share.get("data", 0.0) + share.get("start", 0.0) + share.get("data_file", 0.0)
    save = share.get("save", 0.0)
    communication = share.get("communication", 0.0)
    step = share.get("step", 0.0) + share.get("gpu", 0.0)
    python, call = share.get("python", 0.0), share.get("call", 0.0)
    sleep, file, wait = share.get("sleep", 0.0), share.get("file", 0.0), share.get("wait", 0.0)
    if ranks > 1 and gpu_busy is None:
        # Without a GPU, a rank that blocks inside the backward pass waits for the others' gradients.
        blocked = sum(1 for look in looks if look.what == "step" and _blocked_in_backward(look)) / total
        communication, step = communication + blocked, step - blocked
    rest = max(0.0, 1 - data - save - communication)
    if gpu_busy is not None:
        # The GPU itself tells how much of the rest is the step. What overlaps it costs nothing.
        host = min(python + call + sleep + file + wait + step, max(0.0, rest - gpu_busy))
        step = rest - host
    else:
        host = python + file + wait
        if step >= SURE_STEP:
            host += sleep + call
        else:
            step += sleep + call
        step = max(0.0, rest - host)
    receive = 0.0 if inline else sum(1 for look in looks if _receives(look)) / total
    on_cpu = thread_shares([look.sample for look in looks], spans)
    data_looks = [look for look in looks if look.what in ("data", "data_file")]
    data_cpu = data_io = 0.0
    if inline and data_looks:
        data_cpu = sum(1 for look in data_looks if look.sample.state == "R") / total
        data_io = sum(1 for look in data_looks if in_store(look)) / total
    saves = runs([look.sample.t for look in looks], [look.what == "save" for look in looks], 0.0) if save else []
    saves = _merge(saves)
    span = (looks[-1].sample.t - looks[0].sample.t) or 1.0
    return TrainingThread(
        data=data,
        step=step,
        host=host,
        save=save,
        communication=communication,
        cpu=on_cpu[0] if on_cpu else sum(1 for look in looks if look.sample.state == "R") / total,
        data_cpu=data_cpu,
        data_io_wait=data_io,
        receive=receive,
        functions=_functions(looks, gpu_busy is not None, step_is_sure=share.get("step", 0.0) >= SURE_STEP),
        stacks_seen=sum(1 for look in looks if look.stack) > total / 2,
        samples=total,
        saves_seen=len(saves),
        save_seconds=save * span / len(saves) if saves else 0.0,
    )


def in_store(look: Look) -> bool:
    """Whether a look at a thread that loads data saw it wait for the store."""
    sample = look.sample
    return sample.state != "R" and (is_store(sample.target) or sample.state == "D" or sample.target == "sleep")


_RECEIVING = ("torch/multiprocessing/reductions.py", "multiprocessing/reduction.py", "multiprocessing/resource_sharer.py")


def _receives(look: Look) -> bool:
    """Whether a look at the loader's side of the training thread saw it take a batch over, rather than wait for one."""
    if look.what != "data" or not look.stack:
        return False
    return look.sample.state == "R" or any(part in frame.filename for frame in look.stack for part in _RECEIVING)


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


_NAMES = {"python": "host", "file": "host", "wait": "host", "data_file": "data", "start": "data", "gpu": "step"}


def _functions(looks: Sequence[Look], has_gpu: bool, step_is_sure: bool) -> tuple[FunctionShare, ...]:
    """Largest first: which function the thread was in, by activity."""
    tally: Tally[tuple[str, str, int | None, str]] = Tally()
    for look in looks:
        if not look.stack:
            continue
        what = _NAMES.get(look.what, look.what)
        if look.what in ("sleep", "call"):
            what = "host" if step_is_sure else "step"
        # The user's own function is what they can change; inside the loader it is the library's.
        frame = user_frame(look.stack) or telling_frame(look.stack)
        if frame is not None:
            tally[(frame.function, frame.filename, frame.line, what)] += 1
    return tuple(
        FunctionShare(name, filename, line, what, count / len(looks))
        for (name, filename, line, what), count in tally.most_common(12)
    )
