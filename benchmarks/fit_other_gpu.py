"""Fits profiles/calibration/other_gpu.yaml again from the published measurements.

    python benchmarks/fit_other_gpu.py ../shared/validation [--check | --halves]

`--check` says whether the file still is what the fit gives, `--halves` what each half of the groups would have promised
for the other half; neither writes anything.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import yaml

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.published.other_gpu import SHIPPED, left_out, outcome
from benchmarks.published.other_gpu_fit import Design, chip_of, constants_of, name_of, one_way
from benchmarks.published.other_gpu_spread import SHEETS, fit_spreads, residuals
from benchmarks.published.other_gpu_tables import Pair, pairs
from benchmarks.published.outcome import summary

from mlscale.model.accelerator import OtherGpuConstants, Speed
from mlscale.model.estimate import Z_90

HEAD = """\
# How accelerators and kinds of models behave beside their data sheets (src/mlscale/model/accelerator.py,
# docs/model-accelerator.md). Fitted by benchmarks/fit_other_gpu.py to the groups named at the end; do not edit by hand.
# Factors are plain (1.1: 10 % more than usual), `interval` holds standard deviations of logarithms.
"""
NONE_YET = (0.0, 0.0, 0.0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="laid out as ../shared/validation")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="only tell whether the file is what the fit gives")
    what.add_argument("--halves", action="store_true", help="only tell how each half of the groups predicts the other")
    options = parser.parse_args()
    found = pairs(options.folder)
    if not found:
        parser.error(f"{options.folder}: none of the tables is there")
    if options.halves:
        halves(found)
        return 0
    constants = fitted(found)
    if options.check:
        apart = furthest(document(constants), yaml.safe_load(SHIPPED.read_text(encoding="utf-8")))
        print(f"{SHIPPED}: {'as fitted' if apart < 0.01 else f'up to {apart:.1%} off what the fit gives'}")
        return int(apart >= 0.01)
    SHIPPED.write_text(HEAD + yaml.safe_dump(document(constants), sort_keys=False, width=120), encoding="utf-8")
    print(f"{SHIPPED}: {len(constants.groups)} groups, {len(found)} pairs")
    return 0


def fitted(found: Sequence[Pair]) -> OtherGpuConstants:
    """Constants and interval, from all that was found."""
    design = Design(one_way(found))
    theta = design.fit()
    names = {name_of(pair) for pair in found}
    bare = constants_of(design, theta, names, found, NONE_YET)
    apart = left_out(found, bare, names)
    groups = [name_of(pair) for pair in found]
    errors = residuals(found, [apart[name] for name in groups], groups)
    known, total, batch = fit_spreads(errors, np.ones(len(found), bool))
    spread = replace(bare, known_classes=known, total_only=total, batch_log_sd=batch)
    chips = sorted({chip_of(row.gpu) for pair in found for row in (pair.source, pair.target)})
    generations = sorted({generation_of(row.gpu) for pair in found for row in (pair.source, pair.target)})
    domains = sorted({pair.domain for pair in found})
    return replace(
        spread,
        unmeasured_log_sd=widening(design, theta, found, spread, chips, lambda pair: {chip_of(g) for g in gpus(pair)}),
        unmeasured_generation_log_sd=widening(
            design, theta, found, spread, generations, lambda pair: {generation_of(g) for g in gpus(pair)}
        ),
        unmeasured_kind_log_sd=widening(design, theta, found, spread, domains, lambda pair: {pair.domain}),
    )


def gpus(pair: Pair) -> tuple[str, str]:
    return pair.source.gpu, pair.target.gpu


def generation_of(gpu: str) -> str:
    return SHEETS[gpu].architecture.lower()


def widening(
    design: Design,
    theta: Any,
    found: Sequence[Pair],
    constants: OtherGpuConstants,
    names: Sequence[str],
    named: Callable[[Pair], set[str]],
) -> float:
    """What must be added to the interval (log, in quadrature) for 90 % of the pairs that name something which the fit
    never saw, each such thing left out in turn."""
    among = [(pair, named(pair)) for pair in one_way(found)]
    excess: list[tuple[float, float]] = []
    for name in names:
        keep = np.array([name not in has for _, has in among])
        if keep.all() or not keep.any():
            continue
        rest = [pair for pair, has in among if name not in has]
        blind = constants_of(design, design.fit(keep, theta, 4), (), rest, NONE_YET)
        blind = replace(
            blind,
            known_classes=constants.known_classes,
            total_only=constants.total_only,
            batch_log_sd=constants.batch_log_sd,
        )
        told = [outcome(pair, blind) for pair, has in among if name in has]
        for one in told:
            usual = math.log(one.high / one.predicted) / Z_90
            excess.append(((math.log(one.truth / one.predicted) / Z_90) ** 2 - usual**2, 1 / math.sqrt(len(told))))
    excess.sort()
    weights = np.cumsum([weight for _, weight in excess])
    place = int(np.searchsorted(weights, 0.9 * weights[-1]))
    return math.sqrt(max(excess[min(place, len(excess) - 1)][0], 0.0))


def document(constants: OtherGpuConstants) -> dict[str, Any]:
    """The constants as the file has them."""

    def factor(log: float) -> float:
        return float(f"{math.exp(log):.4g}")

    def speed(one: Speed) -> dict[str, Any]:
        told: dict[str, Any] = {
            "matrix": {path: factor(value) for path, value in one.matrix.items()},
            "memory": factor(one.memory),
        }
        if one.host or one.small_kernels:
            told |= {"host": factor(one.host), "small_kernels": round(one.small_kernels, 4)}
        return told | ({"measured": list(one.measured)} if one.measured else {})

    return {
        "source": "published measurements in ../shared/validation (its README names each one's), groups below",
        "date": date.today().isoformat(),
        "peak_share": {path: factor(value) for path, value in constants.efficiency.items()},
        "half_precision_bytes": factor(constants.half_traffic),
        "batch_exponent": round(constants.batch_exponent, 4),
        "interval": {
            "known_classes": spread_of(constants.known_classes),
            "total_only": spread_of(constants.total_only),
            "batch": round(constants.batch_log_sd, 4),
            "unmeasured_accelerator": round(constants.unmeasured_log_sd, 4),
            "unmeasured_generation": round(constants.unmeasured_generation_log_sd, 4),
            "unmeasured_kind": round(constants.unmeasured_kind_log_sd, 4),
        },
        "kinds": {
            name: {
                "flop_per_byte": factor(kind.flop_per_byte),
                "flop_per_byte_half": factor(kind.flop_per_byte_half),
                "host_s_per_byte": factor(kind.host_s_per_byte),
            }
            for name, kind in constants.kinds.items()
        },
        "other_kind": {
            "flop_per_byte": factor(constants.other_kind.flop_per_byte),
            "host_s_per_byte": factor(constants.other_kind.host_s_per_byte),
        },
        "eight_over_pcie": {kind: factor(value) for kind, value in constants.eight_over_pcie.items()},
        "generations": {name: speed(one) for name, one in constants.generations.items()},
        "accelerators": {name: speed(one) for name, one in constants.speeds.items()},
        "groups": list(constants.groups),
    }


def furthest(one: Any, other: Any) -> float:
    """The largest relative difference of two documents' numbers; infinite where they do not have the same keys."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return math.inf
        return max((furthest(one[key], other[key]) for key in one if key != "date"), default=0.0)
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return abs(one - other) / max(abs(one), abs(other), 1e-30) if abs(one - other) > 1e-3 else 0.0
    return 0.0 if one == other else math.inf


def spread_of(spread: Any) -> dict[str, float]:
    return {name: round(getattr(spread, name), 4) for name in ("base", "gap", "ratio")}


def halves(found: Sequence[Pair]) -> None:
    """Fits each half of the groups and predicts the other half with it, for four ways of halving."""
    names = sorted({name_of(pair) for pair in found})
    for seed in range(4):
        shuffled = np.random.default_rng(seed).permutation(names)
        half = set(shuffled[: len(names) // 2].tolist())
        for kept in (half, set(names) - half):
            constants = fitted([pair for pair in found if name_of(pair) in kept])
            told = [outcome(pair, constants) for pair in found if name_of(pair) not in kept]
            print(f"half {seed}, {len(kept)} groups fitted, {len(names) - len(kept)} predicted:")
            for table in (*sorted({one.table for one in told}), None):
                print(
                    f"  {table or 'all':24s}", summary([one for one in told if table in (one.table, None)]), flush=True
                )


if __name__ == "__main__":
    raise SystemExit(main())
