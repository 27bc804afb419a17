"""Constants of the models of stores, loaders, memory and money. Values: `profiles/calibration/storage.yaml`."""

from __future__ import annotations

from dataclasses import dataclass


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
