"""`profiles/accelerators.yaml` as Accelerators."""

from __future__ import annotations

from typing import cast, get_args

from mlscale.catalog import document as doc
from mlscale.catalog import sources
from mlscale.catalog.document import Section
from mlscale.catalog.types import Accelerator, Precision
from mlscale.catalog.units import GB, GIB, TERA

_KEYS = (
    "vendor architecture memory_gib memory_gb_per_s dense_tflops link link_gb_per_s pcie_gb_per_s power_w driver_names "
    "source note"
).split()
_PRECISIONS = get_args(Precision)


def read(document: Section) -> dict[str, Accelerator]:
    """All of a file, by name."""
    doc.allow(document, ("source", "accelerators"))
    sources.own(document)
    return {name: _one(name, below) for name, below in doc.subsections(document, "accelerators", required=True)}


def _one(name: str, section: Section) -> Accelerator:
    doc.allow(section, _KEYS)
    rates = doc.subsection(section, "dense_tflops", required=True)
    doc.allow(rates, _PRECISIONS)
    return Accelerator(
        name=name,
        vendor=doc.text(section, "vendor"),
        architecture=doc.text(section, "architecture"),
        memory_bytes=doc.number(section, "memory_gib") * GIB,
        memory_bytes_per_s=doc.number(section, "memory_gb_per_s") * GB,
        peak_flops={cast(Precision, precision): doc.number(rates, precision) * TERA for precision in rates.values},
        link=doc.text(section, "link"),
        link_bytes_per_s=doc.number_or_none(section, "link_gb_per_s", GB),
        pcie_bytes_per_s=doc.number_or_none(section, "pcie_gb_per_s", GB),
        power_w=doc.number_or_none(section, "power_w"),
        source=sources.own(section),
        note=doc.text(section, "note", ""),
        driver_names=doc.texts(section, "driver_names"),
    )
