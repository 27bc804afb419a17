"""A report as headings, sentences, tables and pictures: what every format but the terminal's diagnosis is written from.

Text here is plain. Each renderer escapes all of it, so that nothing that came from the job is ever markup.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from mlscale.report.charts import Chart

if TYPE_CHECKING:
    from mlscale.report.formats import AnyReport

_TYPED = re.compile(r"(?<!`)`([^`]+)`(?!`)")
LONGEST = 1000  # characters of one text: a command line may have thousands
Tone: TypeAlias = Literal["bad", "calm", "unsure"]


@dataclass(frozen=True)
class Text:
    """A piece of a sentence. `style`: strong, code (as typed; wraps anywhere), dim, or "" (plain)."""

    text: str
    style: Literal["", "strong", "code", "dim"] = ""


Line: TypeAlias = tuple[Text, ...]


def line(*pieces: str | Text) -> Line:
    """A sentence of plain strings and styled pieces, each cut to a length that a page can hold."""
    return tuple(_cut(piece if isinstance(piece, Text) else Text(piece)) for piece in pieces if piece)


def said(text: str, style: Literal["", "strong"] = "") -> Line:
    """A sentence of mlscale's own: what stands in `backticks` is typed."""
    pieces = (Text(piece, "code" if place % 2 else style) for place, piece in enumerate(_TYPED.split(text)) if piece)
    return tuple(map(_cut, pieces))


def strong(text: str) -> Text:
    """What is to be seen first."""
    return Text(text, "strong")


def code(text: str) -> Text:
    """What is typed, or named in a program."""
    return Text(text, "code")


def dim(text: str) -> Text:
    """What may be passed over."""
    return Text(text, "dim")


def plain(sentence: Line) -> str:
    """A line without its styles."""
    return "".join(piece.text for piece in sentence)


def shortened(sentence: Line, longest: int) -> Line:
    """The line with each piece cut to `longest` characters: what stands first must never fill the room of the rest."""
    return tuple(_cut(piece, longest) for piece in sentence)


def _cut(piece: Text, longest: int = LONGEST) -> Text:
    if len(piece.text) <= longest:
        return piece
    return Text(piece.text[: longest - 1] + "…", piece.style)


@dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    line: Line


@dataclass(frozen=True)
class Bullets:
    """A list; `numbered` where its order matters."""

    items: tuple[Line, ...]
    numbered: bool = False


@dataclass(frozen=True)
class Facts:
    """What, and what is said of it. The same name twice in a row is one name with two lines."""

    rows: tuple[tuple[str, Line], ...]


@dataclass(frozen=True)
class Cell:
    """A table's cell; `sort` is what it sorts by where that is a number."""

    line: Line
    sort: float | None = None


@dataclass(frozen=True)
class Column:
    """A table's column. `figures` stand to the right, under each other."""

    title: str
    figures: bool = False


@dataclass(frozen=True)
class Row:
    """A table's row. `tone`: next (the one that matters), dim, or ""."""

    cells: tuple[Cell, ...]
    tone: str = ""


@dataclass(frozen=True)
class Table:
    """A table. `more` tells what was left out of it."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    sortable: bool = False
    more: str = ""


@dataclass(frozen=True)
class Rung:
    """A rung of the ladder as shown. `gain` and `interval` are "" where nothing is promised."""

    name: str
    status: str
    mark: str
    why: Line
    gain: str = ""
    interval: str = ""


@dataclass(frozen=True)
class Ladder:
    """All rungs, the first to climb first."""

    rungs: tuple[Rung, ...]


@dataclass(frozen=True)
class Picture:
    """A chart."""

    chart: Chart


Block: TypeAlias = Paragraph | Bullets | Facts | Table | Ladder | Picture


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it. `fold`: shut at first, where a format can: in text formats only, or always."""

    title: str
    blocks: tuple[Block, ...]
    fold: Literal["never", "text", "always"] = "never"


@dataclass(frozen=True)
class Figure:
    """A figure shown large: "1.90×", what it is, and its interval."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class Said:
    """One line of the summary: "Do this", and what. A format that can shows `figure` instead."""

    label: str
    line: Line
    figure: Figure | None = None


@dataclass(frozen=True)
class Document:
    """The whole. `subject` says what it is about, `headline` what is wrong or what to take, `made` when and with what."""

    title: str
    subject: str
    headline: str
    tone: Tone
    summary: tuple[Said, ...]
    sections: tuple[Section, ...]
    made: str


def within(limit: int, head: str, sections: Iterable[str], tail: str, cut: str) -> str:
    """The parts below each other in at most `limit` characters: sections are left out from the end, and `cut` says so."""
    kept, size = [head], len(head) + len(tail) + len(cut)
    for section in sections:
        size += len(section)
        if size > limit:
            kept.append(cut)
            break
        kept.append(section)
    return "".join([*kept, tail])


def document_of(report: AnyReport) -> Document:
    """The document of any kind of report."""
    if report.kind == "diagnosis":
        from mlscale.report.document_diagnosis import document

        return document(report)
    if report.kind == "diff":
        from mlscale.report.document_diff import document as diff_document

        return diff_document(report)
    if report.kind == "probe":
        from mlscale.report.document_probe import document as probe_document

        return probe_document(report)
    from mlscale.report.document_plan import document as plan_document

    return plan_document(report)
