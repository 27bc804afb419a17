"""What a thread is doing, from one look at it: its stack, its state, and what it waits on. Pure."""

from __future__ import annotations

import re

from mlscale.loaders.kind import LoaderKind, Where, depth_of, on_stack
from mlscale.loaders.known import LOADERS
from mlscale.recording import Stack, StackFrame, ThreadSample

ALL_WAITS = tuple(place for kind in LOADERS for place in kind.waits)
ALL_TAKE_OVERS = tuple(place for kind in LOADERS for place in kind.takes_over)
ALL_STARTS = tuple(place for kind in LOADERS for place in kind.starts)

# Saving: the functions that people's checkpoints end up in.
_SAVES = (
    Where("save", "torch/serialization.py"),
    Where("*", "torch/distributed/checkpoint/state_dict_saver.py"),
    Where("save_file", "safetensors/torch.py"),
    Where("save", "jax/experimental/orbax.py"),
)
_SAVE_NAMES = ("save_checkpoint", "save_model", "save_state", "save_pretrained", "write_checkpoint")
# And names that users give to their own function around it: its fsync, its copy to a bucket and its renaming are the save too.
_OWN_SAVE = re.compile(
    r"(save|checkpoint|snapshot)"
    r"|(do|make|maybe|try|periodic|write|dump|store|take|save)?(checkpoint|ckpt|snapshot)(s|ing)?(to\w+)?"
    r"|(save|dump|write)(all|latest|last|best)?(model|state|statedict|weights|params|training)(s|to\w+)?"
)
_COMMUNICATION = (
    Where("*", "torch/distributed/distributed_c10d.py"),
    Where("*", "torch/distributed/_functional_collectives.py"),
    Where("*", "torch/distributed/algorithms/join.py"),
)
_STEP_PARTS = (
    "/torch/nn/",
    "/torch/autograd/",
    "/torch/optim/",
    "/torch/_tensor.py",
    "/torch/amp/",
    "/torch/_dynamo/",
    "/torch/_inductor/",
    "/torch/cuda/",
    "/torch/_compile.py",
    "/tensorflow/python/eager/",
    "/keras/src/",
    "/jax/_src/",
)
# Names that users give to the step itself; a step that is one long call leaves no other trace on the stack.
_STEP_NAMES = ("forward", "backward", "step", "train_batch", "compute_loss", "forward_backward")
_EVALUATION_STARTS = ("evaluat", "validat", "eval_", "_evaluat", "_validat", "run_eval", "run_valid")

IDLE_WAITS = ("pipe", "unix", "futex", "child", "eventfd", "anon_inode")


def name_of(frame: StackFrame) -> str:
    """The function's own name, without its class."""
    return frame.function.rpartition(".")[2]


def shown_name(frame: StackFrame) -> str:
    """The name by which people know a function: without the function that it was made in."""
    return frame.function.rpartition("<locals>.")[2]


def is_library(frame: StackFrame) -> bool:
    """Whether a frame belongs to the standard library or to an installed package, and not to the user's code."""
    name = frame.filename
    return (
        name.startswith("<frozen") or "/site-packages/" in name or "/dist-packages/" in name or "/lib/python3" in name
    )


def names_a_step(frame: StackFrame) -> bool:
    """Whether a function's name says that it is the training step."""
    name = name_of(frame).lower()
    return name in _STEP_NAMES or name.endswith("_step") or name.startswith("step_")


def _own_save(stack: Stack) -> bool:
    """Whether a function of the user's own says by its name that it saves the training's state.

    Inside the model's own layers, a checkpoint is one of activations, and a part of the step.
    """
    for frame in reversed(stack):
        if "/torch/nn/" in frame.filename or "/torch/autograd/" in frame.filename:
            return False
        if not is_library(frame) and _OWN_SAVE.fullmatch(name_of(frame).lower().replace("_", "")):
            return True
    return False


def training_activity(stack: Stack) -> str:
    """data, start, save, communication, evaluation, step, or "own": the user's code, which the state must tell apart."""
    if any(name_of(frame).startswith(_EVALUATION_STARTS) for frame in stack):
        return "evaluation"
    if on_stack(stack, ALL_STARTS):
        return "start"
    if on_stack(stack, ALL_WAITS):
        return "data"
    if on_stack(stack, _SAVES) or any(name_of(frame).startswith(_SAVE_NAMES) for frame in stack) or _own_save(stack):
        return "save"
    if on_stack(stack, _COMMUNICATION):
        return "communication"
    if any(part in frame.filename for frame in stack for part in _STEP_PARTS):
        return "step"
    if any(names_a_step(frame) for frame in stack if not is_library(frame)):
        return "step"
    return "own"


def own_activity(sample: ThreadSample) -> str:
    """What the user's code does outside any known function: python, call, sleep, file, gpu, wait."""
    if sample.state == "R":
        return "python" if sample.moved else "call"
    target = sample.target or ""
    if target == "sleep":
        return "sleep"
    if target == "gpu":
        return "gpu"
    if target.startswith(("file:", "fault:")):
        return "file"
    return "wait"


def waits_for_the_interpreter(sample: ThreadSample, stack: Stack) -> bool:
    """Whether a thread that shares its interpreter is blocked in the middle of the user's code: another has the GIL."""
    return (
        sample.target == "futex" and sample.state == "S" and not is_library(stack[0]) and not _waits_for_a_lock(stack)
    )


def is_store(target: str | None) -> bool:
    """Whether a wait is for a place that data comes from."""
    return target is not None and target.startswith(("file:", "fault:", "socket:"))


def worker_activity(sample: ThreadSample, stack: Stack | None, kind: LoaderKind | None) -> str:
    """compute, io_wait, gil_wait, hand_over, idle or other, of a thread that prepares data."""
    target = sample.target
    if kind is not None and stack:
        prepares = depth_of(stack, kind.worker_prepares)
        inside = prepares is not None or not kind.worker_prepares
        idle, hand_over = depth_of(stack, kind.worker_idle), depth_of(stack, kind.worker_hand_over)
        if prepares is None and hand_over is not None and sample.state != "R":
            return "hand_over"
        if prepares is None and idle is not None and sample.state != "R":
            return "idle"
        if sample.state == "R":
            return "compute"
        if is_store(target) or sample.state == "D":
            return "io_wait"
        if target == "sleep":
            # A data set that sleeps stands in for a store that answers late.
            return "io_wait" if inside else "idle"
        if target == "running":
            return "compute"
        if target == "futex":
            # Blocked in the middle of its own code, with no lock of its own in sight: another thread has the GIL.
            return "gil_wait" if kind.worker_kind == "thread" and not _waits_for_a_lock(stack) else "other"
        return "other" if inside else "idle"
    # Without a stack: by the state alone.
    if sample.state == "R" or target == "running":
        return "compute"
    if is_store(target) or sample.state == "D":
        return "io_wait"
    if target == "sleep":
        return "io_wait"
    return "idle"


_LOCKS = ("/threading.py", "/queue.py", "concurrent/futures/_base.py", "concurrent/futures/thread.py", "asyncio/")


def _waits_for_a_lock(stack: Stack) -> bool:
    """Whether the leaf is a lock or queue of its own."""
    return any(part in stack[0].filename for part in _LOCKS)


def user_frame(stack: Stack) -> StackFrame | None:
    """The frame by which people know what this is: the leaf-most of the user's own code.

    Where that is a script's top level, what the script calls there: a whole script is nothing to look for a fault in.
    """
    for depth, frame in enumerate(stack):
        if not is_library(frame) and not _is_nameless(frame):
            return stack[depth - 1] if depth and frame.function == "<module>" else frame
    return None


def _is_nameless(frame: StackFrame) -> bool:
    """A comprehension or lambda: the function around it is what people know."""
    return name_of(frame) in ("<genexpr>", "<listcomp>", "<dictcomp>", "<setcomp>", "<lambda>")


def telling_frame(stack: Stack) -> StackFrame | None:
    """The function to name: the leaf-most one outside the standard library's plumbing."""
    for frame in stack:
        name = frame.filename
        plumbing = name.startswith("<frozen") or ("/lib/python3" in name and "-packages/" not in name)
        if not plumbing and not _is_nameless(frame):
            return frame
    return stack[0] if stack else None
