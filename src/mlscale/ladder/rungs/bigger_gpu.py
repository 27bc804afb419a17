"""Rung 6: the GPU is saturated; is there a more powerful one?"""

from mlscale.ladder.case import WAIT_TOTAL, Case
from mlscale.ladder.horizontal import check_gpu_rung
from mlscale.ladder.result import RungResult
from mlscale.ladder.rung import Rung, Threshold

CITATION = 'White paper, "Distributed Computation Frameworks": a more powerful GPU before several'
ADVICE = ("Try the next GPU generation, then diagnose again: a faster GPU may move the bottleneck to the data.",)


def check(case: Case) -> RungResult:
    """Only for a saturated GPU."""
    return check_gpu_rung(case, "bigger_gpu", "a bigger one", CITATION, ADVICE)


BIGGER_GPU = Rung(
    id="bigger_gpu",
    title="A bigger GPU",
    question="Is the GPU saturated, and still too slow?",
    why="One stronger GPU needs no change to the code and no communication; several do.",
    thresholds=(
        Threshold("saturated below", f"{WAIT_TOTAL:.0%} of the loop lost", "GPU busy nine tenths of the time"),
    ),
    advice=ADVICE,
    citation=CITATION,
    check=check,
)
