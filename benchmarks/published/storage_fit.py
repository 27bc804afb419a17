"""The few figures of the storage model that are fitted, from points that can be left out by family."""

from __future__ import annotations

import csv
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.published.storage_rows import Case, Remote, Resized, Scaled, Workers

Z_90 = 1.645
SATURATED_WAITS = 0.5
MORE_FAMILIES = 1.1  # platforms that were not seen spread wider than those that were
POINTS = Path(__file__).with_name("storage_points.csv")


@dataclass(frozen=True)
class Point:
    """`kind`: waits (a: demand ratio, b and c: waiting over computing, then and now), saturated (a: ideal then over
    measured, b: loader ratio x measured over ideal now, c: truth over ideal now), workers (a, b: workers then and now,
    c: gain), remote (a: ratio of cores, c: gain), jpeg and raw (a, b: sides, c: ratio of bytes)."""

    kind: str
    family: str
    a: float
    b: float
    c: float


def points(found: Sequence[Case]) -> list[Point]:
    told = []
    for case in found:
        gain = case.truth / case.measured
        if isinstance(case, Scaled):
            waits = case.ideal_then / case.measured - 1
            if waits > SATURATED_WAITS:
                reach = case.loader_ratio * case.measured / case.ideal_now
                point = Point("saturated", case.family, 1 + waits, reach, case.truth / case.ideal_now)
                told.append(point)
            else:
                ratio = case.ideal_now / case.ideal_then / case.loader_ratio
                told.append(Point("waits", case.family, ratio, max(waits, 0.0), case.ideal_now / case.truth - 1))
        elif isinstance(case, Workers):
            told.append(Point("workers", case.family, case.workers_then, case.workers_now, gain))
        elif isinstance(case, Remote):
            told.append(Point("remote", case.family, case.cores_now / case.cores_then, 0.0, gain))
        elif isinstance(case, Resized):
            told.append(Point("jpeg" if case.compressed else "raw", case.family, case.side_then, case.side_now, gain))
    return told


def read_points(path: Path = POINTS) -> list[Point]:
    with path.open(encoding="utf-8", newline="") as lines:
        return [
            Point(row["kind"], row["family"], float(row["a"]), float(row["b"]), float(row["c"]))
            for row in csv.DictReader(lines)
        ]


def fit(told: Sequence[Point], power: float) -> dict[str, float]:
    """Every fitted constant, from points of all kinds; those without points are left out of the answer."""
    by_kind: dict[str, list[Point]] = {}
    for point in told:
        by_kind.setdefault(point.kind, []).append(point)
    found: dict[str, float] = {}
    if "waits" in by_kind:
        found |= fit_waits(by_kind["waits"])
    if "workers" in by_kind:
        found |= fit_workers(by_kind["workers"], power)
    if "remote" in by_kind:
        found |= fit_remote(by_kind["remote"])
    if "jpeg" in by_kind and "raw" in by_kind:
        found |= fit_resized(by_kind["jpeg"], by_kind["raw"])
    return found


def fit_waits(told: Sequence[Point]) -> dict[str, float]:
    """Growth of ln(1 + waits) with the least mean error, families weighing by the root of their size, and the spread that
    is likeliest."""
    weight = {point.family: 1 / sum(other.family == point.family for other in told) ** 0.5 for point in told}

    def grown(point: Point, growth: float, share: float) -> float:
        return max(0.0, point.b + (growth + share * point.b) * math.log(point.a))

    def error(point: Point, growth: float, share: float) -> float:
        return math.log1p(grown(point, growth, share)) - math.log1p(point.c)

    best = min(
        ((growth / 200, share / 20) for growth in range(1, 30) for share in range(11)),
        key=lambda pair: sum(weight[point.family] * abs(error(point, *pair)) for point in told),
    )
    likeliest = (math.inf, 0.0, 0.0)
    for same in (0.02, 0.05, 0.08, 0.12, 0.2):
        for distance in (0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.1, 0.12, 0.15):
            scores = []
            for point in told:
                waits, far = grown(point, *best), math.sqrt(abs(math.log(point.a)))
                log_sd = math.hypot(0.01, same * waits / (1 + waits), distance * far)
                scores.append(error(point, *best) ** 2 / log_sd**2 / 2 + math.log(log_sd))
            likeliest = min(likeliest, (sum(scores), same, distance))
    return {
        "waits_growth": best[0],
        "waits_growth_share": max(best[1], 0.01),
        "waits_log_sd": likeliest[1],
        "waits_distance_sd": likeliest[2] * MORE_FAMILIES,
    }


def fit_workers(told: Sequence[Point], power: float) -> dict[str, float]:
    """Each family's own cap (least squares of logarithms), then their median and spread."""
    caps = []
    for family in sorted({point.family for point in told}):
        own = [point for point in told if point.family == family]

        def misfit(cap: float, own: Sequence[Point] = own) -> float:
            return sum(math.log(capped(p.b, cap, power) / capped(p.a, cap, power) / p.c) ** 2 for p in own)

        caps.append(min((1.1**step for step in range(2, 60)), key=misfit))
    logs = [math.log(cap) for cap in caps]
    # With so few families the spread is itself unsure: a Student's t of n-1 degrees, told as a wider normal one.
    few = 1 + 1.5 / max(1, len(logs) - 1)
    return {
        "workers_cap": math.exp(statistics.median(logs)),
        "workers_cap_log_sd": few * statistics.stdev(logs) if len(logs) > 1 else 1.0,
    }


def capped(workers: float, cap: float, power: float) -> float:
    return float((workers**-power + cap**-power) ** (-1 / power))


def fit_remote(told: Sequence[Point]) -> dict[str, float]:
    powers = [math.log(point.c) / math.log(point.a) for point in told]
    middle = statistics.median(powers)
    errors = [math.log(point.c) - middle * math.log(point.a) for point in told]
    return {"remote_power": max(middle, 0.01), "remote_log_sd": statistics.stdev(errors) * 1.15}


def fit_resized(jpeg: Sequence[Point], raw: Sequence[Point]) -> dict[str, float]:
    """Bytes grow with a power of the side, up to the images' own."""

    def error(point: Point, power: float, own: float) -> float:
        return power * math.log(min(point.b, own) / min(point.a, own)) - math.log(point.c)

    def misfit(told: Sequence[Point], own: float) -> tuple[float, float]:
        return min((sum(abs(error(point, step / 50, own)) for point in told), step / 50) for step in range(50, 101))

    own = min((500.0 + 10 * side for side in range(21)), key=lambda side: misfit(jpeg, side)[0] + misfit(raw, side)[0])
    powers = misfit(jpeg, own)[1], misfit(raw, own)[1]
    scaled = []
    for told, power in zip((jpeg, raw), powers, strict=True):
        for point in told:
            far = math.sqrt(abs(math.log(min(point.b, own) / min(point.a, own))))
            scaled.append(abs(error(point, power, own)) / far)
    return {
        "resize_power_jpeg": powers[0],
        "resize_power_raw": powers[1],
        "imagenet_side_px": own,
        "resize_log_sd": sorted(scaled)[int(0.9 * len(scaled))] / Z_90 * 1.15,
    }
