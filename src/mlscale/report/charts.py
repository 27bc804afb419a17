"""What the pictures of a report show, as plain data. Each format draws them its own way: SVG, or lines of text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Values: TypeAlias = tuple[float | None, ...]


@dataclass(frozen=True)
class Part:
    """One of the things that time divides into. `field` chooses the colour, `name` is for people."""

    field: str
    name: str
    values: Values = ()  # of a lane: one for each bin
    share: float = 0.0  # of a bar; of a lane: the mean of what was not left out
    label: str = ""  # the share in words: "51%, 2.1 ms"; "": too small to be worth words


@dataclass(frozen=True)
class Lane:
    """One track of a timeline: parts stacked to 1 (`stacked`), or a single line from 0 to `top`."""

    title: str
    note: str  # the mean, for people
    bin_s: float
    parts: tuple[Part, ...]
    top: float = 1.0
    top_label: str = "100%"
    stacked: bool = False
    low: Values = ()  # of several: the least and the highest in each bin
    high: Values = ()


@dataclass(frozen=True)
class Timeline:
    """Tracks over the watch. `left_out` are (start_s, end_s, name)."""

    title: str
    says: str
    length_s: float
    lanes: tuple[Lane, ...]
    left_out: tuple[tuple[float, float, str], ...] = ()


@dataclass(frozen=True)
class Bar:
    """A length of time cut into parts; `length` is relative to the longest bar, and is named by `total`."""

    title: str
    note: str
    total: str
    length: float
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Bars:
    """Bars to one scale."""

    title: str
    says: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Range:
    """A figure with its interval. `tone`: now, next, real or "" (any other)."""

    name: str
    value: float
    low: float
    high: float
    label: str
    tone: str = ""
    note: str = ""


@dataclass(frozen=True)
class Ranges:
    """Figures with intervals on one axis from 0 to `top`."""

    title: str
    says: str
    unit: str
    rows: tuple[Range, ...]
    top: float


@dataclass(frozen=True)
class Point:
    """A candidate: hours and US dollars. `tone`: pick, cheapest, fastest, good (meets the goal) or ""."""

    name: str
    hours: float
    usd: float
    low_hours: float
    high_hours: float
    tone: str = ""
    frontier: bool = False  # no other is both faster and cheaper


@dataclass(frozen=True)
class Frontier:
    """Cost against time; the goal's lines where it has any."""

    title: str
    says: str
    points: tuple[Point, ...]
    deadline_hours: float | None = None
    budget_usd: float | None = None


Chart: TypeAlias = Timeline | Bars | Ranges | Frontier
