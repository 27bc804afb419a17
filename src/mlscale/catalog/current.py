"""The catalog as this user has it: the shipped facts, under what `mlscale catalog refresh` read later."""

from __future__ import annotations

from mlscale.catalog.merge import merge
from mlscale.catalog.read import load
from mlscale.catalog.snapshot import data_folder, read
from mlscale.catalog.types import Catalog


def current() -> Catalog:
    """Shipped and refreshed facts together. Raises UnreadableInput."""
    return merge(load(), read(data_folder()))
