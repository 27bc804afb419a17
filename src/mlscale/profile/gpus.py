"""The job's GPUs over the steady window. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlscale.profile.job import Gpu
from mlscale.profile.timeline import Span, inside
from mlscale.recording import Fact, GpuSample, ProcessSeen, Recording

# Bytes/s of one lane, each way: its transfers a second times its coding (PCI-SIG's base specifications 1 to 6).
_LANE_BYTES_PER_S = {1: 0.25e9, 2: 0.5e9, 3: 0.985e9, 4: 1.969e9, 5: 3.938e9, 6: 7.563e9}
# Of that, what GPM counts, headers and answers of both ways included, while a link is full one way: 64 and 68 GB/s of 63 on an
# H200 (benchmarks/gpu_signals.py, 2026-11-27).
_FULL_ONE_WAY = 1.05


@dataclass(frozen=True)
class Busy:
    """The GPUs, and their mean busy share; None where no GPU tells it. `spread` bounds a 90 % interval."""

    gpus: tuple[Gpu, ...]
    fraction: float | None
    spread: float
    samples: int
    memory_used_bytes: float | None
    memory_busy: float | None
    power: float | None
    pcie_bytes_per_s: float | None
    warnings: tuple[str, ...] = ()


def busy_of(recording: Recording, spans: Sequence[Span], pids: Sequence[int]) -> Busy:
    """Means over the steady window, of the GPUs that the job holds. Where the driver does not tell who holds them, or in
    another namespace's process ids: of those that CUDA_VISIBLE_DEVICES names, else of all."""
    facts = {int(e.values["index"]): e.values for e in recording.events if isinstance(e, Fact) and e.name == "gpu"}
    holders: dict[int, set[int]] = {}
    for event in recording.events:
        if isinstance(event, Fact) and event.name == "gpu_holders":
            for key, found in event.values.items():
                holders.setdefault(int(key), set()).update(found)
    warnings: list[str] = []
    wanted = [index for index in facts if holders.get(index, set()) & set(pids)]
    if not wanted:
        wanted = _visible(recording, facts, pids)
    if not wanted:
        if any(holders.values()):
            warnings.append(
                "A GPU is here, and the driver names other processes than this job's as its users: "
                "either the job trains without it, or it runs in another pid namespace. All GPUs are shown."
            )
        wanted = list(facts)
    gpus = []
    columns: dict[str, list[float]] = {}
    for index in sorted(wanted):
        seen = (e for e in recording.events if isinstance(e, GpuSample) and e.gpu == index and inside(e.t, spans))
        samples = [_within(e, spans) for e in seen]
        gpus.append(_gpu(facts[index], samples))
        columns.setdefault("busy", []).extend(_busy(facts[index], samples))
        for name in ("memory_used_bytes", "memory_busy", "power_w", "pcie_bytes_per_s"):
            columns.setdefault(name, []).extend(float(v[name]) for v in samples if v.get(name) is not None)
    busy = columns.get("busy", [])
    limits = [float(facts[i]["power_limit_w"]) for i in wanted if facts[i].get("power_limit_w")]
    power = _mean(columns.get("power_w"))
    spread = 1.645 * statistics.stdev(busy) / len(busy) ** 0.5 if len(busy) > 2 else 0.1
    return Busy(
        tuple(gpus),
        _mean(busy),
        spread,
        len(busy),
        _mean(columns.get("memory_used_bytes")),
        _mean(columns.get("memory_busy")),
        power / statistics.fmean(limits) if power is not None and limits else None,
        _mean(columns.get("pcie_bytes_per_s")),
        tuple(warnings),
    )


def _within(sample: GpuSample, spans: Sequence[Span]) -> Mapping[str, Any]:
    """What a look says of the steady time: GPM's counters only where all the time that they are of lies in it."""
    since = sample.t - float(sample.values.get("gpm_s", 0.0))
    if any(start <= since and sample.t <= end for start, end in spans):
        return sample.values
    of_before = ("gpm_", "pcie_")
    return {name: value for name, value in sample.values.items() if not name.startswith(of_before)}


def _visible(recording: Recording, facts: Mapping[int, Any], pids: Sequence[int]) -> list[int]:
    """GPUs that the job's environment names, by index or by (the beginning of) their UUID."""
    named = {
        word.strip()
        for event in recording.events
        if isinstance(event, ProcessSeen) and event.pid in pids
        for word in str(event.facts.get("visible_gpus", "")).split(",")
        if word.strip()
    }
    return [
        index
        for index, fact in facts.items()
        if str(index) in named or any(not w.isdigit() and str(fact.get("uuid", "")).startswith(w) for w in named)
    ]


def _gpu(fact: Any, samples: Sequence[Any]) -> Gpu:
    def mean(key: str) -> float | None:
        return _mean([float(v[key]) for v in samples if v.get(key) is not None])

    power, clock = mean("power_w"), mean("sm_clock_mhz")
    sm = mean("gpm_sm")
    reasons = sorted({reason for v in samples for reason in v.get("throttle", [])})
    return Gpu(
        index=int(fact["index"]),
        name=str(fact["name"]),
        memory_bytes=fact.get("memory_bytes"),
        mig=bool(fact.get("mig")),
        busy_fraction=_mean(_busy(fact, samples)),
        sm_active_fraction=sm,
        tensor_active_fraction=mean("gpm_tensor"),
        dram_active_fraction=mean("gpm_dram"),
        power_fraction=power / fact["power_limit_w"] if power is not None and fact.get("power_limit_w") else None,
        sm_clock_fraction=clock / fact["max_sm_clock_mhz"] if clock and fact.get("max_sm_clock_mhz") else None,
        throttle_reasons=tuple(reasons),
        signal=(
            "GPM: its engine at work, and copies over PCIe"
            if _counted(fact, samples)
            else "NVML utilisation with GPM activity"
            if sm is not None
            else "NVML utilisation with power and clocks"
        ),
    )


def _busy(fact: Any, samples: Sequence[Any]) -> list[float]:
    """Busy shares, each over about the same time. NVML's utilisation is one of a short time before each look; GPM's counters miss
    nothing in between, but copies, whose bytes they tell."""
    counted = _counted(fact, samples)
    return counted or [float(v["busy"]) for v in samples if v.get("busy") is not None]


def _counted(fact: Any, samples: Sequence[Any]) -> list[float]:
    """By GPM; none where it, or the link's speed, is not known."""
    lane = _LANE_BYTES_PER_S.get(int(fact.get("pcie_generation", 0)))
    if lane is None or not fact.get("pcie_width"):
        return []
    full = lane * int(fact["pcie_width"]) * _FULL_ONE_WAY
    return [
        min(1.0, float(v["gpm_graphics"]) + float(v["pcie_bytes_per_s"]) / full)
        for v in samples
        if v.get("gpm_graphics") is not None and v.get("pcie_bytes_per_s") is not None
    ]


def _mean(values: Sequence[float] | None) -> float | None:
    return statistics.fmean(values) if values else None
