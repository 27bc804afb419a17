"""One entry of the catalog as a list of values, each with its unit and where it comes from, for showing. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

from mlscale.catalog.document import nearest
from mlscale.catalog.read import find_accelerator
from mlscale.catalog.types import Accelerator, Catalog, FileSystem, Instance, Source
from mlscale.errors import UsageProblem

Value: TypeAlias = float | int | str | bool | tuple[str, ...] | None
_UNKNOWN = Source("not recorded", date.min, "low")


@dataclass(frozen=True)
class Fact:
    """A value under its name in the catalog ("on_demand.us-east-1" for a region's) and in `unit`. None: no source tells
    it. `shown_in` is the unit in which people know it, where that is another one."""

    name: str
    label: str
    value: Value
    unit: str
    source: Source
    derived: bool = False
    shown_in: str = ""


@dataclass(frozen=True)
class Shown:
    """One entry of the catalog. `kind` is instance, accelerator or file_system."""

    kind: str
    name: str
    facts: Sequence[Fact]
    note: str
    retired: bool = False


def find(catalog: Catalog, name: str) -> Shown:
    """The entry of that name, whatever it is. Raises UsageProblem with the nearest names."""
    wanted = name.strip().lower()
    for instance in (*catalog.instances.values(), *catalog.hosts.values()):
        if instance.name.lower() == wanted:
            return Shown("instance", instance.name, of_instance(instance), instance.note, instance.retired)
    for store in catalog.file_systems.values():
        if store.name.lower() == wanted:
            return Shown("file_system", store.name, of_file_system(store), store.note)
    try:
        sheet = find_accelerator(catalog, name)
    except UsageProblem:
        known = (*catalog.instances, *catalog.accelerators, *catalog.file_systems, *catalog.hosts)
        raise UsageProblem(f"The catalog has nothing that is called {name!r}. {nearest(wanted, known)}") from None
    return Shown("accelerator", sheet.name, of_accelerator(sheet), sheet.note)


def of_instance(instance: Instance) -> list[Fact]:
    """All of an EC2 type. Instance store and accelerators only where it has them."""
    return list(_instance(instance, instance.source or _UNKNOWN))


def of_accelerator(accelerator: Accelerator) -> list[Fact]:
    """All of a data sheet."""
    said = _Sayer(accelerator.source, {})
    facts = [
        said("vendor", "Vendor", accelerator.vendor),
        said("architecture", "Architecture", accelerator.architecture),
        said("memory_bytes", "Memory", accelerator.memory_bytes, "B", "GiB"),
        said("memory_bytes_per_s", "Memory bandwidth", accelerator.memory_bytes_per_s, "B/s"),
    ]
    for precision, rate in accelerator.peak_flops.items():
        facts.append(said(f"peak_flops.{precision}", f"Dense peak, {precision.upper()}", rate, "FLOP/s"))
    facts.append(said("link", "Link", accelerator.link))
    if accelerator.link != "none":
        facts.append(said("link_bytes_per_s", "Link, one direction", accelerator.link_bytes_per_s, "B/s"))
    return [
        *facts,
        said("pcie_bytes_per_s", "PCIe, one direction", accelerator.pcie_bytes_per_s, "B/s"),
        said("power_w", "Power", accelerator.power_w, "W"),
    ]


def of_file_system(store: FileSystem) -> list[Fact]:
    """All of a file system; what it has no limit or no price for is left out."""
    said = _Sayer(store.source, store.sources)
    facts = [
        said("service", "Service", store.service),
        said("kind", "Kind", store.kind),
        said("shared", "Shared by instances", store.shared),
        said("durable", "Durable", store.durable),
        said("size_min_bytes", "Smallest size", store.size_min_bytes, "B", "GiB"),
        said("size_step_bytes", "Sizes in steps of", store.size_step_bytes, "B", "GiB"),
        said("size_max_bytes", "Largest size", store.size_max_bytes, "B", "GiB"),
        said("base_bytes_per_s", "Reads at any size", store.base_bytes_per_s, "B/s"),
        said("bytes_per_s_per_tib", "Reads per TiB", store.bytes_per_s_per_tib, "B/s"),
        said("burst_bytes_per_s_per_tib", "Reads per TiB, for a while", store.burst_bytes_per_s_per_tib, "B/s"),
        said("max_bytes_per_s", "Reads at most", store.max_bytes_per_s, "B/s"),
        said("client_bytes_per_s", "One instance at most", store.client_bytes_per_s, "B/s"),
        said("stream_bytes_per_s", "One connection at most", store.stream_bytes_per_s, "B/s"),
        said("read_iops", "Reads a second at most", store.read_iops, "1/s"),
        said("read_latency_s", "Latency of a read", store.read_latency_s, "s"),
        said("usd_per_gb_month", "Price of a GB-month", store.usd_per_gb_month, "USD"),
        said("usd_per_bytes_per_s_month", "Price of a MB/s-month", store.usd_per_bytes_per_s_month, "USD per B/s"),
        said("included_bytes_per_s", "Included throughput", store.included_bytes_per_s, "B/s"),
        said("usd_per_iops_month", "Price of an IOPS-month", store.usd_per_iops_month, "USD"),
        said("included_iops", "Included IOPS", store.included_iops, "1/s"),
        said("usd_per_gb_read", "Price of reading a GB", store.usd_per_gb_read, "USD"),
        said("usd_per_1k_reads", "Price of 1,000 reads", store.usd_per_1k_reads, "USD"),
        said("usd_per_1k_writes", "Price of 1,000 writes", store.usd_per_1k_writes, "USD"),
        said("relative_speed", "Images a second against EFS", store.relative_speed, "×"),
    ]
    return [fact for fact in facts if fact.value is not None]


@dataclass(frozen=True)
class _Sayer:
    """Makes facts of one entry: its source, but for the fields that have one of their own."""

    source: Source
    sources: Mapping[str, Source]

    def __call__(self, name: str, label: str, value: Value, unit: str = "", shown_in: str = "") -> Fact:
        return Fact(name, label, value, unit, self.sources.get(name, self.source), shown_in=shown_in)


def _instance(instance: Instance, source: Source) -> Iterator[Fact]:
    said = _Sayer(source, instance.sources)
    yield said("vcpus", "vCPUs", instance.vcpus, "")
    yield said("cores", "Physical cores", instance.cores, "")
    yield said("memory_bytes", "Memory", instance.memory_bytes, "B", "GiB")
    if instance.accelerator:
        yield said("accelerator", "Accelerator", instance.accelerator)
        yield said("accelerators", "How many", instance.accelerators, "")
        yield said("interconnect", "Linked by", instance.interconnect)
    yield said("network_bytes_per_s", "Network", instance.network_bytes_per_s, "B/s", "Gbit/s")
    if instance.network_peak_bytes_per_s != instance.network_bytes_per_s:
        yield said(
            "network_peak_bytes_per_s", "Network, for a while", instance.network_peak_bytes_per_s, "B/s", "Gbit/s"
        )
    yield said("efa_interfaces", "EFA interfaces", instance.efa_interfaces, "")
    yield said("placement_group", "Cluster placement group", instance.placement_group)
    yield said("ebs_bytes_per_s", "EBS", instance.ebs_bytes_per_s, "B/s")
    if instance.ebs_peak_bytes_per_s != instance.ebs_bytes_per_s:
        yield said("ebs_peak_bytes_per_s", "EBS, for a while", instance.ebs_peak_bytes_per_s, "B/s")
    yield said("ebs_iops", "EBS IOPS", instance.ebs_iops, "")
    if instance.ebs_peak_iops != instance.ebs_iops:
        yield said("ebs_peak_iops", "EBS IOPS, for a while", instance.ebs_peak_iops, "")
    if instance.nvme_bytes:
        yield said("nvme_bytes", "Instance NVMe", instance.nvme_bytes, "B")
        yield said("nvme_devices", "NVMe devices", instance.nvme_devices, "")
        yield said("nvme_iops", "NVMe 4 KiB reads", instance.nvme_iops, "1/s")
        yield said("nvme_bytes_per_s", "NVMe sequential reads", instance.nvme_bytes_per_s, "B/s")
    yield said("regions", "Offered in", instance.regions)
    for region, price in instance.on_demand.items():
        yield Fact(
            f"on_demand.{region}", f"On demand, {region}", price.usd_per_hour, "USD/h", price.source, price.derived
        )
    for region, spot in instance.spot.items():
        yield Fact(f"spot.{region}", f"Spot, {region}", spot.usd_per_hour, "USD/h", spot.source)
    for region, bucket in instance.interruptions.items():
        most = "" if bucket.most_fraction is None else f"-{bucket.most_fraction * 100:.0f}"
        said_so = f"{bucket.least_fraction * 100:.0f}{most or '+'}"
        yield Fact(f"interruptions.{region}", f"Spot taken back, {region}", said_so, "% a month", bucket.source)
