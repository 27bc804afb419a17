"""Reads `profiles/calibration/storage.yaml`: how stores, loaders, memory and money behave beside their nominal figures."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mlscale.errors import UnreadableInput


@dataclass(frozen=True)
class StorageConstants:
    """Units, sources and dates are in the file; `*_log_sd` are standard deviations of logarithms."""

    page_cache_memory_fraction: float
    nominal_rate_fraction: float
    nominal_rate_log_sd: float
    latency_log_sd: float
    nvme_rate_over_4k_floor: float
    nvme_rate_log_sd: float
    nvme_iops_per_tb: float
    nvme_iops_log_sd: float
    ram_bytes_per_s_per_vcpu: float
    ram_rate_log_sd: float
    ram_disk_memory_fraction: float
    table1_efs_bytes_per_s: float
    table1_log_sd: float
    space_overhead: float
    block_io_bytes: float
    coupling_power: float
    coupling_log_sd: float
    wait_power: float
    hyperthread_yield: float
    prep_log_sd: float
    waits_growth: float
    waits_growth_share: float
    waits_log_sd: float
    waits_distance_sd: float
    workers_cap: float
    workers_cap_log_sd: float
    remote_power: float
    remote_log_sd: float
    resize_power_jpeg: float
    resize_power_raw: float
    imagenet_side_px: float
    resize_log_sd: float
    memory_slack: float
    memory_context_bytes: float
    unsharded_fraction: float
    start_s: float
    checkpoint_s: float
    restart_s: float
    spot_interruptions_per_month_fraction: float
    s3_requests_per_s: float
    s3_bytes_per_s: float
    s3_usd_per_1k_reads: float


def read_storage_constants(path: Path) -> StorageConstants:
    """Each of the file's entries has `value`, `unit`, `basis`, `source` and `date`; all are wanted, and no others."""
    import yaml

    try:
        told: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as problem:
        raise UnreadableInput(f"{path}: cannot be read: {problem}") from None
    except yaml.YAMLError as problem:
        raise UnreadableInput(f"{path}: not YAML: {' '.join(str(problem).split())}") from None
    if not isinstance(told, dict):
        raise UnreadableInput(f"{path}: a mapping of names was expected")
    names = [field.name for field in fields(StorageConstants)]
    for name in told:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, 1)
            raise UnreadableInput(f"{path}: {name}: no such constant" + (f"; nearest: {near[0]}" if near else ""))
    for name in names:
        if name not in told:
            raise UnreadableInput(f"{path}: {name}: missing")
    return StorageConstants(**{name: _value(path, name, told[name]) for name in names})


def _value(path: Path, name: str, entry: Any) -> float:
    lacking = [
        key for key in ("value", "unit", "basis", "source", "date") if not isinstance(entry, dict) or key not in entry
    ]
    if lacking:
        raise UnreadableInput(f"{path}: {name}: {lacking[0]} is missing")
    try:
        value = float(entry["value"])  # YAML 1.1 reads 1e9 as text
    except (TypeError, ValueError):
        value = math.nan
    if isinstance(entry["value"], bool) or not math.isfinite(value) or value <= 0:
        raise UnreadableInput(f"{path}: {name}: value: a positive number was expected, not {entry['value']!r}")
    return value
