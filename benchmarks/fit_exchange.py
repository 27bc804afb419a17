"""Fits the constants of the exchange model and writes `profiles/calibration/exchange.yaml`.

    python benchmarks/fit_exchange.py ../shared [--check]

`../shared` holds `validation/` (scaling tables) and `reference/` (all-reduce times). `--check` writes nothing: it says
whether the shipped file is what the fit gives.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import math
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import numpy as np
import yaml
from benchmarks.published import scaling_predict
from benchmarks.published.scaling_fit import (
    BUCKET_BYTES,
    LEVELS,
    SCALARS,
    TCP_BYTES_PER_S,
    Array,
    Data,
    Layout,
    data_of,
    fit,
)
from benchmarks.published.scaling_more_rows import pairs_of
from benchmarks.published.scaling_predict import (
    FOLDS,
    NETWORK_EFFICIENCY,
    SPREAD_START,
    constants_of,
    folds,
    predict,
    spreads,
)
from benchmarks.published.scaling_rows import Pair

from mlscale.calibration.exchange import exchange_of, read_exchange_constants
from mlscale.model.estimate import Z_90
from mlscale.model.exchange import ExchangeConstants, ScaledStep, Spread

SIZES = [2**power for power in range(16, 30, 2)] + [2**29]
MEASURED = {  # name in the table: ours, and its title
    "A100-80GB": ("A100", "NVSwitch (A100)"),
    "H100": ("H100", "NVSwitch (H100)"),
    "H200": ("H200", "NVSwitch (H200)"),
    "B200": ("B200", "NVSwitch (B200)"),
    "B300": ("B300", "NVSwitch (B300)"),
    "L40S": ("L40S", "PCIe (L40S)"),
    "RTX-PRO-6000-Server": ("RTX-PRO-6000", "PCIe 5.0 (RTX PRO 6000)"),
}
# No all-reduce is published for these: a share of the link's nominal rate in one direction, which the fit then corrects.
NOMINAL = {
    "nvlink1": ("NVLink 1 (P100)", 0.8 * 80e9, False),
    "nvlink2": ("NVLink 2 (V100)", 0.8 * 150e9, False),
    "pcie3": ("PCIe 3.0", 0.5 * 15.75e9, True),
    "pcie4": ("PCIe 4.0", 0.5 * 31.5e9, True),
    "pcie5": ("PCIe 5.0", 0.5 * 63e9, True),
    "other": ("the accelerator's own links", 60e9, False),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=Path, help="the folder that holds validation/ and reference/")
    parser.add_argument("--check", action="store_true", help="compare with the shipped file")
    options = parser.parse_args()
    pairs = pairs_of(options.shared / "validation")
    told = fitted_file(pairs, fabrics_of(options.shared / "reference" / "nccl_single_node.csv"))
    efa = efa_efficiency(options.shared / "validation" / "nccl_allreduce.csv")
    network = told["fitted"]["factors"]["network"]
    network["efa"] = round(math.log(efa), 4)
    # Where EFA cannot read a GPU's memory nothing was measured: the middle, by logarithms, of EFA and of TCP at 50 Gb/s.
    tcp = TCP_BYTES_PER_S / (TCP_BYTES_PER_S + 6.25e9) * math.exp(network["tcp"])
    network["efa_host"] = round((math.log(efa) + math.log(tcp)) / 2, 4)
    path = scaling_predict.CONSTANTS
    if options.check:
        shipped = read_exchange_constants(path)
        same = worst_difference(shipped, exchange_of(told, "the fit"), pairs)
        print(f"{path}: predictions differ by {same:.2%} at most")
        return int(same > 0.01)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(as_text(told), encoding="utf-8")
    print(f"{path}: {len(pairs)} pairs, {len(told['groups'])} groups")
    return 0


def fabrics_of(path: Path) -> dict[str, Any]:
    """Measured all-reduce times, microseconds, the slower of the table's two runs; nominal links after them."""
    times: dict[tuple[str, int], dict[int, float]] = defaultdict(dict)
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(line for line in file if not line.startswith("#")):
            size, at = int(row["message_bytes"]), (row["gpu_model"], int(row["num_gpus"]))
            times[at][size] = max(times[at].get(size, 0.0), float(row["latency_ms"]) * 1e3)
    found: dict[str, Any] = {}
    for model, (name, title) in MEASURED.items():
        curves = {
            gpus: [round(table[size], 1) for size in SIZES] for (gpu, gpus), table in times.items() if gpu == model
        }
        found[name] = {"title": title, "sizes_bytes": SIZES, "all_reduce_us": curves}
    for name, (title, rate, shared) in NOMINAL.items():
        found[name] = {"title": title, "bytes_per_s": rate, "shared": shared}
    return found


def efa_efficiency(path: Path) -> float:
    """Of a node's nominal rate, what all-reduce tests between EFA nodes gave at 1 to 4 GiB: the middle one."""
    found = []
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            nodes, size = int(row["n_nodes"] or 1), float(row["size_bytes"])
            if "EFA" in row["system"] and nodes > 1 and 2**30 <= size <= 2**32 and row["inter_node_GBps_per_node"]:
                rate = 2 * (nodes - 1) / nodes * size / (float(row["time_us"]) * 1e-6)
                found.append(rate / (float(row["inter_node_GBps_per_node"]) * 1e9))
    return statistics.median(found)


def fitted_file(pairs: Sequence[Pair], fabrics: Mapping[str, Any]) -> dict[str, Any]:
    """The file's content: the fit of all pairs, and the spread of residuals of groups left out."""
    empty = {"groups": [], "fitted": {"factors": {}}, "spread": {"node": SPREAD_START, "network": SPREAD_START}}
    start = exchange_of(_content(fabrics, dict.fromkeys(SCALARS, 1.0), empty), "the start")
    data = data_of(pairs, start.fabrics)
    layout = Layout(data, start.fabrics, NETWORK_EFFICIENCY)
    whole = fit(data, layout)
    fold = folds(data)
    others = []
    for number in range(FOLDS):
        rest = data.rows(fold != number)
        others.append(constants_of(fit(rest, layout, whole, steps=8), layout, start, rest))
    steps = [predict(pair, others[int(fold[i])]) for i, pair in enumerate(pairs)]
    constants = constants_of(whole, layout, start, data)
    told = {
        "groups": sorted({pair.group for pair in pairs}),
        "fitted": {"factors": {level: _rounded(constants.factors[level]) for level in LEVELS}},
        "spread": {name: dataclasses.asdict(each) for name, each in spreads(pairs, steps, start).items()},
    }
    told["spread"] = with_unknown_sites(pairs, told["spread"], data, layout, whole, start)
    print_halves(pairs, steps, start)
    return _content(fabrics, {name: _digits(value) for name, value in layout.scalars(whole).items()}, told)


def with_unknown_sites(
    pairs: Sequence[Pair],
    spread: Mapping[str, dict[str, float]],
    data: Data,
    layout: Layout,
    whole: Array,
    start: ExchangeConstants,
) -> dict[str, dict[str, float]]:
    """The spread with what is added on a system of which nothing was measured: whole sites are left out, and predicted."""
    fold = data.index["site_node"] % FOLDS
    steps: list[ScaledStep | None] = [None] * len(pairs)
    for number in range(FOLDS):
        rest = data.rows(fold != number)
        constants = constants_of(fit(rest, layout, whole, steps=8), layout, start, rest)
        for i in np.flatnonzero(fold == number):
            steps[i] = predict(pairs[i], constants)
    found = {}
    for name, class_name in (("node", "node_scaling"), ("network", "multi_node")):
        known = Spread(**(spread[name] | {"unknown_site": 0.0}))
        short, weight = [], []
        sites = Counter(pair.site for pair in pairs if pair.class_name == class_name)
        for pair, step in zip(pairs, steps, strict=True):
            if step is not None and pair.class_name == class_name:
                missing = (scaling_predict.residual(pair, step) / Z_90) ** 2 - known.log_sd(step.causes) ** 2
                short.append(math.sqrt(max(missing, 0.0)))
                weight.append(1 / math.sqrt(sites[pair.site]))
        order = np.argsort(short)
        share = np.cumsum(np.array(weight)[order]) / sum(weight)
        found[name] = spread[name] | {
            "unknown_site": round(float(np.array(short)[order][np.searchsorted(share, 0.9)]), 4)
        }
    return found


def print_halves(pairs: Sequence[Pair], steps: Sequence[ScaledStep], constants: ExchangeConstants) -> None:
    """Spreads from one half of the groups, tried on the other: what share of truths lies inside."""
    names = sorted({pair.group for pair in pairs})
    inside_of: dict[str, list[float]] = defaultdict(list)
    for seed in range(10):
        half = set(np.random.default_rng(seed).permutation(names)[: len(names) // 2])
        known = [i for i, pair in enumerate(pairs) if pair.group in half]
        widths = spreads([pairs[i] for i in known], [steps[i] for i in known], constants)
        for name, class_name in (("node", "node_scaling"), ("network", "multi_node")):
            tried = [i for i, pair in enumerate(pairs) if pair.class_name == class_name and pair.group not in half]
            inside = sum(
                abs(scaling_predict.residual(pairs[i], steps[i])) <= Z_90 * widths[name].log_sd(steps[i].causes)
                for i in tried
            )
            inside_of[class_name].append(inside / len(tried))
    for class_name, shares in inside_of.items():
        print(f"{class_name}: intervals from one half of the groups hold {statistics.mean(shares):.1%} of the other's truths "
              f"({min(shares):.1%} to {max(shares):.1%} in {len(shares)} splits)")  # fmt: skip


def worst_difference(one: ExchangeConstants, other: ExchangeConstants, pairs: Sequence[Pair]) -> float:
    """Of any pair's predicted step."""
    return max(abs(predict(pair, one).value / predict(pair, other).value - 1) for pair in pairs[::7])


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in values.items()}


def _digits(value: float) -> float:
    return float(f"{value:.5g}")


def _content(fabrics: Mapping[str, Any], scalars: Mapping[str, float], told: Mapping[str, Any]) -> dict[str, Any]:
    s = scalars
    return {
        "source": "fitted by benchmarks/fit_exchange.py on the scaling tables of shared/validation (each row names its "
        "source); all-reduce times: NVIDIA aiconfigurator 095f58a51 (2026-08-21), shared/reference/nccl_single_node.csv",
        "date": date.today().isoformat(),
        "bucket_bytes": BUCKET_BYTES,
        "tcp_bytes_per_s": TCP_BYTES_PER_S,
        "fitted": {
            "overlap": {"node": s["overlap_node"], "network": s["overlap_network"]},
            "exposed_fraction": {"node": s["exposed_node"], "network": s["exposed_network"]},
            "straggler_fraction": {"node": s["straggler_node"], "network": s["straggler_network"]},
            **{name: s[name] for name in SCALARS if not name.endswith(("_node", "_network"))},
            "factors": told["fitted"]["factors"],
        },
        "spread": told["spread"],
        "groups": told["groups"],
        "fabrics": fabrics,
    }


HEAD = """\
# The exchange model's constants (docs/model-exchange.md). Written by benchmarks/fit_exchange.py; do not edit.
# Times in seconds (all_reduce_us: microseconds), sizes in bytes, rates in bytes/s. `factors` are logarithms: a fabric's or
# network's rate over the measured or nominal one; `*straggler` and `publisher_*`: shares of a step for each doubling.
# `groups`: what the constants were fitted on. `site_*`: the systems of the tables, for predictions on these systems.
"""


def as_text(told: Mapping[str, Any]) -> str:
    """YAML with short lists on one line."""
    return HEAD + yaml.dump(dict(told), sort_keys=False, width=120, default_flow_style=None, allow_unicode=True)


if __name__ == "__main__":
    raise SystemExit(main())
