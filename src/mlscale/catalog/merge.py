"""A snapshot laid over the shipped catalog. Pure. What was seen later counts; what was seen beats what was derived."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date

from mlscale.catalog.snapshot import Snapshot, TypeFacts, family_of
from mlscale.catalog.types import Catalog, Instance, Interconnect, Price, Source, SpotPrice

EC2 = "EC2 DescribeInstanceTypes"
OFFERINGS = "EC2 DescribeInstanceTypeOfferings"
PRICE_LIST = "AWS Price List"
SPOT_HISTORY = "EC2 DescribeSpotPriceHistory"
_SAME_MEMORY = 0.15  # vendors count 10^9, EC2 2^20 less what the driver keeps: up to 7 % apart for the same part

# What EC2 may update of a type that the catalog knows. Never the accelerator itself: EC2's figures for devices have
# been wrong (Trainium2 512 GiB), and they belong to the data sheet. Never the interconnect: EC2 does not tell.
UPDATED = (
    "vcpus",
    "cores",
    "memory_bytes",
    "accelerators",
    "network_bytes_per_s",
    "network_peak_bytes_per_s",
    "efa",
    "efa_interfaces",
    "ebs_bytes_per_s",
    "ebs_peak_bytes_per_s",
    "ebs_iops",
    "ebs_peak_iops",
    "nvme_bytes",
    "nvme_devices",
    "placement_group",
)


@dataclass(frozen=True)
class Change:
    """One figure that differs between two catalogs."""

    instance: str
    what: str
    before: object
    after: object


def merge(catalog: Catalog, snapshot: Snapshot | None) -> Catalog:
    """The catalog with the snapshot laid over it: new types added, specs updated, regions and prices replaced."""
    if snapshot is None or not snapshot.regions:
        return catalog
    instances = {name: _updated(known, snapshot) for name, known in catalog.instances.items()}
    hosts = {name: _updated(known, snapshot) for name, known in catalog.hosts.items()}
    for facts in snapshot.types.values():
        if facts.name not in instances and facts.name not in hosts:
            added, _ = _new(catalog, facts)
            if added is not None and _offers(snapshot, facts.name):
                instances[facts.name] = _priced(added, snapshot, date.min)
    dates = [*_price_dates(instances.values())]
    return replace(catalog, instances=instances, hosts=hosts, taken=min(dates) if dates else catalog.taken)


def warnings(catalog: Catalog, snapshot: Snapshot) -> list[str]:
    """What of the snapshot the catalog could not take, or took with a gap."""
    lines = []
    for name, facts in sorted(snapshot.types.items()):
        if name not in catalog.instances and name not in catalog.hosts and _offers(snapshot, name):
            _, problem = _new(catalog, facts)
            if problem:
                lines.append(f"{name}: {problem}")
    return lines


def changes(before: Catalog, after: Catalog) -> tuple[list[str], list[Change]]:
    """The types that `after` has more, and each figure of the others that differs."""
    new = sorted(after.instances.keys() - before.instances.keys())
    differing = []
    known, present = {**before.instances, **before.hosts}, {**after.instances, **after.hosts}
    for name, old in sorted(known.items()):
        now = present[name]
        for what in (*UPDATED, "retired", "regions"):
            was, is_now = getattr(old, what), getattr(now, what)
            if was != is_now:
                differing.append(Change(name, what, was, is_now))
        for region in sorted(old.on_demand.keys() | now.on_demand.keys()):
            was, is_now = _usd(old.on_demand.get(region)), _usd(now.on_demand.get(region))
            if was != is_now:
                differing.append(Change(name, f"on_demand.{region}", was, is_now))
    return new, differing


def _usd(price: Price | None) -> float | None:
    return None if price is None else price.usd_per_hour


def _updated(known: Instance, snapshot: Snapshot) -> Instance:
    facts = snapshot.types.get(known.name)
    shipped = known.source.date if known.source is not None else date.min
    if facts is not None and facts.read >= shipped:
        told = {what: getattr(facts, what) for what in UPDATED if getattr(facts, what) is not None}
        known = replace(known, **told, source=Source(EC2, facts.read), sources=_sources(known, told))
    return _priced(known, snapshot, shipped)


def _sources(known: Instance, told: Mapping[str, object]) -> dict[str, Source]:
    """What EC2 did not tell keeps the source that it had."""
    other = {what: source for what, source in known.sources.items() if what not in told}
    if known.source is not None:
        kept = ("accelerator", "interconnect", "nvme_iops", "nvme_bytes_per_s", "regions", *UPDATED)
        other = {**{what: known.source for what in kept if what not in told and getattr(known, what)}, **other}
    return other


def _priced(known: Instance, snapshot: Snapshot, shipped: date) -> Instance:
    """Regions and prices from the snapshot, each where it was seen later than what the catalog has. `shipped` is the
    day on which the catalog's regions were seen."""
    family = family_of(known.name)
    regions, on_demand, spot = set(known.regions), dict(known.on_demand), dict(known.spot)
    refreshed, last = set(), date.min
    for region, families in snapshot.regions.items():
        facts = families.get(family)
        if facts is None or facts.read < shipped:
            continue
        refreshed.add(region)
        last = max(last, facts.read)
        if known.name in facts.offered:
            regions.add(region)
        else:
            regions.discard(region)
        usd = facts.on_demand.get(known.name)
        if usd is not None and _newer(on_demand.get(region), facts.read):
            on_demand[region] = Price(usd, Source(PRICE_LIST, facts.read))
        usd, old = facts.spot.get(known.name), spot.get(region)
        if usd is not None and (old is None or facts.read >= old.source.date):
            spot[region] = SpotPrice(
                usd, Source(SPOT_HISTORY, facts.read), old.interruptions_per_month_fraction if old else None
            )
    retired, note = known.retired, known.note
    if refreshed & regions:
        retired = False
    elif refreshed and known.regions and not regions:  # it was offered somewhere, and we looked everywhere it was
        retired = True
        note = f"{note} Not offered any more on {last}, in any region that had it.".strip()
    return replace(known, regions=tuple(sorted(regions)), on_demand=on_demand, spot=spot, retired=retired, note=note)


def _newer(old: Price | None, read: date) -> bool:
    return old is None or old.derived or read >= old.source.date


def _new(catalog: Catalog, facts: TypeFacts) -> tuple[Instance | None, str]:
    """A type that the catalog does not know, and what is missing; None where too much is missing."""
    base, peak = facts.network_bytes_per_s, facts.network_peak_bytes_per_s
    if facts.accelerators is None or facts.accelerator is None:
        return None, "left out: EC2 does not say which accelerators it has."
    if base is None or peak is None:
        return None, "left out: EC2 does not say how fast its network is."
    if facts.cores is None:
        return None, "left out: EC2 does not say how many cores it has."
    family = family_of(facts.name)
    siblings = [known for known in catalog.instances.values() if known.family == family]
    accelerator = _accelerator(catalog, siblings, facts)
    interconnect = _interconnect(siblings, facts.accelerators)
    problems = []
    if accelerator is None:
        problems.append(f"the catalog has no data sheet of its accelerator, {facts.accelerator}")
    if interconnect == "other":
        problems.append(f"how its {facts.accelerators:g} accelerators are linked is not known")
    problem = f"{'; '.join(problems)}." if problems else ""
    return Instance(
        name=facts.name,
        family=family,
        retired=False,
        vcpus=facts.vcpus,
        cores=facts.cores,
        memory_bytes=facts.memory_bytes,
        accelerator=accelerator,
        accelerators=facts.accelerators,
        interconnect=interconnect,
        network_bytes_per_s=base,
        network_peak_bytes_per_s=peak,
        efa=facts.efa,
        efa_interfaces=facts.efa_interfaces,
        ebs_bytes_per_s=facts.ebs_bytes_per_s,
        ebs_peak_bytes_per_s=facts.ebs_peak_bytes_per_s,
        ebs_iops=facts.ebs_iops,
        ebs_peak_iops=facts.ebs_peak_iops,
        nvme_bytes=facts.nvme_bytes,
        nvme_devices=facts.nvme_devices,
        nvme_iops=None,
        placement_group=facts.placement_group,
        regions=(),
        source=Source(EC2, facts.read),
        note=problem[:1].upper() + problem[1:],
    ), problem


def _accelerator(catalog: Catalog, siblings: Iterable[Instance], facts: TypeFacts) -> str | None:
    """The catalog's name for EC2's accelerator ("A100" with 80 GiB: "A100-80GB"), or None."""
    words = _words(facts.accelerator or "")
    named = [name for name in catalog.accelerators if words <= _words(name)]
    named = [name for name in named if _words(name) == words] or named
    if facts.accelerator_memory_bytes:
        whole = facts.accelerator_memory_bytes / min(1.0, facts.accelerators or 1.0)  # of a slice: of all the GPU
        fitting = [n for n in named if abs(whole / catalog.accelerators[n].memory_bytes - 1) <= _SAME_MEMORY]
        if len(fitting) == 1:
            return fitting[0]
    in_family = {known.accelerator for known in siblings} & set(named)
    return in_family.pop() if len(in_family) == 1 else None


def _words(name: str) -> frozenset[str]:
    return frozenset(re.split(r"[\s_-]+", name.casefold()))


def _interconnect(siblings: Iterable[Instance], accelerators: float) -> Interconnect:
    """As in its family, which builds its boards alike: that of the member nearest in accelerators."""
    if accelerators <= 1:
        return "none"
    several = [known for known in siblings if known.accelerators > 1 and not known.retired]
    if not several:
        return "other"
    return min(several, key=lambda known: abs(known.accelerators - accelerators)).interconnect


def _offers(snapshot: Snapshot, name: str) -> bool:
    family = family_of(name)
    return any(name in families[family].offered for families in snapshot.regions.values() if family in families)


def _price_dates(instances: Iterable[Instance]) -> Iterator[date]:
    """The days of the on-demand prices that can be picked: of current types, where they are offered."""
    for instance in instances:
        if not instance.retired:
            for region, price in instance.on_demand.items():
                if region in instance.regions:
                    yield price.source.date


def known_prices(catalog: Catalog, region: str) -> Mapping[str, float]:
    """On-demand prices of a region by type."""
    return {
        name: instance.on_demand[region].usd_per_hour
        for name, instance in (*catalog.instances.items(), *catalog.hosts.items())
        if region in instance.on_demand
    }
