"""The report: what the contract's JSON holds, as plain data. One model; every format is rendered from it alone.

Fields and meanings are the contract's. What the contract does not name (training, workers, stores, cpu, oversized,
series and a few details of the host and the window) is added beside it, never instead of it. `schema.json` describes the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mlscale.ladder.result import NextStep, RungResult, Verdict
from mlscale.measure import Measurement
from mlscale.profile.job import Cpu, Gpu, Job, Oversized, Store, TrainingThread, Workers
from mlscale.profile.series import Series

SCHEMA_VERSION = "1"

# Every diagnosis tries for these (contract.md); one that is absent is named in `warnings` with the reason.
MEASUREMENTS = (
    "throughput",
    "step_rate",
    "gpu_busy_fraction",
    "data_wait_fraction",
    "host_busy_fraction",
    "worker_busy_fraction",
    "worker_cpu_fraction",
    "worker_io_wait_fraction",
    "cpu_used_cores",
    "cpu_limit_cores",
    "storage_read_bytes_per_s",
    "storage_reads_per_s",
    "page_cache_hit_fraction",
    "prep_cpu_seconds_per_sample",
    "gpu_seconds_per_sample",
    "gpu_memory_used_bytes",
    "gpu_memory_busy_fraction",
    "gpu_power_fraction",
    "pcie_bytes_per_s",
)


@dataclass(frozen=True)
class Tool:
    """The program that made the report."""

    name: str
    version: str


@dataclass(frozen=True)
class Cpus:
    """Cores: what the machine has, and the container's quota in cores (null: none)."""

    logical: int
    quota: float | None


@dataclass(frozen=True)
class Host:
    """The machine that was watched. `gpu_missing_reason` says why `gpus` is empty."""

    hostname: str
    cpus: Cpus
    memory_bytes: int
    gpus: tuple[Gpu, ...] = ()
    instance_type: str | None = None
    container: str | None = None
    gpu_missing_reason: str | None = None
    accelerator_simulated: bool = False


@dataclass(frozen=True)
class Phase:
    """A part of the watch that is not steady training. Seconds since the watch began."""

    start_s: float
    end_s: float
    name: str


@dataclass(frozen=True)
class Window:
    """What was watched. `ended`: duration, stable, job exited, interrupted, recording ends."""

    observed_s: float
    steady_s: float
    rate_hz: float
    phases: tuple[Phase, ...] = ()
    ended: str = "duration"


@dataclass(frozen=True)
class Report:
    """A diagnosis that can be shown to someone who was not there. `created_at` is UTC, RFC 3339."""

    schema_version: Literal["1"] = field(default="1", kw_only=True)
    tool: Tool
    created_at: str
    kind: Literal["diagnosis"] = field(default="diagnosis", kw_only=True)
    host: Host
    job: Job
    window: Window
    measurements: Mapping[str, Measurement]
    verdict: Verdict
    ladder: tuple[RungResult, ...]
    next_step: NextStep
    warnings: tuple[str, ...] = ()
    training: TrainingThread | None = None
    workers: Workers | None = None
    stores: tuple[Store, ...] = ()
    cpu: Cpu | None = None
    oversized: Oversized | None = None
    series: Series | None = None
