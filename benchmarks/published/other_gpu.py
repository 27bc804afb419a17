"""A training step on another GPU: each published pair predicted by the product from the source's row alone.

A group that had a part in the shipped constants is left out of them: they are fitted again to the folder's other groups,
and so is their interval. A group that had none is predicted with the shipped constants, as a user gets them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.published.other_gpu_fit import Design, constants_of, name_of, one_way
from benchmarks.published.other_gpu_spread import SHEETS, asked_for, fit_spreads, predicted, residuals
from benchmarks.published.other_gpu_tables import Pair, pairs
from benchmarks.published.outcome import Outcome

from mlscale.calibration.other_gpu import read_constants
from mlscale.model.accelerator import OtherGpuConstants, path_on

SHIPPED = Path(__file__).parents[2] / "profiles" / "calibration" / "other_gpu.yaml"
STEPS = 4  # of the fit, from where all groups together had led


def outcomes(folder: Path) -> list[Outcome]:
    """Every pair of the folder's tables, predicted."""
    shipped = read_constants(SHIPPED)
    found = pairs(folder)
    refitted = left_out(found, shipped, only=set(shipped.groups))
    return [outcome(pair, refitted.get(name_of(pair), shipped)) for pair in found]


def left_out(found: Sequence[Pair], shipped: OtherGpuConstants, only: set[str]) -> dict[str, OtherGpuConstants]:
    """Constants for each group of `only`, fitted to all the other groups found."""
    names = sorted({name_of(pair) for pair in found} & only)
    if not names:
        return {}
    design = Design(one_way(found))
    all_of_them = design.fit()
    fitted = {}
    for name in names:
        keep = design.groups != name
        # What only this group named must not count as measured: it keeps its prior.
        theta = design.fit(keep, all_of_them, STEPS)
        fitted[name] = constants_of(
            design,
            theta,
            (),
            measured=[pair for pair in found if name_of(pair) != name],
            unmeasured=(
                shipped.unmeasured_log_sd,
                shipped.unmeasured_generation_log_sd,
                shipped.unmeasured_kind_log_sd,
            ),
        )
    tested = [pair for pair in found if name_of(pair) in fitted]
    groups = [name_of(pair) for pair in tested]
    errors = residuals(tested, [fitted[name] for name in groups], groups)
    for name in names:
        others = errors.group != name
        if others.any():
            known, total, batch = fit_spreads(errors, others)
            fitted[name] = replace(fitted[name], known_classes=known, total_only=total, batch_log_sd=batch)
    return fitted


def outcome(pair: Pair, constants: OtherGpuConstants) -> Outcome:
    """Seconds per sample on the target: measured, predicted, and by the ratio of the peaks."""
    estimate = predicted(pair, constants).s_per_sample
    return Outcome(
        pair.table,
        name_of(pair),
        f"{pair.what}: {pair.source.gpu} to {pair.target.gpu}",
        pair.target.s_per_sample,
        estimate.value,
        estimate.low,
        estimate.high,
        pair.source.s_per_sample * peak(pair.source.gpu, pair) / peak(pair.target.gpu, pair),
    )


def peak(gpu: str, pair: Pair) -> float:
    """The data sheet's peak on the path that the pair's precision takes."""
    path = path_on(SHEETS[gpu], asked_for(pair))
    assert path is not None
    return SHEETS[gpu].peak_flops[path]
