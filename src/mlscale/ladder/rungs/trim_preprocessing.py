"""Rung 4: is preparation limited by computing? Then only what is necessary should run."""

import dataclasses
import math

from mlscale.ladder.case import COMPANY, WORTH, Case, without_company
from mlscale.ladder.result import RungResult
from mlscale.ladder.rung import Rung, Threshold
from mlscale.ladder.verdict import SOME_GAIN
from mlscale.ladder.wording import cores, count, pct, place, programs
from mlscale.model.estimate import Z_90
from mlscale.model.pipeline import Pipeline, best_workers
from mlscale.model.speedup import SpeedUp
from mlscale.model.whatif import Change, Known, speedup
from mlscale.profile.images import AREA_RATIO
from mlscale.profile.job import Cpu, FunctionShare

CITATION = 'White paper, "Distributed Computation Frameworks": only necessary processes; reduce images beforehand'
EVIDENCE = ("worker_cpu_fraction", "prep_cpu_seconds_per_sample", "cpu_used_cores", "cpu_limit_cores")
TRIM_ERROR = 0.12  # of the CPU time that smaller images take: decoding is near to linear in pixels, not quite
TOO_MANY = 0.25  # of a worker's time in the run queue: workers stand in each other's way
ADVICE = (
    "Do once, before training, what is the same in every epoch: decode, resize, tokenise; store what the model takes.",
    "Use faster functions for what stays (pillow-simd, torchvision.io, DALI), and one thread per worker in their libraries.",
)

AT_ONCE = (
    "Take a batch from a tensor at once, data[indices], instead of sample by sample and collate_fn",
    "Raise batch_size: each batch costs the same few calls, however small it is",
)
Step = tuple[str, SpeedUp | None]  # what to do, and its promise where it can be computed


def check(case: Case) -> RungResult:
    """Climb where workers compute and the cores, the quota or the interpreter lock are used up."""
    profile = case.profile
    if profile.training is None:
        return RungResult("trim_preprocessing", "unknown", "No steady training was seen.", EVIDENCE, citation=CITATION)
    if case.bottleneck == "preprocessing":
        gain, actions = _step(case)
        return RungResult("trim_preprocessing", "climb", _because(case), EVIDENCE, gain, actions, CITATION)
    if case.bottleneck in ("loader_workers", "storage"):
        because = "More workers come first." if case.bottleneck == "loader_workers" else "The store comes first."
        return RungResult("trim_preprocessing", "later", because, EVIDENCE, citation=CITATION)
    return RungResult("trim_preprocessing", "clear", "Preparation keeps up.", EVIDENCE, citation=CITATION)


def _because(case: Case) -> str:
    cpu, workers = case.profile.cpu, case.profile.workers
    if workers is not None and workers.gil_wait > 0.1:
        used = f"{cores(cpu.worker_cores)} together" if cpu is not None else "one core together"
        return (
            f"The loader's threads wait {pct(workers.gil_wait)} of their time for Python's lock (GIL): they use {used}."
        )
    if case.too_small_to_hand_over:
        return (
            f"The training thread makes each batch itself ({pct(case.share('data'))} of its time), and the batches are too "
            "small for workers: to get one from them takes longer than to make it."
        )
    if cpu is None:
        return "Preparation computes, and cannot go faster."
    limits = {
        "machine": f"all {cores(cpu.limit_cores)} of the machine",
        "affinity": f"the {cores(cpu.limit_cores)} that the job is pinned to, of {case.profile.host.logical_cpus}",
        "quota": f"the container's quota of {cores(cpu.limit_cores)}, of {case.profile.host.logical_cpus}",
    }
    because = f"Preparation computes and uses up {limits[cpu.limit_source]} ({cores(cpu.job_cores)} in use)."
    if not case.cores_used_up:
        because = f"Preparation computes, {cores(cpu.job_cores)} of {limits[cpu.limit_source]}, and more workers bring nothing."
    if cpu.limit_source == "quota" and cpu.throttled_fraction:
        because += " The quota stops the job again and again."
    if case.company:
        because += f" Other programs use {cores(case.company)} of them{programs(cpu)}."
    top = heaviest(case)
    if top is not None:
        because += f" Most of it goes to {place(top)}."
    return because


def heaviest(case: Case) -> FunctionShare | None:
    """The function that takes most of the preparation's computing. A pipeline in C++ shows none."""
    workers, thread = case.profile.workers, case.profile.training
    if workers is None and not case.inline:
        return None
    functions = workers.functions if workers is not None else thread.functions if thread is not None else ()
    wanted = "compute" if workers is not None else "data"
    return next((function for function in functions if function.activity == wanted), None)


def _step(case: Case) -> tuple[SpeedUp | None, tuple[str, ...]]:
    """The cheapest change that frees computing, with its promise where it can be computed."""
    profile = case.profile
    cpu, workers, known = profile.cpu, profile.workers, case.known
    if known is not None and cpu is not None and workers is not None and workers.gil_wait > 0.1:
        target = _processes(known)
        instead = (
            f"Prepare data in {target.workers} processes instead of threads: DataLoader(num_workers={target.workers})"
        )
        return speedup(
            known,
            lambda p: dataclasses.replace(p, parallelism=None, workers=target.workers, step_s=p.step_s - known.lock_s),
        ), (instead,)
    steps = [step for step in (_own_limit(case), _company(case), _smaller(case)) if step is not None]
    # The cheapest that is worth it leads; else what brings most.
    steps.sort(key=lambda step: (0, 0.0) if _gain_of(step) >= WORTH else (1, -_gain_of(step)))
    actions = [action for action, _ in steps]
    gain = steps[0][1] if steps else None
    if case.too_small_to_hand_over and (gain is None or gain.value < WORTH):
        actions, gain = [*AT_ONCE, *actions], None
    if (
        case.best_workers is not None
        and workers is not None
        and workers.run_queue > TOO_MANY
        and not case.company
        and case.workers > case.best_workers
    ):
        actions.append(
            f"DataLoader(..., num_workers={case.best_workers}): {count(case.workers, 'worker')} wait {pct(workers.run_queue)} of "
            "their time for a core; fewer are as fast and take less memory"
        )
    top = heaviest(case)
    whose = "the training thread's time" if workers is None else "the workers' time"
    if top is not None and profile.oversized is None:
        actions.append(f"Make {place(top)} cheaper, or do it once before training: {pct(top.share)} of {whose}")
    if not actions:
        actions.append("Do once, before training, what is the same in every epoch")
    return gain, tuple(actions)


def _gain_of(step: Step) -> float:
    return step[1].value if step[1] is not None else 0.0


def _own_limit(case: Case) -> Step | None:
    """The cores that are there, and that this job may not use."""
    profile, cpu, known = case.profile, case.profile.cpu, case.known
    if known is None or cpu is None or cpu.limit_source == "machine":
        return None
    pinned = cpu.limit_source == "affinity"
    more = float(profile.host.logical_cpus if pinned else cpu.affinity_cores)
    what = "the CPU affinity (taskset, srun --cpus-per-task)" if pinned else "the container's CPU quota"
    gain = speedup(known, lambda p: lifted(p, cpu, more))
    return f"Raise {what} from {cores(cpu.limit_cores)} to {cores(more)}", gain


def _company(case: Case) -> Step | None:
    """The cores that other programs take."""
    cpu, known = case.profile.cpu, case.known
    if known is None or cpu is None or not case.company:
        return None
    gain = speedup(known, without_company)
    if gain.value < SOME_GAIN:
        return None
    return f"Move the other programs elsewhere{programs(cpu)}: they use {cores(case.company)}", gain


def _smaller(case: Case) -> Step | None:
    """Images stored at the size that the model takes."""
    oversized, known = case.profile.oversized, case.known
    if oversized is None:
        return None
    stored, used = oversized.stored, oversized.used
    freed, left = oversized.freed, 1 - oversized.freed
    seen = Z_90 * math.sqrt(freed * left / max(oversized.looks, 1)) / left
    error = math.hypot(TRIM_ERROR, seen)
    action = (
        f"Store the images at {used[0]}x{used[1]} pixels: they are {stored[0]}x{stored[1]} and are shrunk each time"
    )
    if known is None:
        return action, None
    bounds = (_preparing(left * (1 + error)), _preparing(left / (1 + error)))
    return action, speedup(known, _preparing(left), at_bounds=bounds)


def _preparing(left: float) -> Change:
    """Preparation that takes this part of its CPU time."""
    return lambda p: dataclasses.replace(p, prepare_cpu_s=p.prepare_cpu_s * left)


def lifted(pipeline: Pipeline, cpu: Cpu, cores_then: float) -> Pipeline:
    """The same job with more cores."""
    machine = pipeline.machine_cores if cpu.limit_source == "quota" else cores_then
    return dataclasses.replace(pipeline, cores=cores_then, machine_cores=machine)


def _processes(known: Known) -> Pipeline:
    """The same work in processes, each with a lock of its own."""
    pipeline = known.pipeline
    free = dataclasses.replace(pipeline, parallelism=None, step_s=pipeline.step_s - known.lock_s)
    return dataclasses.replace(free, workers=best_workers(free))


TRIM_PREPROCESSING = Rung(
    id="trim_preprocessing",
    title="Only necessary preprocessing",
    question="Do the processes that prepare data compute all the time, with no core left?",
    why="What is computed again in every epoch can be computed once; that frees cores without buying any.",
    thresholds=(
        Threshold("stored larger than used", f"{AREA_RATIO:g} times the pixels", "1.4 times the edge: decoding halves"),
        Threshold("other programs named from", f"{COMPANY:.0%} of the cores", "less is any machine's own work"),
        Threshold("too many workers", f"{TOO_MANY:.0%} of a worker's time in the run queue", "schedstat"),
        Threshold("error of the CPU time left", f"{TRIM_ERROR:.0%}", "decoding is near to linear in pixels, not quite"),
    ),
    advice=ADVICE,
    citation=CITATION,
    check=check,
)
