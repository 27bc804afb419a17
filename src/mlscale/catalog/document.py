"""YAML files of facts, read strictly: every refusal is one line with the file, the key path and what to do."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from mlscale.errors import UnreadableInput

_PLAIN = "plain"
_WORDS = {
    "": None,
    "~": None,
    "null": None,
    "true": True,
    "false": False,
    ".nan": math.nan,
    ".NaN": math.nan,
    ".inf": math.inf,
    "-.inf": -math.inf,
}
_DEEPEST = 20  # levels: a file of facts has five, an alias to itself has no end


@dataclass(frozen=True)
class Section:
    """One mapping of a file. `place` is its key path, for messages."""

    path: str
    place: str
    values: Mapping[str, Any]


def read_document(path: Path) -> Section:
    """The mapping that a YAML file holds. Raises UnreadableInput."""
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UnreadableInput(
            f"{path}: {error.strerror or error}. Name a YAML file that is there and may be read."
        ) from None
    except UnicodeDecodeError:
        raise UnreadableInput(f"{path}: this is not UTF-8 text.") from None
    try:
        values = _value(str(path), "", yaml.compose(text, Loader=_loader()), {}, 0)
    except yaml.YAMLError as error:
        raise UnreadableInput(f"{path}{_line(error)}: this is not YAML ({_reason(error)}).") from None
    if not isinstance(values, dict):
        raise UnreadableInput(f"{path}: a mapping is expected at the top, as in `key: value`.")
    return Section(str(path), "", values)


def refusal(section: Section, key: str, problem: str) -> UnreadableInput:
    """The error to raise for a value."""
    end = "" if problem.endswith(("?", "…")) else "."
    return UnreadableInput(f"{section.path}: {_join(section.place, key)} {problem}{end}")


def allow(section: Section, known: Collection[str]) -> None:
    """Raises UnreadableInput where the section has a key that is not `known`."""
    for key in section.values:
        if key not in known:
            raise refusal(section, key, f"is not a key that belongs there. {nearest(key, known)}")


def nearest(name: str, known: Collection[str]) -> str:
    """ "Did you mean a or b?", or names that there are where none is near."""
    by_lower = {each.lower(): each for each in known}
    wanted = name.lower()
    close = [lower for lower in by_lower if wanted and lower.startswith(wanted)][:3]
    close = close or difflib.get_close_matches(wanted, by_lower, 3, 0.6)
    close = close or [lower for lower in by_lower if wanted and wanted in lower][:3]
    if close:
        return f"Did you mean {' or '.join(by_lower[each] for each in close)}?"
    return f"There are: {', '.join(list(known)[:12])}{', …' if len(known) > 12 else ''}"


def number(section: Section, key: str, *, above: float | None = None) -> float:
    """A finite number of 0 or more, or more than `above`."""
    value = _number(section, key, _required(section, key, "a number"))
    if above is not None and value <= above:
        raise refusal(section, key, f"must be more than {above:g}, not {value:g}")
    return value


def number_or_none(section: Section, key: str, unit: float = 1.0) -> float | None:
    """A finite number of 0 or more, times what its unit is worth, or None where the file does not say."""
    value = section.values.get(key)
    return None if value is None else _number(section, key, value) * unit


def whole(section: Section, key: str, default: int | None = None) -> int:
    """A whole number of 0 or more."""
    value = section.values.get(key, default)
    if value is None:
        value = _required(section, key, "a whole number")
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise refusal(section, key, f"must be a whole number of 0 or more, not {value!r}")
    return value


def flag(section: Section, key: str, default: bool = False) -> bool:
    """true or false."""
    value = section.values.get(key, default)
    if not isinstance(value, bool):
        raise refusal(section, key, f"must be true or false, not {value!r}")
    return value


def text(section: Section, key: str, default: str | None = None) -> str:
    """Some text."""
    value = section.values.get(key, default)
    if value is None:
        value = _required(section, key, "text")
    if not isinstance(value, str):
        raise refusal(section, key, f"must be text, not {value!r}")
    return value


def texts(section: Section, key: str) -> tuple[str, ...]:
    """A list of texts; () where the file does not say."""
    value = section.values.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise refusal(section, key, f"must be a list of texts, as in [a, b], not {value!r}")
    return tuple(value)


def choice(section: Section, key: str, choices: Collection[str], default: str | None = None) -> str:
    """One of `choices`."""
    value = text(section, key, default)
    if value not in choices:
        raise refusal(section, key, f"must be one of {', '.join(choices)}, not {value!r}")
    return value


def day(section: Section, key: str) -> date:
    """A date."""
    value = _required(section, key, "a date")
    if not isinstance(value, date):
        raise refusal(section, key, f"must be a date, as in 2026-07-20, not {value!r}")
    return value


def subsection(section: Section, key: str, *, required: bool = False) -> Section:
    """A mapping below; an empty one where the file has none, unless it is required."""
    value = section.values.get(key)
    if value is None:
        value = _required(section, key, "a mapping") if required else {}
    if not isinstance(value, dict):
        raise refusal(section, key, f"must be a mapping, as in {{key: value}}, not {value!r}")
    return Section(section.path, _join(section.place, key), value)


def subsections(section: Section, key: str, *, required: bool = False) -> Iterator[tuple[str, Section]]:
    """Each mapping of a mapping of mappings, with its name."""
    below = subsection(section, key, required=required)
    for name in below.values:
        yield name, subsection(below, name, required=True)


def _number(section: Section, key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise refusal(section, key, f"must be a number, not {value!r}")
    if not math.isfinite(value) or value < 0:
        raise refusal(section, key, f"must be a number of 0 or more, not {value}")
    return float(value)


def _required(section: Section, key: str, what: str) -> Any:
    value = section.values.get(key)
    if value is None:
        raise refusal(section, key, f"is missing: {what} is needed")
    return value


def _join(place: str, key: str) -> str:
    return f"{place}.{key}" if place and key else place or key


def _value(path: str, place: str, node: Any, known: dict[int, Any], depth: int) -> Any:
    """A YAML node as plain data. Unlike PyYAML's own constructor, it refuses a key that comes twice."""
    import yaml

    if isinstance(node, yaml.ScalarNode):
        return _scalar(node.tag, node.value)
    if id(node) in known:  # an alias
        return known[id(node)]
    if depth > _DEEPEST:
        raise UnreadableInput(f"{path}: {place or 'it'} is nested too deep.")
    if isinstance(node, yaml.SequenceNode):
        found: Any = [_value(path, place, item, known, depth + 1) for item in node.value]
    elif isinstance(node, yaml.MappingNode):
        found = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
            if key in found:
                line = key_node.start_mark.line + 1
                raise UnreadableInput(f"{path}, line {line}: {_join(place, key)} is there twice. Keep one of them.")
            found[key] = _value(path, _join(place, key), value_node, known, depth + 1)
    else:
        return None  # an empty file
    known[id(node)] = found
    return found


def _loader() -> Any:
    """PyYAML's parser in C where it is built, ten times as fast, without its resolver of types: half of its time."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    def resolve(self: object, kind: object, value: object, implicit: Any) -> str:
        return _PLAIN if isinstance(implicit, tuple) and implicit[0] else "quoted"

    def nothing(*_: object) -> None:
        return None

    return type("Loader", (base,), {"resolve": resolve, "descend_resolver": nothing, "ascend_resolver": nothing})


def _scalar(tag: str, value: str) -> Any:
    """What is quoted, or tagged, is text. Plain: null, true and false, a number, a date; everything else is text."""
    if tag != _PLAIN:
        return value
    if value in _WORDS:
        return _WORDS[value]
    if value[0] not in "0123456789+-.":
        return value
    for read in (int, float, date.fromisoformat):
        try:
            return read(value)
        except ValueError:
            continue
    return value


def _line(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return "" if mark is None else f", line {mark.line + 1}"


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "problem", None) or error).split())
