"""How many samples a second a node can fetch: page cache, store, instance and client together. Pure; docs/model-storage.md."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from mlscale.catalog.types import Dataset, FileSystem, Instance
from mlscale.model.estimate import Estimate
from mlscale.model.page_cache import page_cache_misses
from mlscale.model.storage_constants import StorageConstants

GIB = float(2**30)  # AWS sells "GB" of 2**30 bytes
TIB = float(2**40)
HOURS_PER_MONTH = 730.0
MIB = float(2**20)
_CACHED_KINDS = ("nfs", "lustre", "block", "local", "parallel")  # objects are read past the page cache
COLD_EPOCH = 0.05  # share of the run that a first epoch from the store itself may add, where size is bought for it
HEADROOM = 1.5  # a store just as fast as the step costs a sixth of the rate (p-norm, q = 4); half again as fast, 4 %


@dataclass(frozen=True)
class Fetch:
    """What one node can fetch. `samples_per_s` None: nothing limits it (all is in memory); `cold_samples_per_s` is the
    first epoch's. `wait_s_per_sample`: of one reader that asks for one thing at a time, cache hits counted.
    """

    file_system: FileSystem
    samples_per_s: Estimate | None
    cold_samples_per_s: Estimate | None
    size_bytes: float  # of one copy, as bought
    copies: int  # a store that cannot be shared is bought once a node
    bytes_per_s: float | None  # that one node can read, cold
    usd_per_month: float  # all copies, without charges per read
    latency_s: float
    wait_s_per_sample: float
    hit_fraction: float
    binding: str
    feasible: bool
    why_not: str = ""
    note: str = ""
    unpriced: bool = False  # its servers cost something that is not in `usd_per_month`


@dataclass(frozen=True)
class _Limit:
    samples_per_s: float
    log_sd: float
    text: str


def fetch_limit(
    file_system: FileSystem,
    instance: Instance,
    dataset: Dataset,
    nodes: int,
    *,
    size_bytes: float | None,
    outstanding: float,
    constants: StorageConstants,
    needed_samples_per_s: float | None = None,
    epochs: float = math.inf,
) -> Fetch:
    """What a node fetches, and the store that has to be bought for it. With `needed_samples_per_s` (of one node) size,
    throughput and IOPS are bought for that, with headroom, and no more; without it, the dataset's size and what comes with it.
    `epochs`: a run of one has nothing in the page cache, and a first epoch may add COLD_EPOCH of a longer run.
    `outstanding`: reads under way at a time on a node (math.inf: as many as it takes)."""
    bytes_stored = dataset.samples * dataset.bytes_per_sample
    copies = 1 if file_system.shared else nodes
    cached, log_sd_misses = _hits(file_system, instance, bytes_stored, nodes, constants) if epochs > 1 else (0.0, 0.0)
    misses = 1 - cached
    need = needed_samples_per_s
    if need is not None:
        need *= max(misses * HEADROOM, 1 / (1 + COLD_EPOCH * epochs))
    size, problem = _size(file_system, instance, dataset, nodes, size_bytes, need, constants)
    bought, iops, io_bytes = _bought(file_system, instance, dataset, nodes, size, need, constants)
    limits = _limits(file_system, instance, dataset, nodes, bought, iops, io_bytes, constants)
    node_bytes = min((limit.samples_per_s for limit in limits), default=math.inf) * dataset.bytes_per_sample
    wait = file_system.read_latency_s * dataset.reads_per_sample
    stream = min(file_system.stream_bytes_per_s or math.inf, node_bytes)
    wait += dataset.bytes_per_sample / stream if math.isfinite(stream) else 0.0
    if math.isfinite(outstanding) and wait > 0:
        limits.append(
            _Limit(
                outstanding / wait, constants.latency_log_sd, f"{_title(file_system)}: {outstanding:g} reads at a time"
            )
        )
    cold = min(limits, key=lambda limit: limit.samples_per_s, default=None)
    warm = None
    if cold is not None and misses > 0:
        warm = Estimate(cold.samples_per_s / misses, math.hypot(cold.log_sd, log_sd_misses))
    months = _usd_per_month(file_system, size, bought, iops) * copies
    return Fetch(
        file_system=file_system,
        samples_per_s=warm,
        cold_samples_per_s=None if cold is None else Estimate(cold.samples_per_s, cold.log_sd),
        size_bytes=size,
        copies=copies,
        bytes_per_s=node_bytes if math.isfinite(node_bytes) else None,
        usd_per_month=months,
        latency_s=file_system.read_latency_s,
        wait_s_per_sample=wait * misses,
        hit_fraction=cached,
        binding="memory: all data stays in the page cache" if cold is None or warm is None else cold.text,
        feasible=not problem,
        why_not=problem,
        note=_note(file_system, nodes),
        unpriced=_unpriced(file_system),
    )


def with_outstanding(fetch: Fetch, outstanding: float, constants: StorageConstants) -> Fetch:
    """The same store, asked by another number of readers at a time (of one node)."""
    if fetch.samples_per_s is None or fetch.wait_s_per_sample <= 0:
        return fetch
    reached = outstanding / fetch.wait_s_per_sample
    if reached >= fetch.samples_per_s.value:
        return fetch
    text = f"{_title(fetch.file_system)}: {outstanding:g} reads at a time"
    return replace(fetch, samples_per_s=Estimate(reached, constants.latency_log_sd), binding=text)


# The page cache's share, and images at other sizes.


def _hits(
    file_system: FileSystem, instance: Instance, bytes_stored: float, nodes: int, constants: StorageConstants
) -> tuple[float, float]:
    """Hit ratio of the page cache in a settled run, and the error of the misses' logarithm."""
    if file_system.kind not in _CACHED_KINDS or is_ram_disk(file_system) or bytes_stored <= 0:
        return 0.0, 0.0
    misses = page_cache_misses(constants.page_cache_memory_fraction * instance.memory_bytes / bytes_stored, nodes)
    return 1 - misses.value, misses.log_sd


def resized_bytes(
    stored: float,
    side_then: float,
    side_now: float,
    constants: StorageConstants,
    *,
    compressed: bool = True,
    own_side: float | None = None,
) -> Estimate:
    """Bytes of images kept at another largest side, `own_side` being theirs (None: ImageNet's). JPEGs grow slower than
    their pixels."""
    own = own_side or constants.imagenet_side_px
    ratio = min(side_now, own) / min(side_then, own)
    power = constants.resize_power_jpeg if compressed else constants.resize_power_raw
    distance = math.sqrt(abs(math.log(ratio)))
    return Estimate(stored * ratio**power, constants.resize_log_sd * distance)


# The store: what size, what is bought, what limits.


def is_ram_disk(file_system: FileSystem) -> bool:
    """Whether the store is the instance's own memory."""
    return file_system.kind == "local" and (file_system.service == "tmpfs" or file_system.name.startswith("ram"))


def served_by(file_system: FileSystem, server: Instance, servers: int, usd_per_hour: float) -> FileSystem:
    """A parallel file system on `servers` instances at `usd_per_hour` each: their stores together, each behind the
    slower of its network and its NVMe."""
    rate, size = server.nvme_bytes_per_s, server.nvme_bytes * servers
    if rate is None:
        rate = 4096 * (server.nvme_iops or math.inf)  # a floor; the network is mostly below it
    return replace(
        file_system,
        size_min_bytes=size,
        size_step_bytes=None,
        size_max_bytes=size,
        max_bytes_per_s=servers * min(server.network_bytes_per_s, rate),
        usd_per_gb_month=usd_per_hour * servers * HOURS_PER_MONTH / (size / GIB),
    )


def reads_bucket(file_system: FileSystem) -> bool:
    """Whether the store is S3 in one of its forms, where the dataset is taken to lie anyway."""
    return file_system.kind in ("object", "fuse") or file_system.name.startswith("s3")


def store_size(file_system: FileSystem, wanted_bytes: float) -> float | None:
    """The least size sold that holds `wanted_bytes`: the minimum, then multiples of the step. None: none so big."""
    if file_system.size_max_bytes is not None and wanted_bytes > file_system.size_max_bytes:
        return None
    least = file_system.size_min_bytes or 0.0
    if wanted_bytes <= least:
        return least
    step = file_system.size_step_bytes
    return math.ceil(wanted_bytes / step - 1e-9) * step if step else wanted_bytes


def _size(
    file_system: FileSystem,
    instance: Instance,
    dataset: Dataset,
    nodes: int,
    size_bytes: float | None,
    need: float | None,
    constants: StorageConstants,
) -> tuple[float, str]:
    """Bytes bought for one copy, and why it cannot be (empty: it can). `need`: samples/s of one node from the store."""
    stored = dataset.samples * dataset.bytes_per_sample
    if file_system.kind == "local":
        if is_ram_disk(file_system):
            room = constants.ram_disk_memory_fraction * instance.memory_bytes
            what = f"half of the memory of {instance.name}" if constants.ram_disk_memory_fraction == 0.5 else "memory"
        else:
            room, what = instance.nvme_bytes, f"the instance store of {instance.name}"
            if room <= 0:
                return stored, f"{instance.name} has no instance store"
        if stored > room:
            return stored, f"the dataset ({stored / 1e9:.0f} GB) is larger than {what} ({room / 1e9:.0f} GB)"
        return stored, ""
    bought_by_size = file_system.size_min_bytes is not None or file_system.size_step_bytes is not None
    wanted = stored * constants.space_overhead if bought_by_size else stored
    if size_bytes is not None:
        given = store_size(file_system, size_bytes)
        if given is None:
            return size_bytes, f"{_title(file_system)} goes up to {(file_system.size_max_bytes or 0) / TIB:g} TiB"
        problem = "" if given >= stored else f"{given / GIB:.0f} GiB do not hold the dataset ({stored / GIB:.0f} GiB)"
        return given, problem
    size = store_size(file_system, wanted)
    if size is None:
        return wanted, f"{_title(file_system)} goes up to {(file_system.size_max_bytes or 0) / TIB:g} TiB"
    if need is not None and bought_by_size and file_system.bytes_per_s_per_tib:
        rate = need * dataset.bytes_per_sample / constants.nominal_rate_fraction
        rate *= nodes if file_system.shared else 1
        rate = min(
            rate, file_system.max_bytes_per_s or math.inf, _reach(file_system, instance) * _sharers(file_system, nodes)
        )
        if math.isfinite(rate) and rate > (file_system.base_bytes_per_s or 0.0):
            faster = rate / file_system.bytes_per_s_per_tib * TIB
            largest = file_system.size_max_bytes or math.inf
            size = max(size, store_size(file_system, min(faster, largest)) or size)
    return size, ""


def _sharers(file_system: FileSystem, nodes: int) -> int:
    return nodes if file_system.shared else 1


def _reach(file_system: FileSystem, instance: Instance) -> float:
    """Bytes/s that can get from the store into one instance."""
    if file_system.kind == "local":
        return math.inf
    way = instance.ebs_bytes_per_s if file_system.kind == "block" else instance.network_bytes_per_s
    return min(way or math.inf, file_system.client_bytes_per_s or math.inf)


def _bought(
    file_system: FileSystem,
    instance: Instance,
    dataset: Dataset,
    nodes: int,
    size: float,
    need: float | None,
    constants: StorageConstants,
) -> tuple[float | None, float | None, float]:
    """The store's bytes/s (all clients) and I/O operations/s as bought, and the bytes of one operation."""
    reads = max(dataset.reads_per_sample, 1e-9)
    io_bytes = dataset.bytes_per_sample / reads
    if file_system.kind == "block":
        io_bytes = min(io_bytes, constants.block_io_bytes)
    elif file_system.kind in ("nfs", "lustre", "parallel"):
        io_bytes = min(io_bytes, MIB)  # one read call of the protocol
    sharers = _sharers(file_system, nodes)
    most = file_system.max_bytes_per_s or math.inf
    if file_system.usd_per_bytes_per_s_month is not None:
        least = max(file_system.base_bytes_per_s or 0.0, _included(file_system, size))
        if need is not None:
            wanted = need * dataset.bytes_per_sample / constants.nominal_rate_fraction * sharers
            wanted = min(wanted, _reach(file_system, instance) * sharers)
        else:
            wanted = least or _reach(file_system, instance) * sharers
        rate: float | None = min(max(least, wanted), most)
    else:
        grown = max(file_system.base_bytes_per_s or 0.0, (file_system.bytes_per_s_per_tib or 0.0) * size / TIB)
        rate = min(grown, most) if grown > 0 else file_system.max_bytes_per_s
    iops = file_system.read_iops
    if iops is not None and file_system.usd_per_iops_month is not None:
        pace = (rate if rate is not None else most) / io_bytes
        if need is not None:
            pace = min(pace, need * dataset.bytes_per_sample / constants.nominal_rate_fraction * sharers / io_bytes)
        if file_system.kind == "block" and rate is not None:
            pace = max(pace, (rate / constants.block_io_bytes) if math.isfinite(rate) else 0.0)
        iops = min(iops, max(file_system.included_iops or 0.0, min(pace, (instance.ebs_iops or math.inf))))
    return rate, iops, io_bytes


def _limits(
    file_system: FileSystem,
    instance: Instance,
    dataset: Dataset,
    nodes: int,
    rate: float | None,
    iops: float | None,
    io_bytes: float,
    constants: StorageConstants,
) -> list[_Limit]:
    """Each limit of one node's reads, in samples/s from the store itself."""
    title, size = _title(file_system), dataset.bytes_per_sample
    if is_ram_disk(file_system):
        speed = constants.ram_bytes_per_s_per_vcpu * instance.vcpus
        return [_Limit(speed / size, constants.ram_rate_log_sd, f"memory: {_speed(speed)} of {instance.name}")]
    if file_system.kind == "local":
        speed, log_sd = nvme_bytes_per_s(instance, constants)
        if speed <= 0:
            return [_Limit(1e-9, 0.0, f"{instance.name} has no instance store")]
        told = ", from its size" if instance.nvme_iops is None else ", from its IOPS"
        told = "" if instance.nvme_bytes_per_s is not None else told
        return [_Limit(speed / size, log_sd, f"instance store of {instance.name}: {_speed(speed)}{told}")]
    real, log_sd = constants.nominal_rate_fraction, constants.nominal_rate_log_sd
    sharers = _sharers(file_system, nodes)
    found = []

    def bytes_limit(speed: float | None, text: str) -> None:
        if speed is not None and math.isfinite(speed):
            found.append(_Limit(real * speed / size, log_sd, text))

    if rate is None and file_system.client_bytes_per_s is None:
        speed = (file_system.relative_speed or 1.0) * constants.table1_efs_bytes_per_s
        text = f"{title}: {_speed(speed)} per client, from Table 1 of the white paper (a prior)"
        found.append(_Limit(speed / size, constants.table1_log_sd, text))
    shared_by = f", shared by {sharers} nodes" if sharers > 1 else ""
    bytes_limit(None if rate is None else rate / sharers, f"{title}: {_speed(rate or 0.0)}{shared_by}")
    bytes_limit(file_system.client_bytes_per_s, f"{title}: {_speed(file_system.client_bytes_per_s or 0.0)} per client")
    if file_system.kind == "block":
        bytes_limit(instance.ebs_bytes_per_s, f"{instance.name}: {_speed(instance.ebs_bytes_per_s or 0.0)} to EBS")
        rates = [(iops, f"{title}: {iops or 0:.0f} IOPS")]
        rates.append((instance.ebs_iops, f"{instance.name}: {instance.ebs_iops or 0:.0f} IOPS to EBS"))
    else:
        network = instance.network_bytes_per_s
        bytes_limit(network, f"{instance.name}: {_speed(network)} of network")
        rates = [(None if iops is None else iops / sharers, f"{title}: {iops or 0:.0f} reads/s{shared_by}")]
    for pace, text in rates:
        if pace is not None:
            found.append(_Limit(real * pace * io_bytes / size, log_sd, text))
    return found


def nvme_bytes_per_s(instance: Instance, constants: StorageConstants) -> tuple[float, float]:
    """Read rate of the instance store and its log error: as published, for few types; else from 4 KiB IOPS; and where
    those are not published either, from the devices' capacity."""
    if instance.nvme_bytes <= 0:
        return 0.0, 0.0
    if instance.nvme_bytes_per_s is not None:
        return constants.nominal_rate_fraction * instance.nvme_bytes_per_s, constants.nominal_rate_log_sd
    iops, log_sd = instance.nvme_iops, constants.nvme_rate_log_sd
    if iops is None:
        iops, log_sd = (
            constants.nvme_iops_per_tb * instance.nvme_bytes / 1e12,
            math.hypot(log_sd, constants.nvme_iops_log_sd),
        )
    return iops * 4096 * constants.nvme_rate_over_4k_floor, log_sd


def _included(file_system: FileSystem, size: float) -> float:
    """Bytes/s that are not paid for beside the size."""
    return (file_system.included_bytes_per_s or 0.0) + (file_system.bytes_per_s_per_tib or 0.0) * size / TIB


def _usd_per_month(file_system: FileSystem, size: float, rate: float | None, iops: float | None) -> float:
    """One copy, without charges per read."""
    usd = file_system.usd_per_gb_month * size / GIB
    if file_system.usd_per_bytes_per_s_month is not None and rate is not None and math.isfinite(rate):
        usd += file_system.usd_per_bytes_per_s_month * max(0.0, rate - _included(file_system, size))
    if file_system.usd_per_iops_month is not None and iops is not None:
        usd += file_system.usd_per_iops_month * max(0.0, iops - (file_system.included_iops or 0.0))
    return usd


def _title(file_system: FileSystem) -> str:
    return file_system.service if file_system.service else file_system.name


def _speed(bytes_per_s: float) -> str:
    return f"{bytes_per_s / 1e9:.2f} GB/s" if bytes_per_s >= 1e9 else f"{bytes_per_s / 1e6:.0f} MB/s"


def _unpriced(file_system: FileSystem) -> bool:
    return file_system.kind == "parallel" and file_system.usd_per_gb_month <= 0


def _note(file_system: FileSystem, nodes: int) -> str:
    if _unpriced(file_system):
        return f"the servers of {_title(file_system)} are instances of their own and not in the price"
    if nodes > 1 and not file_system.shared:
        return f"{nodes} copies of the dataset, one a node"
    return ""
