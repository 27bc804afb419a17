"""Rung 7: several GPUs in one node."""

from mlscale.ladder.case import Case
from mlscale.ladder.horizontal import check_gpu_rung
from mlscale.ladder.result import RungResult
from mlscale.ladder.rung import Rung

CITATION = 'White paper, "Distributed Computation Frameworks": one node with several GPUs before several nodes'
ADVICE = (
    "Use a node with several GPUs on NVLink (DistributedDataParallel); give each GPU as many CPUs as it has now.",
)


def check(case: Case) -> RungResult:
    """Only for a saturated GPU, after a bigger one."""
    return check_gpu_rung(case, "multi_gpu_node", "several", CITATION, ADVICE)


MULTI_GPU_NODE = Rung(
    id="multi_gpu_node",
    title="Several GPUs in one node",
    question="Is the strongest GPU at hand saturated, and still too slow?",
    why="GPUs of one node exchange gradients over NVLink, far faster than over any network.",
    thresholds=(),
    advice=ADVICE,
    citation=CITATION,
    check=check,
)
