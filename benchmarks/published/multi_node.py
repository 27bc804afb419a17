"""From one node, or the smallest cluster, to several nodes: samples/s from one measured run (docs/model-exchange.md)."""

from __future__ import annotations

from pathlib import Path

from benchmarks.published import scaling_predict
from benchmarks.published.outcome import Outcome


def outcomes(folder: Path) -> list[Outcome]:
    """Predictions beside the truth; `naive` is linear scaling."""
    return scaling_predict.outcomes(folder.resolve(), "multi_node")
