"""The 90 % interval of `mlscale.model.accelerator`, from the residuals of groups left out.

The figures are those that make the interval score least: the mean width plus twenty times what sticks out, whose optimum
covers 90 % with intervals as narrow as the features allow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from benchmarks.published.other_gpu_sheets import accelerators
from benchmarks.published.other_gpu_tables import Pair
from numpy.typing import NDArray

from mlscale.catalog.types import Precision, StepCost
from mlscale.model.accelerator import OnTarget, OtherGpuConstants, Spread, predict, predict_total
from mlscale.model.estimate import Z_90

SHEETS = accelerators()
OVER_PCIE = frozenset(("A100-PCIe-40GB", "A100-PCIe-80GB", "H100-PCIe", "A30", "L40S", "L4", "A10", "A40"))
NOTHING = Spread(0.0, 0.0, 0.0)


def predicted(pair: Pair, constants: OtherGpuConstants) -> OnTarget:
    """The product's prediction of the pair's target from its source."""
    source, target = SHEETS[pair.source.gpu], SHEETS[pair.target.gpu]
    precision = asked_for(pair)
    if pair.source.shares:
        matrix, memory, host = (share * pair.source.s_per_sample for share in pair.source.shares)
        step = StepCost(pair.source.gpu, precision, int(pair.source.batch or 1), matrix, memory, host)
        found = predict(step, pair.domain, source, target, constants)
    else:
        ratio = pair.source.batch / pair.target.batch if pair.source.batch and pair.target.batch else 1.0
        found = predict_total(pair.source.s_per_sample, precision, pair.domain, source, target, constants, ratio)
    assert found is not None, (pair.source, pair.target)
    if not pair.eight:
        return found
    # The exchange among eight is the node's affair, not the step's; MLPerf's rows have it inside.
    slower = constants.eight_over_pcie.get(pair.domain, constants.eight_over_pcie.get("other", 0.0))
    factor = math.exp(slower * ((pair.target.gpu in OVER_PCIE) - (pair.source.gpu in OVER_PCIE)))
    return replace(found, s_per_sample=found.s_per_sample.times(factor))


def asked_for(pair: Pair) -> Precision:
    """The precision that a user would state: TF32 where either side may use it for FP32, else the source's."""
    return "tf32" if "tf32" in (pair.source.precision, pair.target.precision) else pair.source.precision


@dataclass(frozen=True)
class Residuals:
    """Errors of predictions (log) and what their spread may depend on, for one or more pairs."""

    error: NDArray[np.float64]
    known: NDArray[np.bool_]
    features: NDArray[np.float64]  # 1, gap of the classes' speed-ups, predicted ratio, ratio of the batches
    fixed: NDArray[np.float64]  # variance that does not depend on the figures sought: something was not measured
    group: NDArray[np.str_]


def residuals(pairs: Sequence[Pair], constants: Sequence[OtherGpuConstants], names: Sequence[str]) -> Residuals:
    """Each pair's residual under the constants that go with it."""
    probes: list[list[float]] = []
    errors = []
    for pair, fitted in zip(pairs, constants, strict=True):
        bare = replace(
            fitted,
            known_classes=NOTHING,
            total_only=NOTHING,
            batch_log_sd=0.0,
            unmeasured_log_sd=0.0,
            unmeasured_generation_log_sd=0.0,
            unmeasured_kind_log_sd=0.0,
        )
        value = predicted(pair, bare).s_per_sample.value
        errors.append(math.log(pair.target.s_per_sample / value))
        gap, ratio = Spread(0.0, 1.0, 0.0), Spread(0.0, 0.0, 1.0)
        unmeasured = replace(
            bare,
            unmeasured_log_sd=fitted.unmeasured_log_sd,
            unmeasured_generation_log_sd=fitted.unmeasured_generation_log_sd,
            unmeasured_kind_log_sd=fitted.unmeasured_kind_log_sd,
        )
        probes.append(
            [
                predicted(pair, one).s_per_sample.log_sd
                for one in (
                    replace(bare, known_classes=gap, total_only=gap),
                    replace(bare, known_classes=ratio, total_only=ratio),
                    replace(bare, batch_log_sd=1.0),
                    unmeasured,
                )
            ]
        )
    table = np.array(probes)
    return Residuals(
        np.array(errors),
        np.array([bool(pair.source.shares) for pair in pairs]),
        np.column_stack([np.ones(len(pairs)), table[:, :3]]),
        table[:, 3] ** 2,
        np.array(names),
    )


def fit_spreads(found: Residuals, keep: NDArray[np.bool_]) -> tuple[Spread, Spread, float]:
    """Known classes' spread, that of totals, and the batch's, from the residuals that are kept."""
    known = _least_score(found, keep & found.known, np.array([0.1, 0.1, 0.1, 0.0]))
    total = _least_score(found, keep & ~found.known, np.array([0.15, 0.1, 0.1, 0.1]))
    if known is None:
        known = total
    if total is None:
        total = known
    assert known is not None and total is not None
    return Spread(*map(float, known[:3])), Spread(*map(float, total[:3])), float(total[3])


def _least_score(found: Residuals, keep: NDArray[np.bool_], start: NDArray[np.float64]) -> NDArray[np.float64] | None:
    if not keep.any():
        return None
    error, squares, fixed = np.abs(found.error[keep]), found.features[keep] ** 2, found.fixed[keep]
    names, which, counts = np.unique(found.group[keep], return_inverse=True, return_counts=True)
    weight = 1 / np.sqrt(counts[which])  # between every row alike and every group alike

    def score(figures: NDArray[np.float64]) -> float:
        half_width = Z_90 * np.sqrt(squares @ figures**2 + fixed)
        return float(weight @ (2 * half_width + 20 * np.maximum(0.0, error - half_width)))

    best, least, step = start, score(start), 0.5
    while step > 0.02:
        moved = False
        for place in range(len(best)):
            if not best[place]:
                continue
            for factor in (1 + step, 1 / (1 + step)):
                trial = best.copy()
                trial[place] = min(max(trial[place] * factor, 0.005), 2.0)
                told = score(trial)
                if told < least - 1e-9:
                    best, least, moved = trial, told, True
        if not moved:
            step /= 2
    return best * few(len(names))


def few(groups: int) -> float:
    """How much wider an interval must be that was seen in so few groups: Student's t over the normal, 90 %."""
    free = max(groups - 1, 1)
    z = Z_90
    student = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    return float(student / z)
