"""Saved JSON -> the report it was written from. What does not fit is refused in one line that names the place."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlscale.errors import UnreadableInput
from mlscale.report.clean import clean, scrub
from mlscale.report.report import SCHEMA_VERSION

if TYPE_CHECKING:
    from mlscale.report.formats import AnyReport

KINDS = ("diagnosis", "recommendation", "diff", "probe")
_REMEDY = "Name a file written by mlscale with --format json."


class _Misfit(Exception):
    """A value that is not what the report has there: (place, what is wrong)."""


def load(path: Path, data: bytes) -> AnyReport:
    """The report that `data`, the content of `path`, holds. Secrets are removed once more. Raises UnreadableInput."""
    document = _parsed(path, data)
    _check_version(path, document)
    kind = document.get("kind")
    if kind not in KINDS:
        raise UnreadableInput(f"{path}: kind {_shown(kind)} is none of {', '.join(KINDS)}. {_REMEDY}")
    try:
        report = _value(_type_of(kind), document, "")
        _check_indexes(report)
    except _Misfit as misfit:
        place, wrong = misfit.args
        raise UnreadableInput(f"{path}: {place or 'the report'} {wrong}. {_REMEDY}") from None
    return typing.cast("AnyReport", scrub(report))


def _parsed(path: Path, data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise UnreadableInput(f"{path}: not UTF-8, so no JSON of mlscale. {_REMEDY}") from None
    except json.JSONDecodeError as error:
        cut = " It looks cut off." if error.pos >= len(data.rstrip()) - 1 else ""
        raise UnreadableInput(
            f"{path}: not JSON, from line {error.lineno}, column {error.colno} ({error.msg}).{cut} {_REMEDY}"
        ) from None
    except _Misfit as misfit:
        raise UnreadableInput(f"{path}: {misfit.args[0]} is no number that JSON has. {_REMEDY}") from None
    except RecursionError:
        raise UnreadableInput(f"{path}: nested too deeply for a report. {_REMEDY}") from None
    if not isinstance(document, dict):
        raise UnreadableInput(f"{path}: the JSON is {_shown(document)}, not a report. {_REMEDY}")
    return document


def _refuse_constant(name: str) -> float:
    raise _Misfit(name)


def _check_version(path: Path, document: Mapping[str, Any]) -> None:
    version = document.get("schema_version")
    if version == SCHEMA_VERSION:
        return
    if "schema_version" not in document:
        raise UnreadableInput(f"{path}: no report of mlscale, for it has no schema_version. {_REMEDY}")
    tool = document.get("tool")
    writer = tool.get("version") if isinstance(tool, dict) else None
    by = f"mlscale {clean(str(writer))[:40]}" if writer else "the mlscale that wrote it"
    raise UnreadableInput(
        f"{path}: schema version {_shown(version)}; this mlscale reads version {SCHEMA_VERSION!r}. "
        f"Render it with {by}, or make it again."
    )


def _type_of(kind: str) -> type:
    if kind == "diagnosis":
        from mlscale.report.report import Report

        return Report
    if kind == "recommendation":
        from mlscale.report.recommendation import Recommendation

        return Recommendation
    if kind == "probe":
        from mlscale.report.probe import Probe

        return Probe
    from mlscale.report.diff import Diff

    return Diff


def _check_indexes(report: Any) -> None:
    """The picks of a recommendation stand in its list."""
    if report.kind == "recommendation":
        for name in ("pick", "cheapest", "fastest"):
            index = getattr(report, name)
            if index is not None and not 0 <= index < len(report.candidates):
                raise _Misfit(name, f"is {index}, and there are {len(report.candidates)} candidates")


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _value(hint: Any, value: Any, place: str) -> Any:
    """`value` as the type that `hint` asks for."""
    origin = typing.get_origin(hint)
    if dataclasses.is_dataclass(hint):
        return _object(typing.cast(type, hint), value, place)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in typing.get_args(hint):
            return None
        return _value(next(arg for arg in typing.get_args(hint) if arg is not type(None)), value, place)
    if origin is typing.Literal:
        return _choice(typing.get_args(hint), value, place)
    if origin is tuple:
        return _list(typing.get_args(hint), value, place)
    if origin is Mapping:
        if not isinstance(value, dict):
            raise _Misfit(place, f"is {_shown(value)}, not an object")
        inner = typing.get_args(hint)[1]
        return {key: _value(inner, item, f"{place}.{clean(key)[:40]}") for key, item in value.items()}
    return _scalar(hint, value, place)


def _object(kind: type, value: Any, place: str) -> Any:
    """Fields that this mlscale does not know are passed over; one that has a default may be absent."""
    if not isinstance(value, dict):
        raise _Misfit(place, f"is {_shown(value)}, not an object")
    found = {}
    hints = _hints(kind)
    for field in dataclasses.fields(kind):
        if field.name in value:
            found[field.name] = _value(hints[field.name], value[field.name], f"{place}.{field.name}".lstrip("."))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            near = difflib.get_close_matches(field.name, [key for key in value if key not in hints], n=1)
            hint = f" ({clean(near[0])!r} is there)" if near else ""
            raise _Misfit(f"{place}.{field.name}".lstrip("."), f"is missing{hint}")
    return kind(**found)


def _list(of: tuple[Any, ...], value: Any, place: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _Misfit(place, f"is {_shown(value)}, not a list")
    if of[-1] is not Ellipsis:
        if len(value) != len(of):
            raise _Misfit(place, f"has {len(value)} items, not {len(of)}")
        return tuple(
            _value(inner, item, f"{place}[{i}]") for i, (inner, item) in enumerate(zip(of, value, strict=True))
        )
    return tuple(_value(of[0], item, f"{place}[{i}]") for i, item in enumerate(value))


def _choice(of: tuple[Any, ...], value: Any, place: str) -> Any:
    if value in of and type(value) is type(of[0]):
        return value
    near = difflib.get_close_matches(str(value), [str(item) for item in of], n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    raise _Misfit(place, f"is {_shown(value)}, none of {', '.join(map(str, of))}{hint}")


def _scalar(hint: Any, value: Any, place: str) -> Any:
    if hint is str and isinstance(value, str):
        return value
    if hint is bool and isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number):
            if hint is float:
                return value  # a whole number stays as it was written
            if hint is int and number.is_integer():
                return int(value)
    names = {str: "a text", bool: "true or false", float: "a number", int: "a whole number"}
    raise _Misfit(place, f"is {_shown(value)}, not {names.get(hint, 'what a report has there')}")


def _shown(value: Any) -> str:
    """A value as a line may show it."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = clean(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= 40 else text[:39] + "…"
