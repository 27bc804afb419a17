"""What a refresh read from AWS, as plain data: the file's format, reading it, and laying a newer one over an older one.

The file holds AWS's answers, not the catalog: `merge.py` decides what they change. Pure, but for `read`.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from mlscale.errors import UnreadableInput

FILE = "catalog.json"
FORMAT = "mlscale catalog snapshot"
VERSION = 1


@dataclass(frozen=True)
class TypeFacts:
    """What EC2 says of one type; None where it says nothing. `accelerator` is EC2's own name for it, `accelerators`
    how many (a fraction for a slice of one), `accelerator_memory_bytes` what one has, or the slice."""

    name: str
    read: date
    vcpus: int
    cores: int | None
    memory_bytes: float
    accelerator: str | None
    accelerator_memory_bytes: float | None
    accelerators: float | None
    network_bytes_per_s: float | None
    network_peak_bytes_per_s: float | None
    efa: bool
    efa_interfaces: int
    ebs_bytes_per_s: float | None
    ebs_peak_bytes_per_s: float | None
    ebs_iops: float | None
    ebs_peak_iops: float | None
    nvme_bytes: float
    nvme_devices: int
    placement_group: bool


@dataclass(frozen=True)
class FamilyFacts:
    """One family in one region on one day: the types offered there, and their Linux prices in US dollars an hour."""

    read: date
    offered: tuple[str, ...]
    on_demand: Mapping[str, float] = field(default_factory=dict)
    spot: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """All that was read: types by name, families by region and name."""

    types: Mapping[str, TypeFacts]
    regions: Mapping[str, Mapping[str, FamilyFacts]]


EMPTY = Snapshot({}, {})


def family_of(name: str) -> str:
    """ "p5" of "p5.48xlarge"."""
    return name.partition(".")[0]


def data_folder() -> Path:
    """The user's data folder: MLSCALE_DATA_DIR, or what the platform says."""
    named = os.environ.get("MLSCALE_DATA_DIR")
    if named:
        return Path(named).expanduser()
    from platformdirs import user_data_path

    return user_data_path("mlscale")


def read(folder: Path) -> Snapshot | None:
    """The snapshot in a data folder, or None where there is none. Raises UnreadableInput."""
    path = folder / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise UnreadableInput(f"{path}: {reason}. Run `mlscale catalog refresh`, or remove the file.") from None
    return from_json(text, str(path))


def overlay(old: Snapshot, new: Snapshot) -> Snapshot:
    """`old`, with what `new` says in its place, family by family."""
    regions = {region: {**old.regions.get(region, {}), **families} for region, families in new.regions.items()}
    return Snapshot({**old.types, **new.types}, {**old.regions, **regions})


def as_json(snapshot: Snapshot) -> str:
    """The file's text, sorted, so that two snapshots can be compared line by line."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "types": {name: type_as_dict(facts) for name, facts in snapshot.types.items()},
        "regions": {
            region: {
                name: {
                    "read": facts.read.isoformat(),
                    "offered": sorted(facts.offered),
                    "on_demand_usd_per_hour": dict(facts.on_demand),
                    "spot_usd_per_hour": dict(facts.spot),
                }
                for name, facts in families.items()
            }
            for region, families in snapshot.regions.items()
        },
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def from_json(text: str, path: str) -> Snapshot:
    """The snapshot in a file's text. Raises UnreadableInput, with the file and the key."""
    remedy = "Run `mlscale catalog refresh` to read it anew, or remove the file"
    where = "the file"
    try:
        document = json.loads(text)
        if document["format"] != FORMAT:
            raise ValueError(f"'format' is not '{FORMAT}'")
        if document["version"] != VERSION:
            raise ValueError(f"version {document['version']}, and this mlscale reads version {VERSION}")
        types = {}
        for name, fields in document["types"].items():
            where = f"types.{name}"
            types[name] = type_from_dict(fields)
        regions = {}
        for region, families in document["regions"].items():
            where = f"regions.{region}"
            regions[region] = {name: _family_from_dict(fields) for name, fields in families.items()}
        return Snapshot(types, regions)
    except json.JSONDecodeError as error:
        raise UnreadableInput(f"{path}, line {error.lineno}: not JSON. {remedy}.") from None
    except KeyError as error:
        raise UnreadableInput(f"{path}: {where} has no {error}. {remedy}.") from None
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        text = " ".join(str(error).split())
        raise UnreadableInput(f"{path}: {where} is not what a snapshot holds ({text}). {remedy}.") from None


def type_as_dict(facts: TypeFacts) -> dict[str, Any]:
    """One type as JSON."""
    return {**dataclasses.asdict(facts), "read": facts.read.isoformat()}


def type_from_dict(fields: Mapping[str, Any]) -> TypeFacts:
    """One type out of JSON. Raises KeyError, TypeError or ValueError."""

    def number(key: str) -> float:
        value = fields[key]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < float("inf"):
            raise ValueError(f"'{key}' is {value!r}, not a number of 0 or more")
        return float(value)

    def number_or_none(key: str) -> float | None:
        return None if fields[key] is None else number(key)

    cores = number_or_none("cores")
    return TypeFacts(
        name=str(fields["name"]),
        read=date.fromisoformat(fields["read"]),
        vcpus=int(number("vcpus")),
        cores=None if cores is None else int(cores),
        memory_bytes=number("memory_bytes"),
        accelerator=None if fields["accelerator"] is None else str(fields["accelerator"]),
        accelerator_memory_bytes=number_or_none("accelerator_memory_bytes"),
        accelerators=number_or_none("accelerators"),
        network_bytes_per_s=number_or_none("network_bytes_per_s"),
        network_peak_bytes_per_s=number_or_none("network_peak_bytes_per_s"),
        efa=bool(fields["efa"]),
        efa_interfaces=int(number("efa_interfaces")),
        ebs_bytes_per_s=number_or_none("ebs_bytes_per_s"),
        ebs_peak_bytes_per_s=number_or_none("ebs_peak_bytes_per_s"),
        ebs_iops=number_or_none("ebs_iops"),
        ebs_peak_iops=number_or_none("ebs_peak_iops"),
        nvme_bytes=number("nvme_bytes"),
        nvme_devices=int(number("nvme_devices")),
        placement_group=bool(fields["placement_group"]),
    )


def _family_from_dict(fields: Mapping[str, Any]) -> FamilyFacts:
    return FamilyFacts(
        read=date.fromisoformat(fields["read"]),
        offered=tuple(map(str, fields["offered"])),
        on_demand=_prices(fields, "on_demand_usd_per_hour"),
        spot=_prices(fields, "spot_usd_per_hour"),
    )


def _prices(fields: Mapping[str, Any], key: str) -> dict[str, float]:
    prices = {}
    for name, value in fields[key].items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
            raise ValueError(f"'{key}' of {name} is {value!r}, not a price")
        prices[name] = float(value)
    return prices
