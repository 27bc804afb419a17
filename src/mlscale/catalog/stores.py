"""`profiles/filesystems.yaml` as FileSystems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast, get_args, get_type_hints

from mlscale.catalog import document as doc
from mlscale.catalog import sources
from mlscale.catalog.document import Section
from mlscale.catalog.types import FileSystem, Source
from mlscale.catalog.units import GIB, MB, MS

_KINDS = get_args(get_type_hints(FileSystem)["kind"])
_FIELDS = tuple(FileSystem.__dataclass_fields__)
# The file's keys, the catalog's fields and what the unit is worth: values that may be absent.
_OPTIONAL: Mapping[str, tuple[str, float]] = {
    "size_min_gib": ("size_min_bytes", GIB),
    "size_step_gib": ("size_step_bytes", GIB),
    "size_max_gib": ("size_max_bytes", GIB),
    "read_mb_per_s_per_tib": ("bytes_per_s_per_tib", MB),
    "burst_mb_per_s_per_tib": ("burst_bytes_per_s_per_tib", MB),
    "read_mb_per_s": ("base_bytes_per_s", MB),
    "most_mb_per_s": ("max_bytes_per_s", MB),
    "client_mb_per_s": ("client_bytes_per_s", MB),
    "stream_mb_per_s": ("stream_bytes_per_s", MB),
    "read_iops": ("read_iops", 1.0),
    "usd_per_mb_per_s_month": ("usd_per_bytes_per_s_month", 1 / MB),
    "usd_per_iops_month": ("usd_per_iops_month", 1.0),
    "usd_per_gb_read": ("usd_per_gb_read", 1.0),
    "usd_per_1k_reads": ("usd_per_1k_reads", 1.0),
    "usd_per_1k_writes": ("usd_per_1k_writes", 1.0),
    "included_mb_per_s": ("included_bytes_per_s", MB),
    "included_iops": ("included_iops", 1.0),
    "relative_speed": ("relative_speed", 1.0),
}
_KEYS = (
    "service",
    "kind",
    "shared",
    "durable",
    "read_latency_ms",
    "usd_per_gb_month",
    "source",
    "field_sources",
    "note",
    *_OPTIONAL,
)


def read(document: Section) -> dict[str, FileSystem]:
    """All of a file, by name."""
    doc.allow(document, ("source", "sources", "file_systems"))
    sources.own(document)
    known_sources = sources.listed(document)
    found = doc.subsections(document, "file_systems", required=True)
    return {name: _one(name, below, known_sources) for name, below in found}


def _one(name: str, section: Section, known_sources: Mapping[str, Source]) -> FileSystem:
    doc.allow(section, _KEYS)
    optional: dict[str, Any] = {
        field: doc.number_or_none(section, key, unit) for key, (field, unit) in _OPTIONAL.items()
    }
    return FileSystem(
        name=name,
        service=doc.text(section, "service"),
        kind=cast(Any, doc.choice(section, "kind", _KINDS)),
        shared=doc.flag(section, "shared"),
        durable=doc.flag(section, "durable"),
        read_latency_s=doc.number(section, "read_latency_ms") * MS,
        usd_per_gb_month=doc.number(section, "usd_per_gb_month"),
        source=sources.named(section, "source", known_sources),
        note=doc.text(section, "note", ""),
        sources=sources.of_fields(section, known_sources, _FIELDS),
        **optional,
    )
