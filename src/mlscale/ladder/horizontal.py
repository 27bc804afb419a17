"""The rungs that buy GPU: refused, in numbers, while something below them is the limit. Pure."""

from __future__ import annotations

from mlscale.ladder.case import Case
from mlscale.ladder.result import RungName, RungResult
from mlscale.ladder.wording import pct, trainer

EVIDENCE = ("gpu_busy_fraction", "data_wait_fraction", "host_busy_fraction")


def check_gpu_rung(case: Case, rung: RungName, what: str, citation: str, advice: tuple[str, ...]) -> RungResult:
    """`later` for a saturated GPU without a goal; `blocked` while the GPU waits for something else."""
    if case.profile.training is None:
        return RungResult(rung, "unknown", "No steady training was seen.", EVIDENCE, citation=citation)
    host = case.profile.host
    who = trainer(host)
    if case.bottleneck == "gpu":
        order = {
            "bigger_gpu": "This is the step if it has to go faster.",
            "multi_gpu_node": "After a bigger GPU.",
            "cluster": "Last.",
        }
        because = f"{who} is the limit, and no goal asks for more. {order[rung]}"
        if not host.gpus and not host.accelerator_simulated:
            because = "The step runs on the CPU: one GPU, of any size, comes before."
        return RungResult(rung, "later", because, EVIDENCE, None, advice, citation)
    if case.bottleneck == "gpu_underfilled":
        because = f"The GPU's units are mostly idle while it is busy: {what} would idle more."
        return RungResult(rung, "blocked", because, EVIDENCE, citation=citation)
    lost = sum(case.share(name) for name in ("data", "host", "save", "communication")) - case.share("overlap")
    gain = case.faster_step if case.bottleneck in ("loader_workers", "storage", "preprocessing") else None
    if rung == "bigger_gpu" and gain is not None:
        because = f"{who} waits {pct(lost)} of the time: even an endlessly fast one would bring {gain.value:.2f} times."
        return RungResult(rung, "blocked", because, EVIDENCE, gain, (), citation)
    used = max(0.0, 1 - lost)
    because = (
        f"{who} waits {pct(lost)} of the time: of two, each would be used {pct(used / 2)} unless that is cured first."
    )
    return RungResult(rung, "blocked", because, EVIDENCE, citation=citation)
