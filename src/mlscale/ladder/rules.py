"""Verdicts that are no rung: what each checks, why, and what cures it. Pure data; the decisions are in verdict.py."""

from __future__ import annotations

from dataclasses import dataclass

from mlscale.ladder.case import HOST_LARGEST, LAGS, WAIT_LARGEST, WAIT_TOTAL, WORTH
from mlscale.ladder.rung import Threshold
from mlscale.ladder.verdict import BUSY, UNDERFILLED_POWER, UNDERFILLED_SM
from mlscale.model.whatif import GIL_BOUND

_PAPER = 'White paper, "Distributed Computation Frameworks": evaluate GPU utilization first'
_LOST = Threshold(
    "of the loop's time",
    f"{WAIT_LARGEST:.0%}, and {WAIT_TOTAL:.0%} of all waiting",
    "a saturated GPU is busy above 90 %",
)


@dataclass(frozen=True)
class Rule:
    """A verdict without a rung."""

    id: str
    title: str
    question: str
    why: str
    thresholds: tuple[Threshold, ...]
    advice: tuple[str, ...]
    citation: str = _PAPER


RULES: tuple[Rule, ...] = (
    Rule(
        "storage",
        "The store is at its limit",
        "Do the workers sit in I/O, and would more of them bring nothing?",
        "Thread states tell waiting from computing; a limit, the device's queue or its latency tell whether there is more.",
        (_LOST, Threshold("more workers bring less than", f"{WORTH:g} times", "the queueing model, docs/model.md")),
        ("See the rung data_store.",),
    ),
    Rule(
        "preprocessing",
        "Preparation fills the cores",
        "Do the workers compute, with the cores, the container's quota or the GIL used up?",
        "The container's truth comes first: affinity, quota and throttled time, before any store is blamed.",
        (_LOST, Threshold("GIL", f"{GIL_BOUND:.0%} of a thread's time waiting for it", "stack and state of each look")),
        ("See the rungs trim_preprocessing and prep_cluster.",),
    ),
    Rule(
        "host",
        "The loop itself is busy",
        "Does the training thread spend its time outside the loader and the step?",
        "Python between two steps, logging and synchronisation leave the GPU idle; no hardware cures that.",
        (
            Threshold(
                "of the loop's time", f"{HOST_LARGEST:.0%}", "each loop has some Python, and takes its batches over"
            ),
        ),
        (
            "Take the named function out of the loop, or do it every N steps.",
            "Where the step itself launches kernels too slowly: CUDA graphs, torch.compile, a fused optimizer, larger batches.",
        ),
    ),
    Rule(
        "checkpoint",
        "Saves stall the loop",
        "Does the training thread write checkpoints while training waits?",
        "A save is short and rare, and so escapes averages; the stack shows it.",
        (_LOST,),
        ("Save asynchronously, less often, or to a faster store.",),
    ),
    Rule(
        "communication",
        "Ranks wait for each other",
        "Do the training threads wait in collectives?",
        "The rank that waits least is the one the others wait for.",
        (_LOST, Threshold("a rank lags when it waits less by", f"{LAGS:.0%} of the time", "TraceML's culprit rule")),
        ("Cure the rank that lags; else exchange less, or faster.",),
    ),
    Rule(
        "gpu",
        "The GPU is the limit",
        "Does the GPU hardly wait?",
        "Then the job is as fast as this GPU lets it be; only more GPU makes it faster.",
        (Threshold("busy from", f"{BUSY:.0%}", "NVML utilisation over the window"), _LOST),
        ("See the rungs bigger_gpu, multi_gpu_node and cluster.",),
    ),
    Rule(
        "gpu_underfilled",
        "Busy with idle units",
        "Is the GPU busy, and are its multiprocessors mostly idle?",
        "Utilisation counts a GPU as busy when any kernel runs, however small.",
        (
            Threshold("SMs active (GPM)", f"below {UNDERFILLED_SM:.0%} of the busy time", "Hopper and later"),
            Threshold(
                "power", f"below {UNDERFILLED_POWER:.0%} of the limit while busy", "before Hopper; not while throttled"
            ),
        ),
        ("Raise the batch size, fuse kernels, use CUDA graphs.",),
    ),
    Rule(
        "inconclusive",
        "No steady training",
        "Did the window hold steady training?",
        "Warm-up, evaluation and idleness say nothing about training.",
        (),
        ("Watch while the job trains, or longer.",),
    ),
)
