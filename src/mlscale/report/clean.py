"""Makes text from the job safe to show anywhere: no secrets, no control characters, no characters that cannot be encoded.

Each renderer still escapes its own markup; this removes what no format can show.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from mlscale.redact import redact

_T = TypeVar("_T")

# Terminal escape sequences: CSI, OSC (ended by BEL or ST, or cut off), and the two-character ones.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?|\x9b[0-?]*[ -/]*[@-~]"
)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# Characters that reorder or hide text: what is shown must be what is there.
_INVISIBLE = re.compile(r"[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")


def clean(text: str) -> str:
    """One line of printable text, without secrets."""
    text = _ESCAPES.sub("", text)
    text = _INVISIBLE.sub("", _CONTROLS.sub(" ", text))
    # A file name that is no UTF-8 reaches Python as lone surrogates, which no output can encode.
    return redact(text.encode("utf-8", "replace").decode("utf-8")).strip()


def scrub(value: _T) -> _T:
    """`value` (dataclasses, tuples, mappings) with every string in it cleaned."""
    return _scrub(value)  # type: ignore[no-any-return]


def _scrub(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(value, **{f.name: _scrub(getattr(value, f.name)) for f in dataclasses.fields(value)})
    if isinstance(value, tuple):
        return tuple(_scrub(item) for item in value)
    if isinstance(value, Mapping):
        return {_scrub(key): _scrub(item) for key, item in value.items()}
    return value
