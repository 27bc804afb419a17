"""Where facts come from: the `source`, `sources` and `field_sources` keys of the files."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import cast, get_args

from mlscale.catalog import document as doc
from mlscale.catalog.document import Section
from mlscale.catalog.types import Confidence, Source

_KEYS = ("name", "date", "confidence")
_LEVELS = get_args(Confidence)


def own(section: Section) -> Source:
    """The section's `source`: {name, date, confidence}, confidence "high" where it does not say."""
    return _read(doc.subsection(section, "source", required=True))


def listed(section: Section) -> dict[str, Source]:
    """The sources of a file that its values name, by key."""
    return {key: _read(below) for key, below in doc.subsections(section, "sources")}


def named(section: Section, key: str, sources: Mapping[str, Source]) -> Source:
    """The source whose key a value gives."""
    wanted = doc.text(section, key)
    found = sources.get(wanted)
    if found is None:
        raise doc.refusal(section, key, f"names {wanted!r}, which is not in 'sources'. {doc.nearest(wanted, sources)}")
    return found


def of_fields(section: Section, sources: Mapping[str, Source], fields: Collection[str]) -> dict[str, Source]:
    """`field_sources`: the source of a field where it is not that of the section, by the field's name in the catalog."""
    below = doc.subsection(section, "field_sources")
    doc.allow(below, fields)
    return {field: named(below, field, sources) for field in below.values}


def _read(section: Section) -> Source:
    doc.allow(section, _KEYS)
    confidence = doc.choice(section, "confidence", _LEVELS, "high")
    return Source(doc.text(section, "name"), doc.day(section, "date"), cast(Confidence, confidence))
