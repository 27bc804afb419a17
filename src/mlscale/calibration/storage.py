"""Reads `profiles/calibration/storage.yaml`: how stores, loaders, memory and money behave beside their nominal figures."""

from __future__ import annotations

import difflib
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

from mlscale.catalog.document import read_document
from mlscale.errors import UnreadableInput
from mlscale.model.storage_constants import StorageConstants


def read_storage_constants(path: Path) -> StorageConstants:
    """Each of the file's entries has `value`, `unit`, `basis`, `source` and `date`; all are wanted, and no others."""
    told = read_document(path).values
    names = [field.name for field in fields(StorageConstants)]
    for name in told:
        if name not in names:
            near = difflib.get_close_matches(str(name), names, 1)
            raise UnreadableInput(f"{path}: {name}: no such constant" + (f"; nearest: {near[0]}" if near else ""))
    for name in names:
        if name not in told:
            raise UnreadableInput(f"{path}: {name}: missing")
    return StorageConstants(**{name: _value(path, name, told[name]) for name in names})


def _value(path: Path, name: str, entry: Any) -> float:
    lacking = [
        key for key in ("value", "unit", "basis", "source", "date") if not isinstance(entry, dict) or key not in entry
    ]
    if lacking:
        raise UnreadableInput(f"{path}: {name}: {lacking[0]} is missing")
    try:
        value = float(entry["value"])  # YAML 1.1 reads 1e9 as text
    except (TypeError, ValueError):
        value = math.nan
    if isinstance(entry["value"], bool) or not math.isfinite(value) or value <= 0:
        raise UnreadableInput(f"{path}: {name}: value: a positive number was expected, not {entry['value']!r}")
    return value
