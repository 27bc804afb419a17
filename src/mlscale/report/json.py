"""Report -> JSON, as the contract has it and `schema.json` describes it."""

from __future__ import annotations

import dataclasses
import json
import math
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlscale.report.formats import AnyReport

# More digits than any measurement here has; fewer than binary noise shows (0.30000000000000004).
SIGNIFICANT_DIGITS = 6


def render(report: AnyReport) -> str:
    """The report as one JSON document, with a newline at its end."""
    return _text(_tidy(dataclasses.asdict(report)), "") + "\n"


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a report."""
    text = files("mlscale.report").joinpath("schema.json").read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def rounded(value: float) -> float:
    """A figure with the digits that it has in JSON; a count stays whole."""
    return value if float(value).is_integer() else float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def _text(value: Any, margin: str) -> str:
    """Indented by two; numbers of a list share a line, for a track has a hundred of them."""
    inner = margin + "  "
    if isinstance(value, dict) and value:
        lines = [f"{inner}{_text(key, '')}: {_text(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{margin}}}"
    if isinstance(value, list) and any(isinstance(item, (str, dict, list)) for item in value):
        return "[\n" + ",\n".join(inner + _text(item, inner) for item in value) + f"\n{margin}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _tidy(value: Any) -> Any:
    """Plain data with floats rounded; a float that JSON cannot say becomes null."""
    if isinstance(value, float):
        return rounded(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _tidy(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tidy(item) for item in value]
    return value
