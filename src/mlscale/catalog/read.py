"""The catalog: all facts of `profiles/`, and one of them by its name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import TypeVar

from mlscale.catalog import accelerators as accelerator_file
from mlscale.catalog import document as doc
from mlscale.catalog import instances as instance_files
from mlscale.catalog import sources
from mlscale.catalog import stores as store_file
from mlscale.catalog.age import stale as stale
from mlscale.catalog.age import usable_spot as usable_spot
from mlscale.catalog.types import Accelerator, Catalog, FileSystem, Instance
from mlscale.errors import UnreadableInput, UsageProblem

Thing = TypeVar("Thing")


def profiles() -> Path:
    """The folder of the shipped facts: inside the installed package, or beside the sources in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "profiles", package.parents[1] / "profiles"):
        if folder.is_dir():
            return folder
    raise UnreadableInput(f"{package / 'profiles'}: the shipped facts are not there. Install mlscale again.")


def load(folder: Path | None = None) -> Catalog:
    """The catalog in a folder laid out as `profiles/`: the shipped one, by default. Raises UnreadableInput."""
    folder = profiles() if folder is None else folder
    files = sorted((folder / "instances").glob("*.yaml"))
    if not files:
        raise UnreadableInput(f"{folder / 'instances'}: no file of instance types (FAMILY.yaml) is there.")
    accelerators = accelerator_file.read(doc.read_document(folder / "accelerators.yaml"))
    file_systems = store_file.read(doc.read_document(folder / "filesystems.yaml"))
    instances: dict[str, Instance] = {}
    for path in files:
        section = doc.read_document(path)
        doc.allow(section, instance_files.FAMILY_KEYS)
        family = doc.text(section, "family")
        known_sources = sources.listed(section)
        found = instance_files.family(section, family, sources.own(section), known_sources, accelerators)
        _add(instances, found, path)
    hosts: dict[str, Instance] = {}
    path = folder / "hosts.yaml"
    if path.is_file():
        section = doc.read_document(path)
        doc.allow(section, ("source", "sources", "families"))
        source, known_sources = sources.own(section), sources.listed(section)
        for family, below in doc.subsections(section, "families", required=True):
            doc.allow(below, instance_files.HOST_FAMILY_KEYS)
            _add(hosts, instance_files.family(below, family, source, known_sources, accelerators), path, instances)
    return Catalog(instances, accelerators, file_systems, _taken(instances.values()), str(folder), hosts)


def find_instance(catalog: Catalog, name: str) -> Instance:
    """The EC2 type of that name, with or without an accelerator. Raises UsageProblem with the nearest names."""
    return _find({**catalog.hosts, **catalog.instances}, name, "EC2 type")


def find_file_system(catalog: Catalog, name: str) -> FileSystem:
    """The file system of that name. Raises UsageProblem with the nearest names."""
    return _find(catalog.file_systems, name, "file system")


def file_systems_of(catalog: Catalog, name: str) -> tuple[FileSystem, ...]:
    """All that a name covers: one, or every tier of a kind ("fsx-lustre", "efs"). Raises UsageProblem."""
    wanted = name.strip().lower()
    found = tuple(store for key, store in catalog.file_systems.items() if key.startswith(f"{wanted}-"))
    return found if found and wanted not in catalog.file_systems else (find_file_system(catalog, name),)


def find_accelerator(catalog: Catalog, name: str) -> Accelerator:
    """The accelerator that the catalog or the driver calls so ("H100", "Tesla T4"). Raises UsageProblem."""
    wanted = name.strip().lower()
    for accelerator in catalog.accelerators.values():
        if any(wanted == called.lower() for called in accelerator.driver_names):
            return accelerator
    bare = wanted.removeprefix("nvidia ").removeprefix("tesla ").replace(" ", "-")
    known = any(bare == key.lower() for key in catalog.accelerators)
    return _find(catalog.accelerators, bare if known else name, "accelerator")


def _find(things: Mapping[str, Thing], name: str, what: str) -> Thing:
    wanted = name.strip()
    found = things.get(wanted)
    if found is None:
        found = next((thing for key, thing in things.items() if key.lower() == wanted.lower()), None)
    if found is None:
        raise UsageProblem(f"The catalog has no {what} {name!r}. {doc.nearest(wanted, things)}")
    return found


def _add(
    known: dict[str, Instance], found: Iterable[Instance], path: Path, others: Collection[str] = frozenset()
) -> None:
    for instance in found:
        if instance.name in known or instance.name in others:
            raise UnreadableInput(f"{path}: {instance.name} is in another file already. Keep one of them.")
        known[instance.name] = instance


def _taken(instances: Iterable[Instance]) -> date:
    """The oldest on-demand price of a type that can be picked; the day of the oldest specification without any."""
    current = [instance for instance in instances if not instance.retired]
    prices = [price.source.date for instance in current for price in instance.on_demand.values()]
    return min(prices or [instance.source.date for instance in current if instance.source] or [date.min])
