"""Stores and loaders: published measurements predicted from one row of their group, with `mlscale.model.feed`."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path

from benchmarks.published.outcome import Outcome
from benchmarks.published.storage_fit import Point, fit, read_points
from benchmarks.published.storage_rows import Case, Remote, Resized, Scaled, Stored, cases

from mlscale.calibration.storage import read_storage_constants
from mlscale.model.estimate import Estimate
from mlscale.model.feed import NOISE, joined, rate_scaled, remote_gain, workers_gain
from mlscale.model.fetch import resized_bytes
from mlscale.model.storage_constants import StorageConstants

CALIBRATION = Path(__file__).parents[2] / "profiles" / "calibration" / "storage.yaml"
SAME_STORE_LOG_SD = 0.05  # of a store's rate between encodings; FFCV's three on EBS range over 10 %


def outcomes(folder: Path) -> list[Outcome]:
    """Every case of the folder's tables. A family that had a part in the shipped fit is left out of it."""
    return outcomes_with(cases(folder), tuple(read_points()), read_storage_constants(CALIBRATION))


def outcomes_with(found: list[Case], points: tuple[Point, ...], shipped: StorageConstants) -> list[Outcome]:
    @cache
    def constants(family: str) -> StorageConstants:
        if not any(point.family == family for point in points):
            return shipped
        rest = [point for point in points if point.family != family]
        return dataclasses.replace(shipped, **fit(rest, shipped.coupling_power))

    told = []
    for case in found:
        guess = predicted(case, constants(case.family))
        told.append(
            Outcome(case.table, case.group, case.what, case.truth, guess.value, guess.low, guess.high, case.naive)
        )
    return told


def predicted(case: Case, constants: StorageConstants) -> Estimate:
    if isinstance(case, Scaled):
        return rate_scaled(case.measured, case.ideal_then, case.ideal_now, constants, case.loader_ratio)
    if isinstance(case, Stored):
        store = case.measured * case.bytes_then / case.bytes_now
        if case.prep_now is None:
            return Estimate(store, SAME_STORE_LOG_SD)
        rate = joined([store, case.prep_now], constants.coupling_power)
        return Estimate(rate, SAME_STORE_LOG_SD + constants.coupling_log_sd * (1 - rate / store))
    if isinstance(case, Resized):
        return resized_bytes(case.measured, case.side_then, case.side_now, constants, compressed=case.compressed)
    if isinstance(case, Remote):
        return remote_gain(case.cores_then, case.cores_now, constants).times(case.measured, NOISE)
    return workers_gain(case.workers_then, case.workers_now, constants).times(case.measured, NOISE)
