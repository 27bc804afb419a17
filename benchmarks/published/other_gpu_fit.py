"""Fits the constants of `mlscale.model.accelerator` to pairs of measurements: robust least squares with priors.

Every constant has a prior (zero, or a usual value, with a standard deviation), so that an accelerator or a domain seen in
few rows stays near its generation's or the others'. Residuals are of log times, with Huber's weights.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

import numpy as np
from benchmarks.published.other_gpu_sheets import accelerators
from benchmarks.published.other_gpu_tables import Pair, Row
from numpy.typing import NDArray

from mlscale.catalog.types import Precision
from mlscale.model.accelerator import (
    HALF,
    Kind,
    OtherGpuConstants,
    Speed,
    Spread,
    fitted_path,
    path_on,
    smallness_of_kernels,
)

Key = tuple[str, ...]
Floats = NDArray[np.float64]

NO_SPREAD = Spread(0.0, 0.0, 0.0)
FITTED: tuple[Precision, ...] = ("fp32", "tf32", "fp16", "fp8")
HUBER = 0.05  # log error from which a row's pull no longer grows
NOISE = 0.1  # log error of one row that the priors are weighed against
ROWS_PER_GROUP = 100  # a group with more rows pulls no more than this many
PRIORS: dict[str, tuple[float, float]] = {
    "efficiency fp32": (math.log(0.6), 0.3),
    "efficiency tf32": (math.log(0.4), 0.3),
    "efficiency fp16": (math.log(0.35), 0.3),
    "efficiency fp8": (math.log(0.3), 0.3),
    "chip path": (0.0, 0.12),
    "chip": (0.0, 0.15),
    "generation path": (0.0, 0.15),
    "chip memory": (0.0, 0.1),
    "generation memory": (0.0, 0.1),
    "half traffic": (math.log(0.6), 0.2),
    "flop per byte": (math.log(40), 1.0),
    "flop per byte of kind": (0.0, 0.8),
    "flop per byte of kind, half": (0.0, 0.4),
    "host": (math.log(4e-14), 1.0),
    "host of kind": (0.0, 1.0),
    "batch exponent": (0.7, 0.3),
    "eight over pcie": (0.1, 0.15),
    "eight over pcie, kind": (0.0, 0.15),
    "chip host": (0.0, 0.4),
    "small kernels": (0.0, 0.1),
}
OVER_PCIE = frozenset(("A100-PCIe", "H100-PCIe", "A30", "L40S", "L4", "A10", "A40"))


def chip_of(gpu: str) -> str:
    """Accelerators that differ in memory only are one chip: V100-16GB and V100-32GB are V100."""
    return "T4" if gpu == "T4g" else re.sub(r"-\d+GB$", "", gpu)


def name_of(pair: Pair) -> str:
    """The group's name in the shipped constants."""
    return f"{pair.table}: {pair.group}"


def one_way(pairs: Sequence[Pair]) -> list[Pair]:
    """The pairs without those that say again, the other way round, what another says (all whose classes are unknown)."""
    seen: set[tuple[str, str, str, Row, Row]] = set()
    kept = []
    for pair in pairs:
        if pair.source.shares or (pair.table, pair.group, pair.what, pair.target, pair.source) not in seen:
            kept.append(pair)
            seen.add((pair.table, pair.group, pair.what, pair.source, pair.target))
    return kept


class Design:
    """The pairs as arrays: log of each class's time on each end is linear in the constants."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        sheets = accelerators()
        self.sheets = sheets
        self.index: dict[Key, int] = {}
        prior: list[float] = []
        sd: list[float] = []
        count = len(pairs)
        entries: list[list[list[tuple[int, int, float]]]] = [[[] for _ in range(2)] for _ in range(3)]
        self.offset = np.zeros((3, 2, count))
        self.shares = np.zeros((3, count))
        self.known = np.zeros(count, bool)
        self.y = np.zeros(count)
        self.batch = np.zeros(count)

        def at(name: str, *key: str) -> int:
            full = (name, *key)
            if full not in self.index:
                self.index[full] = len(prior)
                mean, deviation = PRIORS[f"{name} {key[0]}" if name == "efficiency" else name]
                prior.append(mean)
                sd.append(deviation)
            return self.index[full]

        for i, pair in enumerate(pairs):
            source, target = pair.source, pair.target
            if source.batch and target.batch:
                self.batch[i] = math.log(source.batch / target.batch)
            self.y[i] = math.log(target.s_per_sample / source.s_per_sample)
            for end, row in enumerate((source, target)):
                sheet = sheets[row.gpu]
                path = path_on(sheet, row.precision)
                assert path is not None, row.gpu
                fitted = fitted_path(path)
                chip, generation = chip_of(row.gpu), sheet.architecture.lower()
                half = row.precision in HALF
                matrix, memory, host = (entries[part][end] for part in range(3))
                for key in (
                    ("efficiency", fitted),
                    ("chip path", chip, fitted),
                    ("chip", chip),
                    ("generation path", generation, fitted),
                ):
                    matrix.append((i, at(*key), -1.0))
                matrix.append((i, at("flop per byte"), 1.0))
                matrix.append((i, at("flop per byte of kind", pair.domain), 1.0))
                for key in (("chip memory", chip), ("generation memory", generation)):
                    memory.append((i, at(*key), -1.0))
                if half:
                    matrix.append((i, at("flop per byte of kind, half", pair.domain), 1.0))
                    memory.append((i, at("half traffic"), 1.0))
                host.append((i, at("host"), 1.0))
                host.append((i, at("host of kind", pair.domain), 1.0))
                self.offset[0, end, i] = -math.log(sheet.peak_flops[path])
                self.offset[1, end, i] = -math.log(sheet.memory_bytes_per_s)
                if end == 1 and not source.shares and self.batch[i]:
                    host.append((i, at("batch exponent"), self.batch[i]))
                if pair.eight and chip in OVER_PCIE:
                    for part in (matrix, memory, host):
                        part.append((i, at("eight over pcie"), 1.0))
                        part.append((i, at("eight over pcie, kind", pair.domain), 1.0))
                if source.shares:
                    source_path = path_on(sheets[source.gpu], source.precision)
                    assert source_path is not None
                    small = smallness_of_kernels(list(source.shares), sheets[source.gpu], source_path)
                    host.append((i, at("chip host", chip), 1.0))
                    for part in (matrix, memory):
                        part.append((i, at("small kernels", chip), -small))
            if source.shares:
                self.known[i] = True
                self.shares[:, i] = source.shares
        self.prior, self.sd = np.array(prior), np.array(sd)
        self.entries = [[_columns(entries[part][end], count) for end in range(2)] for part in range(3)]
        self.groups = np.array([name_of(pair) for pair in pairs])
        _, which, counts = np.unique(self.groups, return_inverse=True, return_counts=True)
        # Rows whose batches differ tell less about the accelerators.
        self.weight = np.minimum(1.0, ROWS_PER_GROUP / counts[which]) / (1 + 0.5 * np.abs(self.batch))

    def log_ratio(self, theta: Floats) -> tuple[Floats, Floats]:
        """Predicted log of the times' ratio, and its derivatives by the constants."""
        count, size = len(self.y), len(self.prior)
        padded = np.append(theta, 0.0)
        logs = self.offset.copy()
        for part in range(3):
            for end in range(2):
                columns, factors = self.entries[part][end]
                logs[part, end] += (padded[columns] * factors).sum(axis=0)
        times = np.exp(logs)
        usual = times[:, 0] / times[:, 0].sum(axis=0)
        shares = np.where(self.known, self.shares, usual)
        after = shares * np.exp(logs[:, 1] - logs[:, 0])
        total = after.sum(axis=0)
        towards = after / total
        away = np.where(self.known, towards, usual)
        jacobian = np.zeros((count, size + 1))
        rows = np.arange(count)
        for part in range(3):
            for end, weights in ((1, towards[part]), (0, -away[part])):
                columns, factors = self.entries[part][end]
                for column, factor in zip(columns, factors, strict=True):
                    jacobian[rows, column] += weights * factor
        return np.log(total), jacobian[:, :-1]

    def step(self, theta: Floats, keep: NDArray[np.bool_]) -> Floats:
        """One robust Gauss-Newton step on the rows that are kept."""
        ratio, jacobian = self.log_ratio(theta)
        error = self.y - ratio
        weight = keep * self.weight * np.minimum(1.0, HUBER / np.maximum(np.abs(error), 1e-9)) / NOISE**2
        hessian = (jacobian * weight[:, None]).T @ jacobian + np.diag(1 / self.sd**2)
        gradient = jacobian.T @ (weight * error) - (theta - self.prior) / self.sd**2
        return np.clip(np.linalg.solve(hessian, gradient), -0.7, 0.7)

    def fit(self, keep: NDArray[np.bool_] | None = None, start: Floats | None = None, steps: int = 30) -> Floats:
        """The constants that fit best the rows that are kept (all of them)."""
        theta = (self.prior if start is None else start).copy()
        kept = np.ones(len(self.y), bool) if keep is None else keep
        for _ in range(steps):
            change = self.step(theta, kept)
            theta = theta + change
            if np.abs(change).max() < 1e-3:
                break
        return theta


def _columns(entries: Iterable[tuple[int, int, float]], count: int) -> tuple[NDArray[np.int64], Floats]:
    """Entries (row, constant, factor) as arrays [place, row]; rows with fewer point past the last constant."""
    rows: list[list[tuple[int, float]]] = [[] for _ in range(count)]
    for i, column, factor in entries:
        rows[i].append((column, factor))
    places = max((len(row) for row in rows), default=0)
    columns = np.full((places, count), -1, np.int64)
    factors = np.zeros((places, count))
    for i, row in enumerate(rows):
        for place, (column, factor) in enumerate(row):
            columns[place, i], factors[place, i] = column, factor
    return columns, factors


def constants_of(
    design: Design,
    theta: Floats,
    groups: Iterable[str],
    measured: Iterable[Pair],
    unmeasured: tuple[float, float, float],
) -> OtherGpuConstants:
    """The fitted constants as the product reads them, the interval still without its spread. `measured`: the pairs that
    the fit saw; what they do not name counts as unmeasured, and gets `unmeasured` (log: accelerator, generation, kind)."""
    seen: dict[str, set[Precision]] = {}
    domains = set()
    for pair in measured:
        domains.add(pair.domain)
        for row in (pair.source, pair.target):
            path = path_on(design.sheets[row.gpu], row.precision)
            assert path is not None
            seen.setdefault(chip_of(row.gpu), set()).add(fitted_path(path))

    def value(name: str, *key: str) -> float:
        place = design.index.get((name, *key))
        return 0.0 if place is None else float(theta[place])

    def paths(named: str, generation: str) -> dict[Precision, float]:
        return {
            path: value("chip path", named, path) + value("chip", named) + value("generation path", generation, path)
            for path in FITTED
        }

    kinds = sorted({key[1] for key in design.index if key[0] == "flop per byte of kind"} & domains)
    names = {name: sheet.architecture.lower() for name, sheet in design.sheets.items()}
    generations = {sheet.architecture.lower() for name, sheet in design.sheets.items() if chip_of(name) in seen}
    return OtherGpuConstants(
        efficiency={path: value("efficiency", path) or PRIORS[f"efficiency {path}"][0] for path in FITTED},
        half_traffic=value("half traffic"),
        batch_exponent=value("batch exponent"),
        speeds={
            name: Speed(
                paths(chip_of(name), generation),
                value("chip memory", chip_of(name)) + value("generation memory", generation),
                value("chip host", chip_of(name)),
                value("small kernels", chip_of(name)),
                measured=tuple(sorted(seen.get(chip_of(name), ()))),
            )
            for name, generation in names.items()
            if chip_of(name) in seen or generation in generations
        },
        generations={one: Speed(paths("", one), value("generation memory", one)) for one in sorted(generations)},
        kinds={
            kind: Kind(
                value("flop per byte") + value("flop per byte of kind", kind),
                value("flop per byte of kind, half", kind),
                value("host") + value("host of kind", kind),
            )
            for kind in kinds
        },
        other_kind=Kind(value("flop per byte"), 0.0, value("host")),
        known_classes=NO_SPREAD,
        total_only=NO_SPREAD,
        batch_log_sd=0.0,
        unmeasured_log_sd=unmeasured[0],
        unmeasured_generation_log_sd=unmeasured[1],
        unmeasured_kind_log_sd=unmeasured[2],
        eight_over_pcie={
            kind: value("eight over pcie") + value("eight over pcie, kind", kind) for kind in (*kinds, "other")
        },
        groups=tuple(sorted(groups)),
    )
