"""Report <-> JSON, as the contract has it and `schema.json` describes it."""

from __future__ import annotations

import dataclasses
import json
import math
from importlib.resources import files
from pathlib import Path
from typing import Any

from mlscale.errors import UnreadableInput
from mlscale.report.clean import scrub
from mlscale.report.report import SCHEMA_VERSION, Report

# More digits than any measurement here has; fewer than binary noise shows (0.30000000000000004).
SIGNIFICANT_DIGITS = 6


def render(report: Report) -> str:
    """The report as one JSON document, with a newline at its end."""
    return json.dumps(_tidy(dataclasses.asdict(report)), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a report."""
    text = files("mlscale.report").joinpath("schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def load(path: str | Path) -> Report:
    """The report in a JSON file. Fields that this version does not know are passed over.

    Raises UnreadableInput where the file is no report, or one of another schema version.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        plain = json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise UnreadableInput(f"{path}: {error.strerror}. Name a file written by `mlscale diagnose -o`.") from None
    except ValueError:
        raise UnreadableInput(f"{path}: not JSON. Name a file written by `mlscale diagnose -o FILE.json`.") from None
    version = plain.get("schema_version") if isinstance(plain, dict) else None
    if version is None:
        raise UnreadableInput(f"{path}: not a report of mlscale (no schema_version).")
    if version != SCHEMA_VERSION:
        raise UnreadableInput(f"{path}: a report with schema version {version}; this mlscale reads {SCHEMA_VERSION}.")
    try:
        return scrub(TypeAdapter(Report).validate_python(plain))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UnreadableInput(f"{path}: not a report of mlscale: {where}: {first['msg']}.") from None


def _tidy(value: Any) -> Any:
    """Plain data with floats rounded; a float that JSON cannot say becomes null."""
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _tidy(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tidy(item) for item in value]
    return value
