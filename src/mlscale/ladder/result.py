"""What the ladder says: plain data between the rungs and the report. Names and meanings are the contract's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mlscale.model.speedup import SpeedUp

RungName = Literal[
    "cpu_to_gpu",
    "loader_workers",
    "data_store",
    "trim_preprocessing",
    "prep_cluster",
    "bigger_gpu",
    "multi_gpu_node",
    "cluster",
]
Status = Literal["clear", "climb", "blocked", "later", "unknown"]
Bottleneck = Literal[
    "loader_workers",
    "storage",
    "preprocessing",
    "host",
    "checkpoint",
    "gpu",
    "gpu_underfilled",
    "communication",
    "none",
    "inconclusive",
]


@dataclass(frozen=True)
class RungResult:
    """One rung, judged. `evidence` holds names of measurements; `citation` the white paper's section."""

    rung: RungName
    status: Status
    because: str
    evidence: tuple[str, ...] = ()
    expected_speedup: SpeedUp | None = None
    actions: tuple[str, ...] = ()
    citation: str = ""


@dataclass(frozen=True)
class Verdict:
    """Why the GPU waits. `headline` is one sentence for a tired person; `confidence` is 0 to 1."""

    bottleneck: Bottleneck
    headline: str
    confidence: float
    because: tuple[str, ...] = ()


@dataclass(frozen=True)
class NextStep:
    """The exact change to make. `rung` is None where the remedy is a code fix."""

    rung: RungName | None
    actions: tuple[str, ...] = ()
    expected_speedup: SpeedUp | None = None


@dataclass(frozen=True)
class Diagnosis:
    """The verdict, all rungs in the ladder's order, and the step to take."""

    verdict: Verdict
    ladder: tuple[RungResult, ...]
    next_step: NextStep
    warnings: tuple[str, ...] = ()
