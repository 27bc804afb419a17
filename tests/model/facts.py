"""Plain instances, stores and jobs for the planner's tests; round numbers, not facts."""

from __future__ import annotations

import dataclasses
from datetime import date
from pathlib import Path
from typing import Any

from mlscale.calibration.storage import read_storage_constants
from mlscale.catalog.types import (
    Accelerator,
    Dataset,
    FileSystem,
    Instance,
    Price,
    Source,
    SpotPrice,
    StepCost,
    Workload,
)
from mlscale.model.storage_constants import StorageConstants

SOURCE = Source("a test", date(2026, 11, 1))
CONSTANTS: StorageConstants = read_storage_constants(
    Path(__file__).parents[2] / "profiles" / "calibration" / "storage.yaml"
)
IMAGENET = Dataset(samples=1_281_167, bytes_per_sample=114_660, files=1_281_167, reads_per_sample=1)
GB, GIB, TIB = 1e9, 2.0**30, 2.0**40


def instance(**changes: Any) -> Instance:
    plain = Instance(
        name="p9.48xlarge",
        family="p9",
        retired=False,
        vcpus=96,
        cores=48,
        memory_bytes=64 * GIB,
        accelerator="X100",
        accelerators=8,
        interconnect="nvswitch",
        network_bytes_per_s=12.5e9,
        network_peak_bytes_per_s=12.5e9,
        efa=True,
        efa_interfaces=4,
        ebs_bytes_per_s=2.375e9,
        ebs_peak_bytes_per_s=2.375e9,
        ebs_iops=80_000,
        ebs_peak_iops=80_000,
        nvme_bytes=8e12,
        nvme_devices=8,
        nvme_iops=2e6,
        placement_group=True,
        regions=("us-east-1", "us-west-2"),
        on_demand={"us-east-1": Price(30.0, SOURCE), "eu-west-1": Price(33.0, SOURCE, derived=True)},
        spot={"us-east-1": SpotPrice(10.0, SOURCE, 0.2)},
        source=SOURCE,
    )
    return dataclasses.replace(plain, **changes)


def store(**changes: Any) -> FileSystem:
    """A shared NFS store with one limit: 1 GB/s for all clients."""
    plain = FileSystem(
        name="plain",
        service="Plain",
        kind="nfs",
        shared=True,
        durable=True,
        size_min_bytes=None,
        size_step_bytes=None,
        size_max_bytes=None,
        bytes_per_s_per_tib=None,
        burst_bytes_per_s_per_tib=None,
        base_bytes_per_s=None,
        max_bytes_per_s=1e9,
        client_bytes_per_s=None,
        stream_bytes_per_s=None,
        read_iops=None,
        read_latency_s=0.001,
        usd_per_gb_month=0.3,
        usd_per_bytes_per_s_month=None,
        usd_per_iops_month=None,
        usd_per_gb_read=None,
        usd_per_1k_reads=None,
        usd_per_1k_writes=None,
        included_bytes_per_s=None,
        included_iops=None,
        relative_speed=None,
        source=SOURCE,
    )
    return dataclasses.replace(plain, **changes)


def fsx(**changes: Any) -> FileSystem:
    return store(
        name="fsx",
        service="FSx",
        kind="lustre",
        size_min_bytes=1200 * GIB,
        size_step_bytes=2400 * GIB,
        bytes_per_s_per_tib=200e6,
        max_bytes_per_s=None,
        client_bytes_per_s=12.5e9,
        stream_bytes_per_s=625e6,
        usd_per_gb_month=0.14,
        **changes,
    )


def gp3(**changes: Any) -> FileSystem:
    return store(
        name="gp3",
        service="EBS gp3",
        kind="block",
        shared=False,
        size_min_bytes=1 * GIB,
        size_step_bytes=1 * GIB,
        size_max_bytes=65536 * GIB,
        max_bytes_per_s=2.097e9,
        client_bytes_per_s=2.097e9,
        read_iops=80_000,
        usd_per_gb_month=0.08,
        usd_per_bytes_per_s_month=0.04 / 1e6,
        usd_per_iops_month=0.005,
        included_bytes_per_s=125e6,
        included_iops=3000,
        **changes,
    )


def nvme(**changes: Any) -> FileSystem:
    return store(
        name="instance-nvme",
        service="instance store",
        kind="local",
        shared=False,
        durable=False,
        max_bytes_per_s=None,
        read_latency_s=0.0001,
        usd_per_gb_month=0.0,
        **changes,
    )


def ram(**changes: Any) -> FileSystem:
    return dataclasses.replace(nvme(), name="ram-disk", service="tmpfs", read_latency_s=1e-6, **changes)


def s3(**changes: Any) -> FileSystem:
    return store(
        name="s3",
        service="S3",
        kind="object",
        max_bytes_per_s=None,
        client_bytes_per_s=12.5e9,
        stream_bytes_per_s=87e6,
        read_iops=5500,
        read_latency_s=0.03,
        usd_per_gb_month=0.023,
        usd_per_1k_reads=0.0004,
        usd_per_1k_writes=0.005,
        **changes,
    )


def accelerator(memory_bytes: float = 80 * GIB) -> Accelerator:
    return Accelerator(
        name="X100",
        vendor="NVIDIA",
        architecture="X",
        memory_bytes=memory_bytes,
        memory_bytes_per_s=2e12,
        peak_flops={"bf16": 3e14},
        link="NVLink",
        link_bytes_per_s=3e11,
        pcie_bytes_per_s=3.2e10,
        power_w=400,
        source=SOURCE,
    )


def workload(**changes: Any) -> Workload:
    plain = Workload(
        name="bert-like",
        title="BERT",
        domain="text",
        dataset=IMAGENET,
        epochs=1,
        prep_cpu_s_per_sample=0.001,
        step=StepCost("X100", "bf16", 8, 0.01, 0.01, 0.001),
        flops_per_sample=1e12,
        parameters=1e9,
        gradient_bytes=2e9,
        optimizer_bytes_per_parameter=16,
        activation_bytes_per_sample=1e9,
        source=SOURCE,
    )
    return dataclasses.replace(plain, **changes)
