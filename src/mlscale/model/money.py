"""Time to train and its cost: compute on demand or spot, storage for the run, staging the data in. Pure."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from mlscale.catalog.age import ON_DEMAND_DAYS, P_FAMILIES_DAYS, SPOT_DAYS
from mlscale.catalog.types import Dataset, Instance, Price, SpotPrice
from mlscale.errors import UsageProblem
from mlscale.model.estimate import Estimate
from mlscale.model.fetch import HOURS_PER_MONTH, Fetch, is_ram_disk, reads_bucket
from mlscale.model.storage_constants import StorageConstants

Purchase = Literal["on-demand", "spot"]
GB_READ = 1e9
OPEN_BUCKET_FRACTION = 0.4  # where AWS only says "over 20 % in a month"


@dataclass(frozen=True)
class RunCost:
    """`hours` from launch to the last step: staging, start, the cold first epoch and interruptions counted. Money in USD
    at the middle of `hours`; compute grows with them, to `compute_high_usd` at their upper end."""

    hours: Estimate
    training_hours: float
    staging_hours: float
    compute_usd: float
    compute_high_usd: float
    storage_usd: float
    interruptions: float
    usd_per_hour: float  # of all nodes
    price_age_days: int
    stale: bool
    notes: tuple[str, ...] = ()

    @property
    def total_usd(self) -> float:
        """Compute and storage."""
        return self.compute_usd + self.storage_usd


def run_cost(
    samples: float,
    samples_per_s: Estimate,
    instance: Instance,
    nodes: int,
    region: str,
    purchase: Purchase,
    fetch: Fetch,
    dataset: Dataset,
    epochs: float,
    today: date,
    constants: StorageConstants,
) -> RunCost:
    """`samples` in all epochs, `samples_per_s` of all nodes together. A missing price is a UsageProblem."""
    if samples_per_s.value <= 0:
        raise UsageProblem(f"{instance.name}: no samples a second, so no time to train")
    price, interrupted = _price(instance, region, purchase, constants)
    staging_s, staging_usd, staged = staging(fetch, instance, dataset, nodes, constants)
    steady_s = samples / samples_per_s.value
    steady_s += cold_epoch_s(samples_per_s.value, fetch, dataset, nodes) * min(epochs, 1.0)
    interruptions, training_s = 0.0, steady_s
    notes = [note for note in (staged, fetch.note) if note]
    if purchase == "spot":
        per_s = nodes * interruption_rate(interrupted)
        training_s = steady_s * spot_stretch(per_s, constants)
        interruptions = per_s * training_s
        notes.append(
            f"{interruptions:.1f} interruptions expected; a checkpoint every {checkpoint_every(per_s, constants)}"
        )
    total_s = training_s + staging_s + constants.start_s
    hours = Estimate(total_s / 3600, samples_per_s.log_sd * training_s / total_s)
    hourly = price.usd_per_hour * nodes
    age = (today - price.source.date).days
    stale = is_stale(instance, purchase, age)
    if stale:
        notes.append(f"the {purchase} price is {age} days old")
    if isinstance(price, Price) and price.derived:
        notes.append(f"the price in {region} is derived from another region's")
    storage = fetch.usd_per_month * hours.value / HOURS_PER_MONTH + reading_usd(fetch, dataset, epochs) + staging_usd
    return RunCost(
        hours=hours,
        training_hours=training_s / 3600,
        staging_hours=staging_s / 3600,
        compute_usd=hourly * hours.value,
        compute_high_usd=hourly * hours.high,
        storage_usd=storage,
        interruptions=interruptions,
        usd_per_hour=hourly,
        price_age_days=age,
        stale=stale,
        notes=tuple(notes),
    )


def is_stale(instance: Instance, purchase: Purchase, age_days: int) -> bool:
    """List prices hold for months, but for the P families; spot prices move by the day."""
    if purchase == "spot":
        return age_days > SPOT_DAYS
    return age_days > (P_FAMILIES_DAYS if instance.family.startswith("p") else ON_DEMAND_DAYS)


def _price(
    instance: Instance, region: str, purchase: Purchase, constants: StorageConstants
) -> tuple[Price | SpotPrice, float]:
    """The price an hour, and the chance of an interruption in a month."""
    told: Mapping[str, Price | SpotPrice] = instance.on_demand if purchase == "on-demand" else instance.spot
    found = told.get(region)
    if found is None:
        near = nearest_region(region, tuple(told))
        hint = f"nearest region with one: {near}" if near else "no region has one"
        raise UsageProblem(f"{instance.name}: no {purchase} price in {region}; {hint}")
    known = found.interruptions_per_month_fraction if isinstance(found, SpotPrice) else None
    bucket = instance.interruptions.get(region)
    if known is None and bucket is not None:
        most = OPEN_BUCKET_FRACTION if bucket.most_fraction is None else bucket.most_fraction
        known = (bucket.least_fraction + most) / 2
    return found, constants.spot_interruptions_per_month_fraction if known is None else known


def nearest_region(region: str, others: tuple[str, ...]) -> str | None:
    """Of the same area (`us-`, `eu-`, ...) if one is, by likeness of names otherwise."""
    area = region.split("-")[0]
    alike = tuple(other for other in others if other.split("-")[0] == area) or others
    return max(sorted(alike), key=lambda other: difflib.SequenceMatcher(None, region, other).ratio(), default=None)


# Interruptions.


def interruption_rate(in_a_month_fraction: float) -> float:
    """Interruptions a second of one instance, from the chance of one in a month."""
    return -math.log1p(-min(in_a_month_fraction, 0.999)) / (HOURS_PER_MONTH * 3600)


def spot_stretch(per_s: float, constants: StorageConstants) -> float:
    """Expected time over undisturbed time: checkpoints at the best distance (Young: sqrt(2 t / rate)), half of that
    distance lost at each interruption, and the restart."""
    if per_s <= 0:
        return 1.0
    apart = math.sqrt(2 * constants.checkpoint_s / per_s)
    return 1 + constants.checkpoint_s / apart + per_s * (apart / 2 + constants.restart_s)


def checkpoint_every(per_s: float, constants: StorageConstants) -> str:
    """The best distance of checkpoints, to read."""
    minutes = math.sqrt(2 * constants.checkpoint_s / per_s) / 60 if per_s > 0 else math.inf
    return f"{minutes / 60:.1f} h" if minutes >= 120 else f"{minutes:.0f} min"


# Data.


def cold_epoch_s(samples_per_s: float, fetch: Fetch, dataset: Dataset, nodes: int) -> float:
    """Seconds that the first epoch takes longer, with nothing in the page cache yet."""
    if fetch.cold_samples_per_s is None or fetch.hit_fraction <= 0:
        return 0.0
    cold = min(samples_per_s, fetch.cold_samples_per_s.value * nodes)
    return dataset.samples / cold - dataset.samples / samples_per_s


def staging(
    fetch: Fetch, instance: Instance, dataset: Dataset, nodes: int, constants: StorageConstants
) -> tuple[float, float, str]:
    """Seconds, USD for requests, and a word on copying the dataset from S3, where it is taken to lie. Each node of an
    unshared store copies all of it, at the same time; all nodes together fill a shared one."""
    store = fetch.file_system
    if reads_bucket(store):
        return 0.0, 0.0, ""
    stored = dataset.samples * dataset.bytes_per_sample
    speed = min(instance.network_bytes_per_s, constants.s3_bytes_per_s)
    if fetch.bytes_per_s is not None and not is_ram_disk(store):
        speed = min(speed, fetch.bytes_per_s)  # writing taken as fast as reading
    if store.shared:
        speed *= nodes
    seconds = max(stored / speed, dataset.files / constants.s3_requests_per_s)
    usd = dataset.files / 1000 * constants.s3_usd_per_1k_reads * fetch.copies
    if store.usd_per_1k_writes is not None:
        usd += dataset.files / 1000 * store.usd_per_1k_writes * fetch.copies
    copies = f"{fetch.copies} copies, " if fetch.copies > 1 else ""
    return seconds, usd, f"staging {stored / 1e9:.0f} GB from S3 ({copies}{seconds / 3600:.1f} h)"


def reading_usd(fetch: Fetch, dataset: Dataset, epochs: float) -> float:
    """Charges per byte and per request over the run: the first epoch reads all, the others what the cache misses."""
    store = fetch.file_system
    readings = min(epochs, 1.0) + max(0.0, epochs - 1) * (1 - fetch.hit_fraction)
    read = dataset.samples * dataset.bytes_per_sample * readings
    usd = (store.usd_per_gb_read or 0.0) * read / GB_READ
    return usd + (store.usd_per_1k_reads or 0.0) * dataset.samples * dataset.reads_per_sample * readings / 1000
