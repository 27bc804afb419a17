"""How old prices are, and what may still rest on them.

Two catalogs 15 months apart (2025-04, 2026-07) differed in 4 of 71 on-demand prices: P4 and P5, by 25 to 44 % each.
Spot prices a year old were off by 0.43 to 3.5 times (14 pairs).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from mlscale.catalog.types import Catalog, Instance, Price, SpotPrice

ON_DEMAND_DAYS = 60
P_FAMILIES_DAYS = 30
SPOT_DAYS = 2


def usable_spot(price: SpotPrice, today: date) -> bool:
    """Whether a spot price is young enough to rank anything. A day ahead is the other side of midnight."""
    return -1 <= (today - price.source.date).days <= SPOT_DAYS


def stale(catalog: Catalog, today: date, region: str | None = None) -> tuple[str, ...]:
    """Warnings for the types that can be picked, in one region or in all: what is too old, since when, what to do."""
    current = [instance for instance in catalog.instances.values() if not instance.retired]
    p_types = [instance for instance in current if instance.family.startswith("p")]
    others = [instance for instance in current if not instance.family.startswith("p")]
    where = f" in {region}" if region else ""
    lines = []
    for group, whose, most in (
        (p_types, " of the P families", P_FAMILIES_DAYS),
        (others, " of the other families", ON_DEMAND_DAYS),
    ):
        days = [(today - price.source.date).days for price in _on_demand(group, region)]
        old = [age for age in days if age > most]
        if old:
            ages = f"{min(old)} to {max(old)}" if min(old) != max(old) else f"{max(old)}"
            lines.append(
                f"On-demand prices{whose}{where} are {ages} days old ({len(old)} of {len(days)} are older than {most} "
                "days): run `mlscale catalog refresh`."
            )
    spot = [
        price
        for instance in current
        for where_seen, price in instance.spot.items()
        if region is None or where_seen == region
    ]
    unusable = [price.source.date for price in spot if not usable_spot(price, today)]
    if unusable:
        last = max(price.source.date for price in spot)
        lines.append(
            f"{len(unusable)} of {len(spot)} spot prices{where} are more than {SPOT_DAYS} days old (the latest is of "
            f"{last}) and rank nothing: run `mlscale catalog refresh`."
        )
    return tuple(lines)


def _on_demand(instances: Iterable[Instance], region: str | None) -> list[Price]:
    return [
        price
        for instance in instances
        for where, price in instance.on_demand.items()
        if region is None or where == region
    ]
