"""Rung 1: does the model train on a GPU at all?"""

from mlscale.ladder.case import Case
from mlscale.ladder.result import RungResult
from mlscale.ladder.rung import Rung, Threshold
from mlscale.ladder.wording import pct

CITATION = 'White paper, "Distributed Computation Frameworks": from CPUs to GPUs first'
COMPUTES = 0.5  # of the step's time on a CPU: then the CPU is what trains
ADVICE = (
    "Train on an instance with one GPU (G or P family): model.to('cuda'), and each batch with it.",
    "Then diagnose again: a GPU takes data faster than a CPU does, and the loader may not keep up.",
)


def check(case: Case) -> RungResult:
    """A GPU that is used: clear. A step that computes on the CPU: climb. A step that sleeps: somebody simulates one."""
    profile = case.profile
    thread = profile.training
    if profile.host.gpus:
        busy = case.measured("gpu_busy_fraction")
        shown = f", busy {pct(busy)} of the time" if busy is not None else ""
        return RungResult(
            "cpu_to_gpu",
            "clear",
            f"The job has a GPU: {profile.host.gpus[0].name}{shown}.",
            ("gpu_busy_fraction",),
            citation=CITATION,
        )
    reason = profile.host.gpu_missing_reason or "none is visible"
    if thread is None:
        return RungResult(
            "cpu_to_gpu", "unknown", f"No GPU was seen ({reason}), and no steady training.", citation=CITATION
        )
    if profile.host.accelerator_simulated:
        because = f"No GPU is visible ({reason}). The step sleeps: the accelerator is simulated, and its time is taken as given."
        return RungResult("cpu_to_gpu", "unknown", because, citation=CITATION)
    if thread.step > 0 and thread.cpu >= COMPUTES * thread.step and case.bottleneck == "gpu":
        because = f"The step computes on the CPU for {pct(thread.step)} of the time ({reason})."
        return RungResult("cpu_to_gpu", "climb", because, actions=ADVICE, citation=CITATION)
    return RungResult(
        "cpu_to_gpu", "later", f"No GPU is visible ({reason}); the step is not the limit yet.", citation=CITATION
    )


CPU_TO_GPU = Rung(
    id="cpu_to_gpu",
    title="From CPU to GPU",
    question="Does the model train on a GPU?",
    why="A GPU trains deep networks so much faster than a CPU that nothing else is worth doing before.",
    thresholds=(Threshold("share of the step on a CPU", f"{COMPUTES:g}", "more than half: the CPU is what computes"),),
    advice=ADVICE,
    citation=CITATION,
    check=check,
)
