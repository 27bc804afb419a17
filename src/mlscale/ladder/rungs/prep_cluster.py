"""Rung 5: when nothing can be trimmed, other machines prepare the data."""

from mlscale.ladder.case import Case
from mlscale.ladder.result import RungResult
from mlscale.ladder.rung import Rung
from mlscale.ladder.wording import times

CITATION = 'White paper, "Distributed Computation Frameworks": a data preparation cluster, in extreme cases'
EVIDENCE = ("worker_cpu_fraction", "cpu_used_cores", "cpu_limit_cores", "prep_cpu_seconds_per_sample")
ADVICE = (
    "Prepare on other machines and stream ready batches (tf.data service, Ray Data), or prepare once with AWS Batch or EMR.",
)


def check(case: Case) -> RungResult:
    """Later while something can be trimmed; clear where computing is not the limit."""
    if case.profile.training is None:
        return RungResult("prep_cluster", "unknown", "No steady training was seen.", EVIDENCE, citation=CITATION)
    if case.bottleneck == "preprocessing" and case.too_small_to_hand_over:
        because = "To get so small a batch from elsewhere takes longer than to make it."
        return RungResult("prep_cluster", "blocked", because, EVIDENCE, citation=CITATION)
    if case.bottleneck == "preprocessing":
        because = f"Should trimming not do, CPUs of other machines would bring up to {times(case.endless_cores)}."
        return RungResult("prep_cluster", "later", because, EVIDENCE, case.endless_cores, ADVICE, CITATION)
    if case.bottleneck in ("loader_workers", "storage"):
        return RungResult("prep_cluster", "later", "This machine can still do more.", EVIDENCE, citation=CITATION)
    return RungResult("prep_cluster", "clear", "Preparation keeps up.", EVIDENCE, citation=CITATION)


PREP_CLUSTER = Rung(
    id="prep_cluster",
    title="A preparation cluster",
    question="Is there nothing left to trim, and still no core free?",
    why="Preparation then needs more CPUs than the training machine has; it is a system more to run, so it comes late.",
    thresholds=(),
    advice=ADVICE,
    citation=CITATION,
    check=check,
)
