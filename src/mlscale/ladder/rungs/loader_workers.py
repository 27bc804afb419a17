"""Rung 2: can the machine take more workers that prepare data?"""

from mlscale.ladder.case import USED_UP, WORTH, Case, is_kept, kept_workers
from mlscale.ladder.result import RungResult
from mlscale.ladder.rung import Rung, Threshold
from mlscale.ladder.wording import cores, count, pct, served_by, times
from mlscale.loaders.known import LOADERS
from mlscale.model.pipeline import MAX_WORKERS, WITHIN_BEST

CITATION = 'White paper, "Distributed Computation Frameworks": can the compute resources handle more processes?'
EVIDENCE = ("data_wait_fraction", "worker_busy_fraction", "worker_cpu_fraction", "cpu_used_cores", "cpu_limit_cores")
LARGE_BATCH_BYTES = 2e6  # some milliseconds to hand over
ADVICE = (
    "Raise num_workers to the fewest workers that bring nearly all there is; keep them (persistent_workers=True).",
    "Where workers wait for a remote store, more workers than cores do help; PyTorch's own warning is wrong there.",
)


def check(case: Case) -> RungResult:
    """Climb where the model says that other worker counts bring a tenth or more, or where the workers never idle and cores
    are free; else name what stands in the way."""
    profile, best, gain = case.profile, case.best_workers, case.more_workers
    if profile.training is None:
        return RungResult("loader_workers", "unknown", "No steady training was seen.", EVIDENCE, citation=CITATION)
    if case.bottleneck in ("gpu", "gpu_underfilled", "host", "checkpoint", "communication"):
        because = f"The training thread waits for data only {pct(case.share('data'))} of the time."
        if case.share("overlap"):
            because = (
                f"The GPU waits for data only {pct(case.lost('data'))} of the time: its kernels were launched ahead."
            )
        return RungResult("loader_workers", "clear", because, EVIDENCE, citation=CITATION)
    if case.bottleneck == "loader_workers" and (best is None or gain is None):
        because = (
            "The loader's own threads cannot keep up, and cores are free. No stack shows them: the gain is not known."
        )
        return RungResult("loader_workers", "climb", because, EVIDENCE, None, _native(case), CITATION)
    if best is None or gain is None:
        because = "How the workers' time divides could not be seen, so that more of them cannot be judged."
        return RungResult("loader_workers", "unknown", because, EVIDENCE, citation=CITATION)
    kept = kept_workers(case)
    if case.bottleneck == "loader_workers" and kept is not None and is_kept(case):
        because = (
            f"The loop waits {pct(case.turnover)} of the time at the turn of epochs ({case.profile.epochs_seen} were seen): "
            "each starts its workers anew."
        )
        return RungResult("loader_workers", "climb", because, EVIDENCE, kept, _keep(case), CITATION)
    if case.bottleneck == "loader_workers":
        return RungResult(
            "loader_workers", "climb", _because(case, best), EVIDENCE, gain, actions_of(case, best), CITATION
        )
    limit = "the store is at its limit" if case.bottleneck == "storage" else _core_limit(case)
    because = f"More workers would bring {times(gain)} at best: {limit}."
    return RungResult("loader_workers", "blocked", because, EVIDENCE, gain, (), CITATION)


def _native(case: Case) -> tuple[str, ...]:
    """More threads, in the loader's own terms."""
    loader = case.profile.job.loader
    own = [kind.more_threads for kind in LOADERS if loader is not None and kind.id == loader.kind and kind.more_threads]
    return tuple(own or ["Give the loader more threads, and let it prepare batches ahead"])


def _keep(case: Case) -> tuple[str, ...]:
    """Workers that outlive an epoch; where they do, the epoch itself can be longer."""
    return (
        f"DataLoader(..., num_workers={case.workers}, persistent_workers=True)",
        "Or make epochs longer: a sampler that goes through the data several times",
    )


def _because(case: Case, best: int) -> str:
    profile = case.profile
    data, workers, cpu = case.share("data"), profile.workers, profile.cpu
    if case.inline:
        because = f"The training thread prepares each batch itself ({pct(data)} of its time), while the GPU waits."
        sized = profile.hand_over
        if sized is not None and sized.batch_bytes >= LARGE_BATCH_BYTES:
            because += f" A batch holds {sized.batch_bytes / 1e6:.3g} MB, which is dear to get from a worker; it is counted in."
        return because
    free = cpu.limit_cores - cpu.job_cores - cpu.serving_cores if cpu is not None else 0.0
    if workers is not None and workers.io_wait > workers.compute:
        return (
            f"{count(case.workers, 'worker')} spend {pct(workers.io_wait)} of their time waiting for the store's answers; "
            "more can wait at the same time."
        )
    return f"{count(case.workers, 'worker')} cannot keep up, and {cores(max(0.0, free))} are free."


def _core_limit(case: Case) -> str:
    cpu, workers = case.profile.cpu, case.profile.workers
    if case.too_small_to_hand_over:
        return "to get a batch from a worker takes longer than to make it, so small it is"
    if workers is not None and workers.gil_wait > workers.compute:
        return "the threads wait for Python's interpreter lock"
    if cpu is None:
        return "the cores are used up"
    source = {
        "machine": "the machine has",
        "affinity": "its CPU affinity allows",
        "quota": "the container's quota allows",
    }
    others = served_by(cpu, ", ") + (f", and other programs use {cores(case.company)}" if case.company else "")
    return f"{cores(cpu.job_cores)} of the {cores(cpu.limit_cores)} that {source[cpu.limit_source]} are used{others}"


def actions_of(case: Case, best: int) -> tuple[str, ...]:
    """The exact change."""
    loader = case.profile.job.loader
    found = []
    if loader is not None and loader.kind == "pytorch":
        extra = "" if loader.persistent_workers else ", persistent_workers=True"
        found.append(f"DataLoader(..., num_workers={best}{extra})")
    elif loader is not None and loader.kind == "own":
        found.append(
            f"Make it a Dataset: DataLoader(..., num_workers={best}, persistent_workers=True) loads beside the loop"
        )
    elif loader is not None and loader.worker_kind == "thread":
        found.append(f"Prepare data in {best} threads (now {loader.workers})")
    else:
        found.append(f"Prepare data in {best} worker processes")
    cpu, workers, thread = case.profile.cpu, case.profile.workers, case.profile.training
    if cpu is not None and best > cpu.limit_cores:
        if workers is not None:
            waits = workers.io_wait > workers.compute
        else:
            waits = thread is not None and thread.data_io_wait > thread.data_cpu
        why = "these workers wait, they do not compute" if waits else "the extra ones smooth out uneven batches"
        found.append(f"PyTorch may warn that {best} is more than the {cores(cpu.limit_cores)} here: {why}")
    return tuple(found)


LOADER_WORKERS = Rung(
    id="loader_workers",
    title="More loader workers",
    question="Can the machine take more processes that prepare data?",
    why="It is the cheapest step: one number in the code, as long as cores are free or the waiting overlaps.",
    thresholds=(
        Threshold("worth doing from", f"{WORTH:g} times", "less cannot be told from a rerun's noise"),
        Threshold(
            "or: cores are free below",
            f"{USED_UP:.0%} of them in use",
            "and workers that never idle; beyond, threads wait for a core more often than they find one",
        ),
        Threshold(
            "fewest workers within", f"{WITHIN_BEST:.0%} of the best", "loadtune's rule; memory grows with workers"
        ),
        Threshold("most workers considered", str(MAX_WORKERS), "beyond, memory and /dev/shm bind first"),
    ),
    advice=ADVICE,
    citation=CITATION,
    check=check,
)
