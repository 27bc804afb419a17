"""Brings the user's snapshot up to date from AWS: region by region, in steps that are kept, so that a rerun goes on.

The old snapshot serves until the new one is whole: it is written beside it and put in its place at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from mlscale.catalog import answers, aws, snapshot
from mlscale.catalog.merge import known_prices, merge
from mlscale.catalog.snapshot import FamilyFacts, Snapshot, TypeFacts, family_of
from mlscale.catalog.types import Catalog
from mlscale.errors import MlscaleError, UnreadableInput, UsageProblem
from mlscale.files import write_whole

STEPS = ("types", "prices", "spot")
KEPT = timedelta(days=1)
_GARBLED_TRIES, _PAUSE_S = 3, 1.0
_PARTS = "refresh.part"
_LOCK = "refresh.lock"


@dataclass(frozen=True)
class Step:
    """How far it is: step `number` (from 0) of `of`, "prices" of a region; `read` things so far, None: kept from an
    earlier run."""

    number: int
    of: int
    region: str
    what: str
    read: int | None


@dataclass(frozen=True)
class Refreshed:
    """What came of it. `kept` steps were read by an earlier run that did not end; `spot` counts the prices taken."""

    path: Path
    regions: tuple[str, ...]
    before: Catalog
    after: Catalog
    snapshot: Snapshot
    prices: int
    spot: int
    kept: int
    notes: tuple[str, ...]


def kept_parts(folder: Path) -> int:
    """How many steps a refresh that did not end has left there, for the next to go on from."""
    return len(list((folder / _PARTS).glob("[!.]*.json")))


def default_regions(catalog: Catalog) -> tuple[str, ...]:
    """The regions that the catalog has prices of."""
    return tuple(sorted({region for instance in catalog.instances.values() for region in instance.on_demand}))


def refresh(
    shipped: Catalog,
    regions: Sequence[str],
    families: Sequence[str],
    folder: Path,
    now: datetime,
    tell: Callable[[Step], None],
) -> Refreshed:
    """Reads the regions (none: the catalog's) and families (none: all accelerated) and writes the snapshot.

    Raises AwsProblem, UsageProblem, or MlscaleError where the disk fails; the old snapshot is then as it was.
    """
    regions = tuple(dict.fromkeys(regions)) or default_regions(shipped)
    families = tuple(sorted({family_of(family.strip().lower()) for family in families}))
    session = aws.session()
    aws.check_regions(regions, session)
    with _on_disk(folder), _alone(folder):
        old, notes = _old(folder)
        before = merge(shipped, old)
        parts = _Parts(folder / _PARTS, families, now)
        new = snapshot.EMPTY
        prices = spot = 0
        for index, region in enumerate(regions):

            def told(what: str, read: int | None, first: int = index * len(STEPS), region: str = region) -> None:
                tell(Step(first + STEPS.index(what), len(regions) * len(STEPS), region, what, read))

            found, said = _region(session, before, region, families, parts, told)
            new = snapshot.overlay(new, found)
            notes += said
            prices += sum(len(facts.on_demand) for facts in found.regions[region].values())
            spot += sum(len(facts.spot) for facts in found.regions[region].values())
        notes += _unknown_families(families, new, before)
        whole = snapshot.overlay(old, new)
        path = folder / snapshot.FILE
        write_whole(path, snapshot.as_json(whole))
        shutil.rmtree(parts.folder, ignore_errors=True)
        return Refreshed(path, regions, before, merge(shipped, whole), whole, prices, spot, parts.kept, tuple(notes))


def _region(
    session: Any,
    catalog: Catalog,
    region: str,
    families: Sequence[str],
    parts: _Parts,
    told: Callable[[str, int | None], None],
) -> tuple[Snapshot, list[str]]:
    """One region's facts, and what was not taken."""
    types = parts.get(region, "types", told, lambda tell: _read_types(session, catalog, region, families, parts, tell))
    facts = [snapshot.type_from_dict(fields) for fields in types["types"]]
    on_sale: Mapping[str, list[str]] = types["offered"]
    listed = parts.get(region, "prices", told, lambda tell: _read_prices(session, region, tell))
    quoted = parts.get(region, "spot", told, lambda tell: _read_spot(session, region, facts, parts.now, tell))

    known = known_prices(catalog, region)
    found = [(name, usd) for name, usd in listed["prices"] if family_of(name) in on_sale]
    prices, notes = answers.plausible_prices(found, known, region)
    if not found and any(on_sale.values()):
        notes.append(f"{region}: the Price List has no price of what is offered there; older prices stay.")
    seen = [answers.SpotSeen(n, zone, usd, datetime.fromisoformat(at)) for n, zone, usd, at in quoted["spot"]]
    spot, refused = answers.plausible_spot(seen, {**known, **prices}, parts.now, region)
    read = min(datetime.fromisoformat(part["read"]) for part in (types, listed, quoted)).date()
    records = {
        family: FamilyFacts(
            read=read,
            offered=tuple(names),
            on_demand={name: usd for name, usd in prices.items() if name in names},
            spot={name: usd for name, usd in spot.items() if name in names},
        )
        for family, names in on_sale.items()
    }
    return Snapshot({each.name: each for each in facts}, {region: records}), notes + refused


def _read_types(
    session: Any, catalog: Catalog, region: str, families: Sequence[str], parts: _Parts, tell: Callable[[int], None]
) -> dict[str, Any]:
    """Types that have an accelerator, or that the catalog knows, and all that is offered of their families."""
    known = {*catalog.instances, *catalog.hosts}
    accelerated = {family_of(name) for name in catalog.instances}
    kept: list[TypeFacts] = []
    looked_at = 0
    for page in aws.instance_types(session, region, families):
        looked_at += len(page)
        with aws.explained("ec2:DescribeInstanceTypes", region):
            for answer in page:
                name = answer["InstanceType"]
                if answers.is_accelerated(answer) or name in known or family_of(name) in accelerated:
                    kept.append(answers.type_facts(answer, parts.now.date()))
        tell(looked_at)
    if not kept and not families:
        raise aws.AwsProblem(
            f"ec2:DescribeInstanceTypes in {region}: {looked_at} types and none with an accelerator; such an answer is "
            f"not believed. Check AWS_ENDPOINT_URL."
        )
    on_sale: list[str] = []
    for page in aws.offered(session, region):
        with aws.explained("ec2:DescribeInstanceTypeOfferings", region):
            on_sale += [answer["InstanceType"] for answer in page]
        tell(looked_at)
    if not on_sale:
        raise aws.AwsProblem(
            f"ec2:DescribeInstanceTypeOfferings in {region}: nothing is offered; such an answer is not believed. Check "
            f"AWS_ENDPOINT_URL."
        )
    covered = {family_of(name) for name in (*known, *(facts.name for facts in kept))}
    by_family: dict[str, list[str]] = {name: [] for name in covered if not families or name in families}
    for name in on_sale:
        if family_of(name) in by_family:
            by_family[family_of(name)].append(name)
    return {"types": [snapshot.type_as_dict(facts) for facts in kept], "offered": by_family}


def _read_prices(session: Any, region: str, tell: Callable[[int], None]) -> dict[str, Any]:
    prices, looked_at = [], 0
    for page in aws.products(session, region):
        looked_at += len(page)
        with aws.explained("pricing:GetProducts", region):
            prices += [price for price in (answers.on_demand_price(each, region) for each in page) if price]
        tell(looked_at)
    return {"prices": prices}


def _read_spot(
    session: Any, region: str, facts: Sequence[TypeFacts], now: datetime, tell: Callable[[int], None]
) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for page in aws.spot_prices(session, region, [each.name for each in facts], now):
        rows += page
        tell(len(rows))
    with aws.explained("ec2:DescribeSpotPriceHistory", region):
        seen = answers.spot_seen(rows, region)
    return {"spot": [(each.name, each.zone, each.usd_per_hour, each.at.isoformat()) for each in seen]}


def _unknown_families(families: Sequence[str], new: Snapshot, before: Catalog) -> list[str]:
    """Families that were asked for and that nobody knows. Raises UsageProblem where that is all of them."""
    there = {family_of(name) for name in (*new.types, *before.instances, *before.hosts)}
    unknown = [family for family in families if family not in there]
    if not unknown:
        return []
    import difflib

    near = difflib.get_close_matches(unknown[0], sorted(there), 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    text = f"--family {', '.join(unknown)}: no such family of accelerated types in {', '.join(new.regions)}.{hint}"
    if len(unknown) == len(families):
        raise UsageProblem(text)
    return [text]


class _Parts:
    """The steps that are done, each a file of its own; of an earlier run, if of the same families and under a day old."""

    def __init__(self, folder: Path, families: Sequence[str], now: datetime) -> None:
        self.folder, self.families, self.now = folder, list(families), now
        self.kept = 0
        folder.mkdir(parents=True, exist_ok=True)

    def get(
        self,
        region: str,
        what: str,
        told: Callable[[str, int | None], None],
        read: Callable[[Callable[[int], None]], dict[str, Any]],
    ) -> Mapping[str, Any]:
        """The step's result: as it was kept, or else read now and kept."""
        path = self.folder / f"{region}.{what}.json"
        found = self._kept(path)
        if found is not None:
            self.kept += 1
            told(what, None)
            return found
        told(what, 0)
        fresh = _again(read, lambda number: told(what, number))
        fresh = {"version": snapshot.VERSION, "families": self.families, "read": self.now.isoformat(), **fresh}
        write_whole(path, json.dumps(fresh))
        return fresh

    def _kept(self, path: Path) -> Mapping[str, Any] | None:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            age = self.now - datetime.fromisoformat(found["read"])
            same = found["version"] == snapshot.VERSION and found["families"] == self.families
            return found if same and timedelta() <= age < KEPT else None
        except (OSError, ValueError, KeyError, TypeError):
            return None  # then it is read anew


def _again(read: Callable[[Callable[[int], None]], dict[str, Any]], tell: Callable[[int], None]) -> dict[str, Any]:
    """A step, asked again where an answer could not be read: connections that end in the middle do pass."""
    for _ in range(_GARBLED_TRIES - 1):
        with contextlib.suppress(aws.Garbled):
            return read(tell)
        time.sleep(_PAUSE_S)
    return read(tell)


def _old(folder: Path) -> tuple[Snapshot, list[str]]:
    """The snapshot so far; a broken one is replaced, and that is said."""
    try:
        return snapshot.read(folder) or snapshot.EMPTY, []
    except UnreadableInput as error:
        return snapshot.EMPTY, [f"The old snapshot could not be read and is replaced: {error.message}"]


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps a second refresh of the same folder out. The kernel lets go of the lock however the process ends."""
    with open(folder / _LOCK, "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageProblem(f"another refresh of {folder} is running. Wait for its end.") from None
        yield


@contextlib.contextmanager
def _on_disk(folder: Path) -> Iterator[None]:
    """Turns a failing disk into one line."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise MlscaleError(
            f"{error.filename or folder}: {error.strerror or error}. Free some space there, or name another folder "
            f"with MLSCALE_DATA_DIR."
        ) from None
