"""AWS's answers (EC2 and Price List, as boto3 gives them) turned into facts. Pure; knows the traps in those answers."""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from mlscale.catalog.snapshot import TypeFacts

GIGABIT_BYTES = 1e9 / 8
MIB_BYTES = 2.0**20
SPOT_OLDEST = timedelta(days=2)
SPOT_LOWEST_SHARE, SPOT_HIGHEST_SHARE = 0.05, 4.0  # of on demand; 197 known spot prices are 0.10 to 1.0 of it
SPOT_LOWEST_USD = 0.01  # where no on-demand price is known; the cheapest known is $0.064 (inf1.xlarge, 2025)
PRICE_MOST_CHANGED = 4.0  # either way; the greatest cut so far was P5's, by 44 %
_ROUNDED = 0.01
_BANDWIDTH = re.compile(r"^(?P<upto>up to )?(?:(?P<cards>\d+)x )?(?P<gigabits>\d+(?:\.\d+)?) Gigabit$", re.IGNORECASE)


@dataclass(frozen=True)
class SpotSeen:
    """One zone's latest spot price, US dollars an hour, and when it began to hold."""

    name: str
    zone: str
    usd_per_hour: float
    at: datetime


def is_accelerated(answer: Mapping[str, Any]) -> bool:
    """Whether EC2 says that the type has a GPU or an AI chip. FPGAs and video chips do not train."""
    return any(answer.get(key) for key in ("GpuInfo", "NeuronInfo", "InferenceAcceleratorInfo"))


def type_facts(answer: Mapping[str, Any], read: date) -> TypeFacts:
    """One element of DescribeInstanceTypes. Raises KeyError, TypeError or ValueError where it is not one."""
    network = answer.get("NetworkInfo") or {}
    base, peak = bandwidth_bytes_per_s(network)
    ebs = (answer.get("EbsInfo") or {}).get("EbsOptimizedInfo") or {}
    nvme_bytes, nvme_devices = _nvme(answer.get("InstanceStorageInfo") or {})
    name, memory_bytes, count = _accelerators(answer)
    cores = answer["VCpuInfo"].get("DefaultCores")
    return TypeFacts(
        name=str(answer["InstanceType"]),
        read=read,
        vcpus=int(answer["VCpuInfo"]["DefaultVCpus"]),
        cores=int(cores) if cores else None,
        memory_bytes=float(answer["MemoryInfo"]["SizeInMiB"]) * MIB_BYTES,
        accelerator=name,
        accelerator_memory_bytes=memory_bytes,
        accelerators=count,
        network_bytes_per_s=base,
        network_peak_bytes_per_s=peak,
        efa=bool(network.get("EfaSupported")),
        efa_interfaces=int((network.get("EfaInfo") or {}).get("MaximumEfaInterfaces") or 0),
        ebs_bytes_per_s=_scaled(ebs.get("BaselineThroughputInMBps"), 1e6),
        ebs_peak_bytes_per_s=_scaled(ebs.get("MaximumThroughputInMBps"), 1e6),
        ebs_iops=_scaled(ebs.get("BaselineIops"), 1.0),
        ebs_peak_iops=_scaled(ebs.get("MaximumIops"), 1.0),
        nvme_bytes=nvme_bytes,
        nvme_devices=nvme_devices,
        placement_group="cluster" in ((answer.get("PlacementGroupInfo") or {}).get("SupportedStrategies") or ()),
    )


def bandwidth_bytes_per_s(network: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Baseline and peak of NetworkInfo. The headline counts: the cards' sum is wrong for several types (g6e.48xlarge
    1,600 for 400 Gb/s, p6-b200 1,600 for 3,200). "Up to" names the peak only; then a single card knows the baseline."""
    cards = network.get("NetworkCards") or []
    first = cards[0].get("BaselineBandwidthInGbps") if len(cards) == 1 else None
    baseline = _scaled(first, GIGABIT_BYTES)
    match = _BANDWIDTH.match(str(network.get("NetworkPerformance", "")))
    if match is None:  # "High", "Moderate": old types
        peak = _scaled(cards[0].get("PeakBandwidthInGbps") if len(cards) == 1 else None, GIGABIT_BYTES)
        return baseline, peak or baseline
    headline = int(match["cards"] or 1) * float(match["gigabits"]) * GIGABIT_BYTES
    if baseline is not None and abs(baseline / headline - 1) < _ROUNDED:
        headline = baseline  # "28.12 Gigabit" is 28.125
    return (baseline if match["upto"] else headline), headline


def _accelerators(answer: Mapping[str, Any]) -> tuple[str | None, float | None, float | None]:
    """EC2's name of the accelerator, the memory of one, and how many."""
    devices = (
        (answer.get("GpuInfo") or {}).get("Gpus")
        or (answer.get("NeuronInfo") or {}).get("NeuronDevices")
        or (answer.get("InferenceAcceleratorInfo") or {}).get("Accelerators")
        or []
    )
    names = {str(device.get("Name", "")) for device in devices}
    if len(names) != 1 or names == {""}:
        return None, None, None  # none, or a mixture, which the catalog cannot hold
    count = sum(float(device.get("Count") or 0) for device in devices)
    if not count:  # a slice of a GPU (g6f): Count is 0
        count = sum(float(d.get("GpuPartitionSize") or 0) * float(d.get("LogicalGpuCount") or 1) for d in devices)
    memory_bytes = _scaled((devices[0].get("MemoryInfo") or {}).get("SizeInMiB"), MIB_BYTES)
    return names.pop(), memory_bytes, count or None


def _nvme(storage: Mapping[str, Any]) -> tuple[float, int]:
    """Bytes (of 10^9 in EC2's GB) and devices; the oldest types' SATA disks are not NVMe."""
    if storage.get("NvmeSupport") not in ("required", "supported"):
        return 0.0, 0
    disks = storage.get("Disks") or []
    return (
        sum(float(disk["SizeInGB"]) * int(disk["Count"]) for disk in disks) * 1e9,
        sum(int(d["Count"]) for d in disks),
    )


def _scaled(value: Any, factor: float) -> float | None:
    return None if value is None else float(value) * factor


def on_demand_price(product: Mapping[str, Any], region: str) -> tuple[str, float] | None:
    """Type and US dollars an hour of one product of the Price List, or None where it is not the plain on-demand price.

    The filters of the request are checked again: a row of dedicated tenancy costs a tenth more, one of a reservation
    or capacity block that is used costs 0. Raises KeyError, TypeError or ValueError where it is no product at all.
    """
    attributes = product["product"]["attributes"]
    wanted = {
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "regionCode": region,
        "marketoption": "OnDemand",
        "locationType": "AWS Region",  # not a Local Zone
    }
    if any(attributes.get(key, value) != value for key, value in wanted.items()):
        return None
    for term in product["terms"].get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            usd = dimension["pricePerUnit"].get("USD")
            if usd is not None and dimension["unit"] in ("Hrs", "Hours") and 0 < float(usd) < math.inf:
                return str(attributes["instanceType"]), float(usd)
    return None


def plausible_prices(
    found: Iterable[tuple[str, float]], known: Mapping[str, float], region: str
) -> tuple[dict[str, float], list[str]]:
    """On-demand prices by type, and why some were not taken. `known`: what the catalog says of this region so far."""
    prices: dict[str, float] = {}
    refused: dict[str, str] = {}
    for name, usd in found:
        before = known.get(name)
        if before and not 1 / PRICE_MOST_CHANGED <= usd / before <= PRICE_MOST_CHANGED:
            refused[name] = f"${usd:g} an hour, which was ${before:g}"
        elif prices.get(name, usd) != usd:
            refused[name] = f"two prices, ${prices[name]:g} and ${usd:g} an hour"
        prices[name] = usd
    kept = {name: usd for name, usd in prices.items() if name not in refused}
    return kept, [f"{region}: on-demand price of {name} not taken: {why}." for name, why in sorted(refused.items())]


def spot_seen(answers: Iterable[Mapping[str, Any]], region: str) -> list[SpotSeen]:
    """The latest price of each type and zone in DescribeSpotPriceHistory. Local Zones, dearer, are left out."""
    latest: dict[tuple[str, str], SpotSeen] = {}
    for answer in answers:
        zone = str(answer["AvailabilityZone"])
        if not re.fullmatch(re.escape(region) + "[a-z]", zone) or "Linux" not in str(answer["ProductDescription"]):
            continue
        seen = SpotSeen(str(answer["InstanceType"]), zone, float(answer["SpotPrice"]), answer["Timestamp"])
        key = (seen.name, zone)
        if key not in latest or latest[key].at < seen.at:
            latest[key] = seen
    return list(latest.values())


def plausible_spot(
    seen: Iterable[SpotSeen], on_demand: Mapping[str, float], now: datetime, region: str
) -> tuple[dict[str, float], list[str]]:
    """The median over a type's zones, and why some prices were not taken: one line a reason, with an example."""
    zones: dict[str, list[float]] = {}
    refused: Counter[str] = Counter()
    examples: dict[str, SpotSeen] = {}
    for price in seen:
        why = _implausible(price, on_demand.get(price.name), now)
        if why is None:
            zones.setdefault(price.name, []).append(price.usd_per_hour)
        else:
            refused[why] += 1
            examples.setdefault(why, price)
    lines = [
        f"{region}: {number} spot price{'s' if number > 1 else ''} not taken: {why} "
        f"({'such as ' if number > 1 else ''}{examples[why].name} in {examples[why].zone}: "
        f"${examples[why].usd_per_hour:.5g} an hour of {examples[why].at.date()})."
        for why, number in sorted(refused.items())
    ]
    return {name: statistics.median(prices) for name, prices in zones.items()}, lines


def _implausible(price: SpotSeen, on_demand: float | None, now: datetime) -> str | None:
    if now - price.at > SPOT_OLDEST:
        return f"older than {SPOT_OLDEST.days} days"
    lowest = SPOT_LOWEST_SHARE * on_demand if on_demand else SPOT_LOWEST_USD
    if not lowest <= price.usd_per_hour < math.inf:
        what = f"{SPOT_LOWEST_SHARE:.0%} of on demand" if on_demand else f"${SPOT_LOWEST_USD} an hour"
        return f"below {what}"
    if on_demand and price.usd_per_hour > SPOT_HIGHEST_SHARE * on_demand:
        return f"above {SPOT_HIGHEST_SHARE:.0%} of on demand"
    return None
