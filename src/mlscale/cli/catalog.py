"""`mlscale catalog list / show`: the facts that planning rests on, each with its source and date."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from mlscale.cli.output import Output, emit
from mlscale.errors import UsageProblem

if TYPE_CHECKING:
    from mlscale.catalog.facts import Shown
    from mlscale.catalog.types import Catalog, Instance

WHAT = ("instances", "accelerators", "file-systems", "hosts")
DEFAULT_REGION = "us-east-1"  # whose prices a list shows where none is named


def run_list(what: str, family: str | None, region: str | None, accelerator: str | None, output: Output) -> int:
    """Lists one kind of facts; EC2 types of one family, offered in one region, or with one accelerator. Gives the exit
    code; raises UsageProblem."""
    from mlscale.catalog.current import current
    from mlscale.cli import catalog_text as text

    if what not in WHAT:
        raise UsageProblem(f"catalog list {what}: there is no such list. There are {', '.join(WHAT)}.")
    if what in ("accelerators", "file-systems"):
        for option, value in (("--family", family), ("--region", region), ("--accelerator", accelerator)):
            if value is not None:
                raise UsageProblem(f"catalog list {what}: {option} goes with instances. Leave it out.")
    catalog = current()
    if what == "accelerators":
        sheets = list(catalog.accelerators.values())
        return _emit(output, lambda: {"accelerators": _plain(sheets)}, lambda *how: text.accelerators(sheets, *how))
    if what == "file-systems":
        stores = list(catalog.file_systems.values())
        return _emit(output, lambda: {"file_systems": _plain(stores)}, lambda *how: text.file_systems(stores, *how))
    region = region and region.strip().lower()
    chosen = _chosen(catalog, what, family, region, accelerator)
    priced_in = region or DEFAULT_REGION
    return _emit(
        output,
        lambda: {
            "prices_since": catalog.taken.isoformat(),
            "region": region,
            what: [_type_json(item) for item in chosen],
            "warnings": _warnings(catalog, region),
        },
        lambda *how: text.types(chosen, priced_in, _warnings(catalog, priced_in), *how),
    )


def run_show(name: str, output: Output) -> int:
    """Shows one EC2 type, accelerator or file system, and where each value comes from. Gives the exit code; raises
    UsageProblem with the nearest names."""
    from mlscale.catalog.current import current
    from mlscale.catalog.facts import find
    from mlscale.cli import catalog_text as text

    shown = find(current(), name)
    return _emit(output, lambda: _shown_json(shown), lambda *how: text.entry(shown, *how))


def _chosen(
    catalog: Catalog, what: str, family: str | None, region: str | None, accelerator: str | None
) -> list[Instance]:
    from mlscale.catalog.document import nearest

    types = list((catalog.hosts if what == "hosts" else catalog.instances).values())
    if family is not None:
        families = list(dict.fromkeys(item.family for item in types))
        if family.lower() not in families:
            raise UsageProblem(f"--family {family}: the catalog has no type of it. {nearest(family, families)}")
        types = [item for item in types if item.family == family.lower()]
    if accelerator is not None:
        names = _accelerators_called(catalog, accelerator)
        types = [item for item in types if item.accelerator in names]
    if region is not None:
        everywhere = (*catalog.instances.values(), *catalog.hosts.values())
        regions = sorted({each for item in everywhere for each in item.regions})
        if region not in regions:
            raise UsageProblem(f"--region {region}: no type is offered there. {nearest(region, regions)}")
        types = [item for item in types if region in item.regions]
    return types


def _accelerators_called(catalog: Catalog, name: str) -> frozenset[str]:
    """The accelerators that a name covers: "V100" is two of them."""
    from mlscale.catalog.read import find_accelerator

    try:
        return frozenset({find_accelerator(catalog, name).name})
    except UsageProblem:
        found = frozenset(each for each in catalog.accelerators if each.lower().startswith(f"{name.strip().lower()}-"))
        if not found:
            raise
        return found


def _warnings(catalog: Catalog, region: str | None) -> list[str]:
    from mlscale.catalog.age import stale

    return list(stale(catalog, datetime.now(timezone.utc).date(), region))


def _emit(output: Output, document: Callable[[], Any], text: Callable[[bool, int], str]) -> int:
    if output.format != "json":
        return emit(output, text)
    # `default`: the days of sources.
    return emit(output, lambda *_: json.dumps(document(), indent=2, ensure_ascii=False, default=str) + "\n")


def _plain(items: list[Any]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(item) for item in items]


def _type_json(item: Instance) -> dict[str, Any]:
    """A type with its prices as plain numbers; `show` has their sources."""
    entry = dataclasses.asdict(item)
    for key in ("source", "sources", "interruptions"):
        del entry[key]
    entry["on_demand"] = {region: price.usd_per_hour for region, price in item.on_demand.items()}
    entry["spot"] = {region: price.usd_per_hour for region, price in item.spot.items()}
    return entry


def _shown_json(shown: Shown) -> dict[str, Any]:
    values = {
        fact.name: {
            "value": fact.value,
            "unit": fact.unit,
            "derived": fact.derived,
            "source": fact.source.name,
            "date": fact.source.date.isoformat(),
            "confidence": fact.source.confidence,
        }
        for fact in shown.facts
    }
    return {"kind": shown.kind, "name": shown.name, "retired": shown.retired, "note": shown.note, "values": values}
