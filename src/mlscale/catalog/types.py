"""What the catalog holds, as plain data. Bytes are bytes (not bits), rates are per second, money is US dollars.

A value that no source tells is None, never 0 and never a guess. `profiles/` holds the facts; `read.py` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

Precision = Literal["fp32", "tf32", "fp16", "bf16", "fp8"]
Interconnect = Literal["none", "pcie", "nvlink", "nvswitch", "neuronlink", "other"]
Arch = Literal["x86_64", "arm64"]
Confidence = Literal["high", "medium", "low"]


@dataclass(frozen=True)
class Source:
    """Where a fact was read, and when it was true."""

    name: str
    date: date
    confidence: Confidence = "high"


@dataclass(frozen=True)
class Accelerator:
    """One accelerator's data sheet. `peak_flops` are dense rates (no sparsity), FLOP/s; `link_bytes_per_s` is what one
    accelerator sends to its peers over NVLink or the like, one direction (None: only PCIe)."""

    name: str
    vendor: str
    architecture: str
    memory_bytes: float
    memory_bytes_per_s: float
    peak_flops: Mapping[Precision, float]
    link: str
    link_bytes_per_s: float | None
    pcie_bytes_per_s: float | None
    power_w: float | None
    source: Source
    note: str = ""
    driver_names: tuple[str, ...] = ()  # what NVML calls it


@dataclass(frozen=True)
class Price:
    """US dollars an hour. `derived`: computed from another region's, not observed."""

    usd_per_hour: float
    source: Source
    derived: bool = False


@dataclass(frozen=True)
class SpotPrice:
    """A spot price seen on a day (median over the zones), and the chance of an interruption in a month, if known."""

    usd_per_hour: float
    source: Source
    interruptions_per_month_fraction: float | None = None


@dataclass(frozen=True)
class Interruptions:
    """How much spot capacity was taken back in a month, as the bucket that AWS publishes; `most_fraction` is None for
    its open one, "over 20 %"."""

    least_fraction: float
    most_fraction: float | None
    source: Source


@dataclass(frozen=True)
class Instance:
    """One EC2 type. `accelerators` may be a fraction (a slice of one). `retired` types can be a baseline, never a pick.

    `source` is that of the specifications; `sources` has another one for the fields that it names.
    """

    name: str
    family: str
    retired: bool
    vcpus: int
    cores: int
    memory_bytes: float
    accelerator: str | None
    accelerators: float
    interconnect: Interconnect
    network_bytes_per_s: float
    network_peak_bytes_per_s: float
    efa: bool
    efa_interfaces: int
    ebs_bytes_per_s: float | None
    ebs_peak_bytes_per_s: float | None
    ebs_iops: float | None
    ebs_peak_iops: float | None
    nvme_bytes: float
    nvme_devices: int
    nvme_iops: float | None
    placement_group: bool
    regions: tuple[str, ...]
    on_demand: Mapping[str, Price] = field(default_factory=dict)
    spot: Mapping[str, SpotPrice] = field(default_factory=dict)
    source: Source | None = None
    note: str = ""
    nvme_bytes_per_s: float | None = None  # sequential reads, all devices together; AWS publishes few
    interruptions: Mapping[str, Interruptions] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)
    arch: Arch = "x86_64"


@dataclass(frozen=True)
class FileSystem:
    """A store that a training job can read from; None where it has no such limit or none is published.

    `read_bytes_per_s` = max(`base_bytes_per_s`, `bytes_per_s_per_tib` x size), up to `max_bytes_per_s`; one client
    gets at most `client_bytes_per_s`, one connection or thread at most `stream_bytes_per_s`. Sizes are bytes, and are
    bought in steps: `size_min_bytes`, then multiples of `size_step_bytes`. `relative_speed` is the white paper's
    Table 1 (EFS = 1): the prior where nothing was measured.
    """

    name: str
    service: str
    kind: Literal["object", "nfs", "lustre", "block", "local", "parallel", "fuse"]
    shared: bool
    durable: bool
    size_min_bytes: float | None
    size_step_bytes: float | None
    size_max_bytes: float | None
    bytes_per_s_per_tib: float | None
    burst_bytes_per_s_per_tib: float | None
    base_bytes_per_s: float | None
    max_bytes_per_s: float | None
    client_bytes_per_s: float | None
    stream_bytes_per_s: float | None
    read_iops: float | None
    read_latency_s: float
    usd_per_gb_month: float
    usd_per_bytes_per_s_month: float | None
    usd_per_iops_month: float | None
    usd_per_gb_read: float | None
    usd_per_1k_reads: float | None
    usd_per_1k_writes: float | None
    included_bytes_per_s: float | None
    included_iops: float | None
    relative_speed: float | None
    source: Source
    note: str = ""
    sources: Mapping[str, Source] = field(default_factory=dict)  # of the fields with another source


@dataclass(frozen=True)
class Dataset:
    """What is read. `bytes_per_sample` as stored; `reads_per_sample` is 1 for one file a sample, less for shards."""

    samples: int
    bytes_per_sample: float
    files: int
    reads_per_sample: float


@dataclass(frozen=True)
class StepCost:
    """Seconds of one sample's step (forward, backward, update) on `reference`, by operation class, at `batch_per_gpu`.

    Matrix operations (convolution, matrix products), memory-bound ones (norms, element-wise, optimizer), the host
    (launches, synchronisation: does not shrink on a faster accelerator).
    """

    reference: str
    precision: Precision
    batch_per_gpu: int
    matrix_s_per_sample: float
    memory_s_per_sample: float
    host_s_per_sample: float
    gradient_accumulation: int = 1  # batches of `batch_per_gpu` between two exchanges of gradients


@dataclass(frozen=True)
class MeasuredRow:
    """The published row behind a step cost: in `table`, the one where each column of `where` reads as given. Its
    `column` counts units a second on `gpus` accelerators; a sample is `units_per_sample` of them (tokens, frames)."""

    table: str
    where: Mapping[str, str]
    column: str
    gpus: int = 1
    units_per_sample: float = 1.0


@dataclass(frozen=True)
class Workload:
    """A training job to plan for, per sample (an image, a sequence, a clip)."""

    name: str
    title: str
    domain: str
    dataset: Dataset
    epochs: float
    prep_cpu_s_per_sample: float
    step: StepCost
    flops_per_sample: float
    parameters: float
    gradient_bytes: float
    optimizer_bytes_per_parameter: float
    activation_bytes_per_sample: float
    source: Source
    notes: Mapping[str, str] = field(default_factory=dict)
    measured: MeasuredRow | None = None
    tokens_per_sample: float | None = None  # of language; None elsewhere
    synchronized_parameters: float | None = None  # whose gradients are exchanged; None: all of `parameters`


@dataclass(frozen=True)
class Catalog:
    """All facts of one snapshot, by name. `taken` is its oldest day that matters for prices. `hosts` are types without
    an accelerator: for preparation clusters and storage servers."""

    instances: Mapping[str, Instance]
    accelerators: Mapping[str, Accelerator]
    file_systems: Mapping[str, FileSystem]
    taken: date
    path: str
    hosts: Mapping[str, Instance] = field(default_factory=dict)
