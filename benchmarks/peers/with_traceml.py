"""TraceML: `traceml run train.py`, and two lines in a plain loop."""

from __future__ import annotations

CHANGE = "two lines, started by it"
NAMES = (
    (r"INPUT.BOUND", ("loader_workers", "storage", "preprocessing")),
    (r"COMPUTE.BOUND|BALANCED|HEALTHY", ("gpu",)),
    (r"RESIDUAL", ("host", "checkpoint")),
)
SHOWN = r"(?:Verdict|Why|Next):.*?(?=\s{2,}|\|)"


def main() -> None:
    import traceml_ai
    from benchmarks.peers.workload import Workload, tell

    workload = Workload()
    traceml_ai.init(mode="auto")
    for batch in workload.loader():
        with traceml_ai.trace_step(workload.model):
            workload.step(batch)
        if not workload.between():
            break
    tell(workload, "")  # it speaks itself, at the end


if __name__ == "__main__":
    main()
