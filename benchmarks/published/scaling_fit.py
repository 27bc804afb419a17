"""Fits the exchange model's constants on pairs of published runs: the same equations as `mlscale.model.exchange`, for all
pairs at once (numpy), by damped Gauss-Newton steps on a robust loss with a prior on every constant.

A test checks that both give the same numbers. Priors say what is known without these tables (docs/model-exchange.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from benchmarks.published.scaling_rows import Pair

from mlscale.model.exchange import LATENCY_SHARE, LEAST_COMPUTE, SHARDED_TRAFFIC, Fabric, all_reduce_s, network_rate

Array = npt.NDArray[np.float64]
BUCKET_BYTES = 25e6  # PyTorch's DistributedDataParallel: bucket_cap_mb=25
TCP_BYTES_PER_S = 1.25e9  # EC2: one flow gets at most 10 Gb/s, in a placement group (User Guide, "network bandwidth")
DEFAULT_STEP_S = 0.3  # where no row tells the batch
RESIDUAL = 0.03  # of the logarithm: smaller ones count by their square, larger ones by their size


@dataclass(frozen=True)
class Prior:
    """Of one constant, on the scale that it is fitted on (`shape` maps it to the model's)."""

    mean: float
    sd: float
    shape: Callable[[Array | float], Array | float]


def _plain(x: Array | float) -> Array | float:
    return x


def _above_one(x: Array | float) -> Array | float:
    return 1 + np.exp(x)


def _share(x: Array | float) -> Array | float:
    return 1 / (1 + np.exp(-x))


SCALARS: Mapping[str, Prior] = {
    "overlap_node": Prior(math.log(2.0), 0.5, _above_one),
    "overlap_network": Prior(math.log(2.0), 0.5, _above_one),
    "exposed_node": Prior(-1.0, 1.0, _share),
    "exposed_network": Prior(-1.0, 1.0, _share),
    "straggler_node": Prior(0.012, 0.01, _plain),
    "straggler_network": Prior(0.015, 0.01, _plain),
    "sync_s": Prior(math.log(3e-3), 0.7, np.exp),
    "sync_power": Prior(0.8, 0.3, _plain),
    "network_latency_s": Prior(math.log(3e-4), 1.0, np.exp),
    "shared_power": Prior(0.5, 0.3, _plain),
    "step_latency_s": Prior(math.log(4e-3), 0.7, np.exp),
    "update_s_per_byte": Prior(math.log(4e-12), 0.7, np.exp),
}
# Levels: deviations of one name from the rest; logarithms, but for the stragglers. Prior standard deviation.
LEVELS: Mapping[str, float] = {
    "fabric": 0.4,
    "network": 0.7,
    "framework": 0.4,
    "framework_sync": 0.7,
    "domain_sync": 0.7,
    "site_node": 0.5,
    "site_network": 0.5,
    "site_straggler": 0.007,
    "fabric_straggler": 0.005,
    "publisher_node": 0.007,
    "publisher_network": 0.01,
    "domain_latency": 0.7,
}
MEASURED_FABRIC_SD = 0.2  # its all-reduce was measured: less can be left to say


def publisher(pair: Pair) -> str:
    """Whose code and conditions: the first part of the site."""
    return pair.site.split("/")[0]


_NAMES: Mapping[str, Callable[[Pair], str]] = {
    "fabric": lambda pair: pair.fabric,
    "network": lambda pair: pair.network,
    "framework": lambda pair: pair.framework,
    "framework_sync": lambda pair: pair.framework,
    "domain_sync": lambda pair: pair.domain,
    "site_node": lambda pair: pair.site,
    "site_network": lambda pair: pair.site,
    "site_straggler": lambda pair: pair.site,
    "fabric_straggler": lambda pair: pair.fabric,
    "publisher_node": publisher,
    "publisher_network": publisher,
    "domain_latency": lambda pair: pair.domain,
}


def gradient_bytes(pair: Pair) -> float:
    """Bytes of one full set of gradients. Half precision: 3 a parameter, for some keep them in 2 and some in 4."""
    if pair.sharded:
        return 2.0 * pair.gradient_parameters
    return pair.gradient_parameters * (4.0 if pair.precision in ("fp32", "tf32") else 3.0)


def base_step_s(pair: Pair) -> float:
    """The measured step with all its micro-steps. No language model takes 20 ms: there the table counts tokens."""
    if not pair.step_known or not pair.base.batch:
        return DEFAULT_STEP_S * pair.base.accumulation
    samples = pair.base.batch * pair.base.accumulation * pair.base.gpus * pair.units_per_sample
    step_s = samples / pair.base.samples_per_s
    return DEFAULT_STEP_S * pair.base.accumulation if pair.domain == "language" and step_s < 0.02 else step_s


def batch_ratio(pair: Pair) -> float:
    """The goal's batch per GPU and micro-step over the base's; 1 where either is unknown."""
    return pair.goal.batch / pair.base.batch if pair.base.batch and pair.goal.batch else 1.0


@dataclass(frozen=True)
class Data:
    """Pairs as columns. `run`: for base and goal (g GPUs a node, k nodes, accumulation, all-reduce in the node, network)."""

    log_efficiency: Array
    step_s: Array
    ratio: Array
    work: Array
    exchanges_each_step: npt.NDArray[np.bool_]
    bytes: Array
    shared: npt.NDArray[np.bool_]
    runs: tuple[Mapping[str, Array], Mapping[str, Array]]
    index: Mapping[str, npt.NDArray[np.int64]]
    names: Mapping[str, tuple[str, ...]]
    groups: npt.NDArray[np.int64]
    group_names: tuple[str, ...]

    def rows(self, keep: npt.NDArray[np.bool_]) -> Data:
        """Some of the pairs."""
        return Data(
            self.log_efficiency[keep],
            self.step_s[keep],
            self.ratio[keep],
            self.work[keep],
            self.exchanges_each_step[keep],
            self.bytes[keep],
            self.shared[keep],
            tuple({name: column[keep] for name, column in run.items()} for run in self.runs),  # type: ignore[arg-type]
            {name: column[keep] for name, column in self.index.items()},
            self.names,
            self.groups[keep],
            self.group_names,
        )


def data_of(pairs: Sequence[Pair], fabrics: Mapping[str, Fabric]) -> Data:
    """Columns of the pairs; a fabric that is not shared or measured is looked up in `fabrics`."""
    runs: list[dict[str, Array]] = []
    for base in (True, False):
        rows = []
        for pair in pairs:
            run = pair.base if base else pair.goal
            wide = max(1.0, run.gpus / run.nodes)
            traffic = SHARDED_TRAFFIC if pair.sharded else 1.0
            size = gradient_bytes(pair)
            alone = all_reduce_s(size, wide, fabrics[pair.fabric], 0.0)
            rate = network_rate(pair.network, pair.network_bytes_per_s, TCP_BYTES_PER_S)
            sent = 2 * (run.nodes - 1) / run.nodes * size / rate
            rows.append((wide, run.nodes, run.accumulation, traffic * alone, traffic * sent))
        columns = np.array(rows, float).reshape(-1, 5).T
        runs.append(dict(zip(("wide", "nodes", "accumulation", "node_s", "network_s"), columns, strict=True)))
    names = {level: tuple(sorted({name(pair) for pair in pairs})) for level, name in _NAMES.items()}
    groups = tuple(sorted({pair.group for pair in pairs}))
    ratio = np.array([batch_ratio(pair) for pair in pairs])
    return Data(
        log_efficiency=np.array(
            [math.log(p.goal.samples_per_s / p.goal.gpus / p.base.samples_per_s * p.base.gpus) for p in pairs]
        ),
        step_s=np.array([base_step_s(pair) for pair in pairs]),
        ratio=ratio,
        work=ratio * runs[1]["accumulation"] / runs[0]["accumulation"],
        exchanges_each_step=np.array([pair.sharded for pair in pairs], bool),
        bytes=np.array([gradient_bytes(pair) for pair in pairs]),
        shared=np.array([fabrics[p.fabric].shared and not fabrics[p.fabric].curves for p in pairs], bool),
        runs=(runs[0], runs[1]),
        index={level: np.array([names[level].index(name(pair)) for pair in pairs]) for level, name in _NAMES.items()},
        names=names,
        groups=np.array([groups.index(pair.group) for pair in pairs]),
        group_names=groups,
    )


class Layout:
    """Where each constant stands in the vector that is fitted."""

    def __init__(self, data: Data, fabrics: Mapping[str, Fabric], efficiency: Mapping[str, float]) -> None:
        mean = [prior.mean for prior in SCALARS.values()]
        sd = [prior.sd for prior in SCALARS.values()]
        self.start: dict[str, int] = {}
        for level, width in LEVELS.items():
            self.start[level] = len(mean)
            for name in data.names[level]:
                measured = level == "fabric" and bool(fabrics[name].curves)
                known = level == "network" and name in efficiency
                mean.append(math.log(efficiency[name]) if known else 0.0)
                sd.append(MEASURED_FABRIC_SD if measured or known else width)
        self.mean, self.sd = np.array(mean), np.array(sd)
        self.names = data.names

    def scalars(self, x: Array) -> dict[str, float]:
        """The constants that all pairs share, on the model's scale."""
        return {name: float(prior.shape(x[j])) for j, (name, prior) in enumerate(SCALARS.items())}

    def factors(self, x: Array) -> dict[str, dict[str, float]]:
        """The deviations by level and name."""
        return {
            level: {name: float(x[at + j]) for j, name in enumerate(self.names[level])}
            for level, at in self.start.items()
        }

    def spread_out(self, x: Array, data: Data) -> dict[str, Array]:
        """The deviations, one a pair, by level."""
        return {level: x[at + data.index[level]] for level, at in self.start.items()}


def log_efficiencies(scalars: Mapping[str, float], factors: Mapping[str, Array], data: Data) -> Array:
    """The model's logarithm of the efficiency of every pair; `factors` hold one value a pair."""
    s, f = scalars, factors
    far_bucket = np.exp(-((data.bytes / BUCKET_BYTES) ** 2))
    inside = s["straggler_node"] + f["publisher_node"] + f["site_straggler"] + f["fabric_straggler"]
    between = s["straggler_network"] + f["publisher_network"]
    node_factor = np.exp(-(f["fabric"] + f["site_node"] + f["framework"]))
    network_factor = np.exp(-(f["network"] + f["site_network"] + f["framework"]))
    sync = s["sync_s"] * np.exp(f["framework_sync"] + f["domain_sync"])
    terms = []
    for run in data.runs:
        wide, nodes, far = run["wide"], run["nodes"], run["nodes"] > 1
        fan = np.where(data.shared, (np.maximum(wide, 2) / 2) ** s["shared_power"], 1.0)
        node_s = np.where(wide > 1, run["node_s"] * fan * node_factor, 0.0)
        network_s = np.where(far, s["network_latency_s"] * np.log2(nodes) + run["network_s"] * network_factor, 0.0)
        exposed = np.where(far, s["exposed_network"], s["exposed_node"])
        terms.append(
            (
                np.hypot(node_s, network_s),
                np.where(wide > 1, sync * (np.maximum(wide - 1, 1e-3) / 7) ** s["sync_power"], 0.0),
                np.where(far, s["overlap_network"], s["overlap_node"]),
                exposed + (1 - exposed) * far_bucket,
                np.maximum(1 + inside * np.log2(wide) + between * np.log2(nodes), 0.5),
            )
        )

    def micro_step(compute: Array, term: tuple[Array, ...]) -> Array:
        whole, sync_s, overlap, exposed, _ = term
        hidden = np.maximum((1 - exposed) * whole / compute, 1e-9)
        return compute * (1 + hidden**overlap) ** (1 / overlap) + exposed * whole + sync_s

    before, after = terms
    first, second = data.runs[0]["accumulation"], data.runs[1]["accumulation"]
    few = np.where(data.exchanges_each_step, first, 1.0)
    many = np.where(data.exchanges_each_step, second, 1.0)
    measured = data.step_s / before[4]
    compute = measured / first
    alone = data.runs[0]["wide"] * data.runs[0]["nodes"] <= 1
    least = LEAST_COMPUTE * compute
    for _ in range(6):
        added = micro_step(compute, before) - compute
        compute = np.where(alone, compute, np.maximum((measured - few * added) / first, least))
    kept = s["step_latency_s"] * np.exp(f["domain_latency"]) + s["update_s_per_byte"] * data.bytes
    kept = kept / compute
    kept = kept / (1 + kept / LATENCY_SHARE)
    goal = compute * np.where(data.ratio == 1, 1.0, kept + (1 - kept) * data.ratio)
    seconds = ((second - many) * goal + many * micro_step(goal, after)) * after[4]
    return np.log(data.work * data.step_s / seconds)


def fit(data: Data, layout: Layout, start: Array | None = None, steps: int = 25) -> Array:
    """The constants of least robust loss; a group of n pairs counts for its root of n."""
    counts = np.bincount(data.groups, minlength=len(data.group_names))
    weight = 1 / np.sqrt(counts[data.groups])
    x = (layout.mean if start is None else start).copy()

    def loss(x: Array) -> tuple[float, Array, Array]:
        model = log_efficiencies(layout.scalars(x), layout.spread_out(x, data), data)
        left, away = data.log_efficiency - model, (x - layout.mean) / layout.sd
        total = (weight * (np.sqrt(1 + (left / RESIDUAL) ** 2) - 1)).sum() + (np.sqrt(1 + away**2) - 1).sum()
        return float(total), left, away

    best, left, away = loss(x)
    damping = 1e-2
    for _ in range(steps):
        slopes = _slopes(x, layout, data)
        curve = weight / RESIDUAL**2 / np.sqrt(1 + (left / RESIDUAL) ** 2)
        prior = 1 / layout.sd**2 / np.sqrt(1 + away**2)
        normal = (slopes * curve[:, None]).T @ slopes + np.diag(prior)
        downhill = slopes.T @ (curve * left) - prior * (x - layout.mean)
        for _ in range(8):
            trial = x + np.linalg.solve(normal + damping * np.diag(np.diag(normal)), downhill)
            found = loss(trial)
            if found[0] < best:
                break
            damping *= 5
        else:
            break
        gained = best - found[0]
        x, (best, left, away), damping = trial, found, max(damping / 4, 1e-6)
        if gained < 1e-4 * best:
            break
    return x


def _slopes(x: Array, layout: Layout, data: Data) -> Array:
    """Derivatives by finite differences. A pair has one name of each level, so that one difference serves a level."""
    scalars, factors = layout.scalars(x), layout.spread_out(x, data)
    here = log_efficiencies(scalars, factors, data)
    slopes = np.zeros((len(here), len(x)))
    for j, (name, prior) in enumerate(SCALARS.items()):
        nudged = scalars | {name: float(prior.shape(x[j] + 1e-4))}
        slopes[:, j] = (log_efficiencies(nudged, factors, data) - here) / 1e-4
    rows = np.arange(len(here))
    for level, width in LEVELS.items():
        nudge = 1e-4 * width
        moved = log_efficiencies(scalars, factors | {level: factors[level] + nudge}, data)
        slopes[rows, layout.start[level] + data.index[level]] = (moved - here) / nudge
    return slopes
