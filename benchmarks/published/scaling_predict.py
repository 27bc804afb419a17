"""Predicts published scaling pairs with the shipped model and constants; the group of a pair is left out of every fit.

Groups that had no part in the shipped constants are predicted by these. Of the others, the constants are fitted again on
the folder's pairs without the group: in folds of several groups, all of which are left out together.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from benchmarks.published.outcome import Outcome
from benchmarks.published.scaling_fit import (
    Array,
    Data,
    Layout,
    base_step_s,
    batch_ratio,
    data_of,
    fit,
    gradient_bytes,
    publisher,
)
from benchmarks.published.scaling_more_rows import pairs_of
from benchmarks.published.scaling_rows import Pair

from mlscale.calibration.exchange import read_exchange_constants
from mlscale.model.estimate import Z_90, Estimate
from mlscale.model.exchange import Cluster, ExchangeConstants, Link, ScaledStep, Spread, Traits, scaled_step

CONSTANTS = Path(__file__).parent.parent.parent / "profiles" / "calibration" / "exchange.yaml"
FOLDS = 12
HELD = 0.92  # share of residuals that the intervals hold where they are fitted, so that about 90 % of new groups' do
NETWORK_EFFICIENCY = {"rdma": 0.75}  # prior: of the nominal rate, as all-reduce tests over EFA and InfiniBand give
SPREAD_START = {"base": 0.03, "per_exchange": 0.3, "per_doubling": 0.01, "per_batch": 0.1, "unknown_site": 0.05}


def predict(pair: Pair, constants: ExchangeConstants) -> ScaledStep:
    """The goal's step from the base's, by the planner's own function."""
    base, goal = pair.base, pair.goal
    return scaled_step(
        Estimate(base_step_s(pair)),
        gradient_bytes(pair),
        max(1.0, goal.gpus / goal.nodes),
        goal.nodes,
        Link(pair.fabric, pair.network, pair.network_bytes_per_s),
        constants,
        sharded=pair.sharded,
        accumulation=goal.accumulation,
        traits=Traits(pair.framework, pair.domain, pair.site, publisher(pair)),
        measured=Cluster(max(1.0, base.gpus / base.nodes), base.nodes, base.accumulation),
        batch_ratio=batch_ratio(pair),
    )


def outcome(pair: Pair, constants: ExchangeConstants) -> Outcome:
    """The prediction of samples/s beside the truth; naive: as many times faster as there are GPUs."""
    step = predict(pair, constants)
    linear = pair.base.samples_per_s * pair.goal.gpus / pair.base.gpus
    value, wide = linear * step.efficiency, math.exp(Z_90 * step.log_sd)
    truth = pair.goal.samples_per_s
    return Outcome(pair.table, pair.group, pair.what, truth, value, value / wide, value * wide, linear)


def outcomes(folder: Path, class_name: str) -> list[Outcome]:
    """The outcomes of one class."""
    return [found for pair, found in _all(folder) if pair.class_name == class_name]


@functools.lru_cache(maxsize=2)
def _all(folder: Path) -> list[tuple[Pair, Outcome]]:
    pairs = pairs_of(folder)
    shipped = read_exchange_constants(CONSTANTS)
    left_out = without_group(pairs, shipped) if any(pair.group in shipped.groups for pair in pairs) else {}
    return [(pair, outcome(pair, left_out.get(pair.group, shipped))) for pair in pairs]


def without_group(pairs: Sequence[Pair], shipped: ExchangeConstants) -> dict[str, ExchangeConstants]:
    """For every group of the pairs that had a part in the shipped constants: constants fitted without it."""
    data = data_of(pairs, shipped.fabrics)
    layout = Layout(data, shipped.fabrics, NETWORK_EFFICIENCY)
    whole = fit(data, layout)
    fold = folds(data)
    fits = [fit(data.rows(fold != number), layout, whole, steps=8) for number in range(FOLDS)]
    constants = [constants_of(x, layout, shipped, data.rows(fold != number)) for number, x in enumerate(fits)]
    # Intervals, too, come from residuals of other groups only, each of them left out of its own fit.
    steps = [predict(pair, constants[int(fold[i])]) for i, pair in enumerate(pairs)]
    found = {}
    for number in range(FOLDS):
        others = [i for i in range(len(pairs)) if fold[i] != number]
        spread = spreads([pairs[i] for i in others], [steps[i] for i in others], constants[number])
        fitted = dataclasses.replace(constants[number], spread=spread)
        found |= {data.group_names[j]: fitted for j in set(data.groups[fold == number])}
    return {group: fitted for group, fitted in found.items() if group in shipped.groups}


def folds(data: Data) -> Array:
    """The fold of each pair: groups are dealt out in turn, so that a fold takes few from any one table."""
    return np.array([int(group) % FOLDS for group in data.groups])


def constants_of(x: Array, layout: Layout, shipped: ExchangeConstants, data: Data) -> ExchangeConstants:
    """The fitted vector as the model's constants. Names that no pair of the fit had are dropped: they say nothing."""
    s = layout.scalars(x)
    seen = {level: {data.names[level][j] for j in set(index)} for level, index in data.index.items()}
    factors = {
        level: {name: value for name, value in names.items() if name in seen[level]}
        for level, names in layout.factors(x).items()
    }
    return dataclasses.replace(
        shipped,
        overlap=(s["overlap_node"], s["overlap_network"]),
        exposed=(s["exposed_node"], s["exposed_network"]),
        straggler=(s["straggler_node"], s["straggler_network"]),
        sync_s=s["sync_s"],
        sync_power=s["sync_power"],
        network_latency_s=s["network_latency_s"],
        shared_power=s["shared_power"],
        step_latency_s=s["step_latency_s"],
        update_s_per_byte=s["update_s_per_byte"],
        factors=factors,
    )


def spreads(pairs: Sequence[Pair], steps: Sequence[ScaledStep], constants: ExchangeConstants) -> dict[str, Spread]:
    """Widths of the 90 % interval that score best on residuals of groups left out: narrow, and right nine times in ten."""
    found = {}
    for name, class_name in (("node", "node_scaling"), ("network", "multi_node")):
        chosen = [(pair, step) for pair, step in zip(pairs, steps, strict=True) if pair.class_name == class_name]
        found[name] = _spread(chosen) if len(chosen) >= 30 else constants.spread[name]
    return found


def _spread(chosen: Sequence[tuple[Pair, ScaledStep]]) -> Spread:
    causes = np.array([step.causes for _, step in chosen]) ** 2
    residuals = np.array([abs(residual(pair, step)) for pair, step in chosen])
    groups = [pair.group for pair, _ in chosen]
    counts = Counter(groups)
    weight = np.array([1 / math.sqrt(counts[group]) for group in groups])
    widths = np.array(list(SPREAD_START.values()))

    def score(widths: Array) -> float:
        half = Z_90 * np.sqrt(causes @ widths**2)
        return float((weight * (2 * half + 20 * np.maximum(residuals - half, 0))).sum())

    best = score(widths)
    for stride in (2.0, 1.5, 1.25, 1.1, 1.04):
        for _ in range(6):
            before = best
            for j in range(len(widths)):
                for trial in (widths[j] * stride, widths[j] / stride):
                    moved = widths.copy()
                    moved[j] = trial
                    if score(moved) < best:
                        widths, best = moved, score(moved)
            if best == before:
                break
    # Of all pairs, and with groups counted by the root of their size, that share lies inside: the wider of the two.
    standard = residuals / (Z_90 * np.sqrt(causes @ widths**2))
    order = np.argsort(standard)
    by_weight = standard[order][np.searchsorted(np.cumsum(weight[order]), HELD * weight.sum())]
    widths = widths * max(1.0, float(np.quantile(standard, HELD)), float(by_weight) if len(set(groups)) > 5 else 1.0)
    return Spread(**{name: round(float(width), 5) for name, width in zip(SPREAD_START, widths, strict=True)})


def residual(pair: Pair, step: ScaledStep) -> float:
    linear = pair.base.samples_per_s * pair.goal.gpus / pair.base.gpus
    return math.log(pair.goal.samples_per_s / linear / step.efficiency)
