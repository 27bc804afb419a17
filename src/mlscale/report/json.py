"""Report -> JSON, as the contract has it and `schema.json` describes it."""

from __future__ import annotations

import dataclasses
import json
import math
from importlib.resources import files
from typing import Any

from mlscale.report.report import Report

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


def _tidy(value: Any) -> Any:
    """Plain data with floats rounded; a float that JSON cannot say becomes null."""
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _tidy(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tidy(item) for item in value]
    return value
