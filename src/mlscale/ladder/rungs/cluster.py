"""Rung 8: a cluster of GPU nodes, last of all."""

from mlscale.ladder.case import Case
from mlscale.ladder.horizontal import check_gpu_rung
from mlscale.ladder.result import RungResult
from mlscale.ladder.rung import Rung

CITATION = 'White paper, "Distributed Computation Frameworks": a cluster when the largest node does not do'
ADVICE = (
    "Use the instances with the highest bandwidth (EFA) in one placement group, and exchange gradients in lower precision.",
)


def check(case: Case) -> RungResult:
    """Only for saturated GPUs, after a full node."""
    return check_gpu_rung(case, "cluster", "more nodes", CITATION, ADVICE)


CLUSTER = Rung(
    id="cluster",
    title="A cluster of nodes",
    question="Is the largest single node saturated, and still too slow?",
    why="Now data and gradients share the network, the slowest part of all.",
    thresholds=(),
    advice=ADVICE,
    citation=CITATION,
    check=check,
)
