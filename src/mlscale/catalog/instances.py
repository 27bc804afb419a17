"""Families of EC2 types (`profiles/instances/*.yaml`, and each family of `profiles/hosts.yaml`) as Instances."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import cast, get_args

from mlscale.catalog import document as doc
from mlscale.catalog import sources
from mlscale.catalog.document import Section
from mlscale.catalog.types import Arch, Instance, Interconnect, Interruptions, Price, Source, SpotPrice
from mlscale.catalog.units import GB, GBIT, GIB, MB, PERCENT

FAMILY_KEYS = ("family", "source", "sources", "field_sources", "common", "types")
HOST_FAMILY_KEYS = ("field_sources", "common", "types")
_KEYS = (
    "arch retired vcpus cores memory_gib accelerator accelerators interconnect network_gbit_per_s network_peak_gbit_per_s "
    "efa_interfaces ebs_mb_per_s ebs_peak_mb_per_s ebs_iops ebs_peak_iops nvme_gb nvme_devices nvme_read_iops "
    "nvme_read_gb_per_s placement_group regions on_demand_usd_per_hour spot_usd_per_hour "
    "interruptions_percent_per_month note"
).split()
_PRICE_KEYS = ("usd", "source", "derived")
_SPOT_KEYS = ("usd", "source")
_FIELDS = tuple(Instance.__dataclass_fields__)
_INTERCONNECTS = get_args(Interconnect)
_ARCHES = get_args(Arch)


def family(
    section: Section,
    name: str,
    source: Source,
    known_sources: Mapping[str, Source],
    accelerators: Collection[str],
) -> list[Instance]:
    """The types of one family. What is `common` holds for each of them, unless it says otherwise."""
    common = doc.subsection(section, "common")
    doc.allow(common, _KEYS)
    fields = sources.of_fields(section, known_sources, _FIELDS)
    found = []
    for type_name, below in doc.subsections(section, "types", required=True):
        doc.allow(below, _KEYS)
        if type_name.partition(".")[0] != name:
            raise doc.refusal(below, "", f"is not a type of the family {name!r}. Put it in the file of its own family")
        whole = Section(below.path, below.place, {**common.values, **below.values})
        found.append(_one(whole, type_name, name, source, known_sources, fields, accelerators))
    return found


def _one(
    section: Section,
    name: str,
    family_name: str,
    source: Source,
    known_sources: Mapping[str, Source],
    fields: Mapping[str, Source],
    accelerators: Collection[str],
) -> Instance:
    accelerator = doc.text(section, "accelerator", "") or None
    if accelerator is not None and accelerator not in accelerators:
        hint = doc.nearest(accelerator, accelerators)
        raise doc.refusal(section, "accelerator", f"names {accelerator!r}, which is not in accelerators.yaml. {hint}")
    efa_interfaces = doc.whole(section, "efa_interfaces")
    network = doc.number(section, "network_gbit_per_s") * GBIT
    return Instance(
        name=name,
        family=family_name,
        retired=doc.flag(section, "retired"),
        vcpus=doc.whole(section, "vcpus"),
        cores=doc.whole(section, "cores"),
        memory_bytes=doc.number(section, "memory_gib") * GIB,
        accelerator=accelerator,
        accelerators=doc.number(section, "accelerators") if accelerator else 0.0,
        interconnect=cast(
            Interconnect, doc.choice(section, "interconnect", _INTERCONNECTS, None if accelerator else "none")
        ),
        network_bytes_per_s=network,
        network_peak_bytes_per_s=doc.number(section, "network_peak_gbit_per_s") * GBIT,
        efa=efa_interfaces > 0,
        efa_interfaces=efa_interfaces,
        ebs_bytes_per_s=doc.number_or_none(section, "ebs_mb_per_s", MB),
        ebs_peak_bytes_per_s=doc.number_or_none(section, "ebs_peak_mb_per_s", MB),
        ebs_iops=doc.number_or_none(section, "ebs_iops"),
        ebs_peak_iops=doc.number_or_none(section, "ebs_peak_iops"),
        nvme_bytes=doc.number_or_none(section, "nvme_gb", GB) or 0.0,
        nvme_devices=doc.whole(section, "nvme_devices", 0),
        nvme_iops=doc.number_or_none(section, "nvme_read_iops"),
        placement_group=doc.flag(section, "placement_group"),
        regions=doc.texts(section, "regions"),
        on_demand=_prices(section, known_sources),
        spot=_spot(section, known_sources, fields),
        source=source,
        note=doc.text(section, "note", ""),
        nvme_bytes_per_s=doc.number_or_none(section, "nvme_read_gb_per_s", GB),
        interruptions=_interruptions(section, fields.get("interruptions", source)),
        sources=fields,
        arch=cast(Arch, doc.choice(section, "arch", _ARCHES, "x86_64")),
    )


def _prices(section: Section, known_sources: Mapping[str, Source]) -> dict[str, Price]:
    found = {}
    for region, below in doc.subsections(section, "on_demand_usd_per_hour"):
        doc.allow(below, _PRICE_KEYS)
        usd = doc.number(below, "usd", above=0.0)
        found[region] = Price(usd, sources.named(below, "source", known_sources), doc.flag(below, "derived"))
    return found


def _spot(section: Section, known_sources: Mapping[str, Source], fields: Mapping[str, Source]) -> dict[str, SpotPrice]:
    buckets = _interruptions(section, fields.get("interruptions"))
    found = {}
    for region, below in doc.subsections(section, "spot_usd_per_hour"):
        doc.allow(below, _SPOT_KEYS)
        usd = doc.number(below, "usd", above=0.0)
        bucket = buckets.get(region)
        found[region] = SpotPrice(
            usd, sources.named(below, "source", known_sources), None if bucket is None else _middle(bucket)
        )
    return found


def _middle(bucket: Interruptions) -> float:
    """One figure for a bucket: its middle; for the open one, the least that it says."""
    if bucket.most_fraction is None:
        return bucket.least_fraction
    return (bucket.least_fraction + bucket.most_fraction) / 2


def _interruptions(section: Section, source: Source | None) -> dict[str, Interruptions]:
    below = doc.subsection(section, "interruptions_percent_per_month")
    if source is None:
        return {}
    return {region: _bucket(below, region, source) for region in below.values}


def _bucket(section: Section, region: str, source: Source) -> Interruptions:
    """ "5-10" or "20+", in percent."""
    value = doc.text(section, region)
    least, dash, most = value.removesuffix("+").partition("-")
    try:
        low = float(least) * PERCENT
        high = float(most) * PERCENT if dash else None
    except ValueError:
        low, high = -1.0, None
    if not 0 <= low <= (1.0 if high is None else high) <= 1 or (high is None) != value.endswith("+"):
        raise doc.refusal(section, region, f"must be a bucket in percent, as in 5-10 or 20+, not {value!r}")
    return Interruptions(low, high, source)
