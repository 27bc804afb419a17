"""Reports in which every text is an attack on some format, for the tests of what renderers escape."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

EVIL = (
    "<script>alert(1)</script> | `code` ``` {code} {noformat} --> <!-- [x](javascript:alert(2)) ![i](http://e.vil/p.png) "
    "@octocat #123 org/repo#5 !7 *b* _i_ ~s~ -d- +i+ ^u^ ??c?? {{m}} [~user] PROJ-12 :boom: http://e.vil/a "
    "\" ' &amp; </style></title></details> <img src=x onerror=alert(3)> \\ \\| $x$ h1. (x) || ---- end"
)
_T = TypeVar("_T")


def poisoned(report: _T, evil: str = EVIL) -> _T:
    """The report with each text that is not one of a fixed set replaced."""
    return typing.cast(_T, _poisoned(type(report), report, evil))


def _poisoned(hint: Any, value: Any, evil: str) -> Any:
    if value is None:
        return None
    if dataclasses.is_dataclass(value):
        hints = typing.get_type_hints(type(value))
        kept = ("unit", "created_at")  # figures are read by these
        changed = {
            f.name: _poisoned(hints[f.name], getattr(value, f.name), evil)
            for f in dataclasses.fields(value)
            if f.name not in kept
        }
        return dataclasses.replace(value, **changed)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _poisoned(next(arg for arg in args if arg is not type(None)), value, evil)
    if origin is tuple:
        return tuple(_poisoned(args[0], item, evil) for item in value)
    if origin is Mapping:
        changed = {key: _poisoned(args[1], item, evil) for key, item in value.items()}
        return {**changed, evil: next(iter(changed.values()))} if changed else changed
    return evil if hint is str else value
