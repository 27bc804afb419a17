"""Document -> one HTML file that needs nothing else: styles, script and pictures are in it, and it loads nothing.

All text passes through `escape`. Should that ever fail, the page's own policy lets no script run but ours, and no
address be loaded.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

from mlscale.report import words
from mlscale.report.document import (
    Block,
    Bullets,
    Cell,
    Column,
    Document,
    Facts,
    Ladder,
    Line,
    Paragraph,
    Picture,
    Row,
    Said,
    Section,
    Table,
    Text,
    plain,
)
from mlscale.report.html_charts import figure
from mlscale.report.json import rounded

LARGEST = 480_000  # bytes of the page
MOST_ROWS = (500, 200, 60, 20)  # of a table: the first with which the page is small enough
_TALL = 20  # rows, from which a table scrolls in its own place
_SHORT, _LONG = 30, 40  # characters: a cell's text up to here stays on one line; from here on it wraps anywhere
_TAGS = {"strong": "strong", "code": "code"}


def render(document: Document) -> str:
    """The page, with as many rows in its tables as it has room for."""
    text = ""
    for rows in MOST_ROWS:
        text = _page(document, rows)
        if len(text.encode()) <= LARGEST:
            break
    return text


def _page(document: Document, rows: int) -> str:
    style, script = _asset("page.css"), _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; "
        "form-action 'none'; base-uri 'none'"
    )
    lines = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{escape(document.headline)} – mlscale</title>",
        '<link rel="icon" href="data:,">',
        f"<style>\n{style}</style>",
        "</head>",
        "<body>",
        '<div class="page">',
        *_header(document),
        "<main>",
        *(part for number, section in enumerate(document.sections) for part in _section(section, number, rows)),
        "</main>",
        f"<footer>{escape(document.made)}</footer>",
        "</div>",
        f"<script>{script}</script>",
        "</body>",
        "</html>",
    ]
    return "\n".join(lines) + "\n"


def _asset(name: str) -> str:
    return files("mlscale.report").joinpath("assets", name).read_text("utf-8")


def _header(document: Document) -> Iterable[str]:
    """The first screen: what is wrong, how sure, what to do, what it brings."""
    yield "<header>"
    yield f'<p class="kicker"><b>mlscale</b> · {escape(document.subject)}</p>'
    yield f"<h1>{escape(document.headline)}</h1>"
    first, *rest = document.summary
    yield f'<p class="verdict {document.tone}"><span>{_line(first.line)}</span></p>'
    told = [said for said in rest if said.figure is None]
    figures = [said for said in document.summary if said.figure is not None]
    if told or figures:
        yield '<div class="answer">'
        yield '<div class="do">'
        for said in told or [Said("", ())]:
            if said.label:
                yield f"<h2>{escape(said.label)}</h2>"
            yield f"<p>{_line(said.line)}</p>"
        yield "</div>"
        if figures:
            yield '<dl class="figures">'
            for said in figures:
                assert said.figure is not None
                shown = said.figure
                note = f"<dd>{escape(shown.note)}</dd>" if shown.note else ""
                yield f'<div><dt>{escape(shown.label)}</dt><dd class="value">{escape(shown.value)}</dd>{note}</div>'
            yield "</dl>"
        yield "</div>"
    yield "</header>"


def _section(section: Section, number: int, rows: int) -> Iterable[str]:
    title, alone = escape(section.title), len(section.blocks) == 1
    if section.fold == "always":
        yield '<details class="fold">'
        yield f"<summary><h2>{title}</h2></summary>"
        yield from (part for block in section.blocks for part in _block(block, alone, rows))
        yield "</details>"
        return
    yield f'<section aria-labelledby="s{number}">'
    yield f'<h2 id="s{number}">{title}</h2>'
    yield from (part for block in section.blocks for part in _block(block, alone, rows))
    yield "</section>"


def _block(block: Block, alone: bool, rows: int) -> Iterable[str]:
    if isinstance(block, Paragraph):
        yield f"<p>{_line(block.line)}</p>"
    elif isinstance(block, Bullets):
        tag = "ol" if block.numbered else "ul"
        items = "".join(f"<li>{_line(item)}</li>" for item in block.items[:rows])
        yield f"<{tag}>{items}</{tag}>"
    elif isinstance(block, Facts):
        yield from _facts(block, rows)
    elif isinstance(block, Table):
        yield from _table(block, alone, rows)
    elif isinstance(block, Ladder):
        yield from _ladder(block)
    elif isinstance(block, Picture):
        yield from figure(block.chart)


def _facts(facts: Facts, rows: int) -> Iterable[str]:
    yield '<dl class="facts">'
    before = None
    for name, said in facts.rows[:rows]:
        yield (f"<dt>{escape(name)}</dt>" if name != before else "") + f"<dd>{_line(said)}</dd>"
        before = name
    yield "</dl>"


def _table(table: Table, alone: bool, rows: int) -> Iterable[str]:
    """`alone`: the section's title says what the table is; the caption is for those who hear it."""
    caption = escape(table.caption)
    tall = " tall" if table.sortable and len(table.rows) > _TALL else ""
    yield f'<div class="scroll{tall}" role="region" tabindex="0" aria-label="{caption}">'
    yield '<table class="sortable">' if table.sortable else "<table>"
    yield f'<caption><span class="vh">{caption}</span></caption>' if alone else f"<caption>{caption}</caption>"
    heads = "".join(
        f'<th scope="col"{_class(column)}>{escape(column.title)}</th>' if column.title else "<td></td>"
        for column in table.columns
    )
    yield f"<thead><tr>{heads}</tr></thead>"
    yield "<tbody>"
    for row in table.rows[:rows]:
        yield _row(row, table.columns)
    yield "</tbody>"
    yield "</table>"
    yield "</div>"
    more = table.more
    if len(table.rows) > rows:
        more = f"{len(table.rows) - rows} more in the JSON. {more}"
    if more:
        yield f'<p class="key">{escape(more)}</p>'


def _class(column: Column, cell: Cell | None = None) -> str:
    if column.figures:
        return ' class="figure"'
    if cell is None:
        return ""
    length = len(plain(cell.line))
    return ' class="short"' if length <= _SHORT else ' class="long"' if length > _LONG else ""


def _row(row: Row, columns: Sequence[Column]) -> str:
    cells = []
    for cell, column in zip(row.cells, columns, strict=True):
        value = f' data-v="{rounded(cell.sort):.12g}"' if cell.sort is not None else ""
        cells.append(f"<td{_class(column, cell)}{value}>{_line(cell.line)}</td>")
    return f"<tr{f' class={row.tone}' if row.tone else ''}>{''.join(cells)}</tr>"


def _ladder(ladder: Ladder) -> Iterable[str]:
    yield '<ol class="ladder">'
    for rung in ladder.rungs:
        gain = f"<b>{escape(rung.gain)}</b><small>{escape(rung.interval)}</small>" if rung.gain else ""
        current = ' aria-current="step"' if rung.status == "climb" else ""
        yield (
            f'<li class="{escape(rung.status)}"{current}><span class="mark" aria-hidden="true">{escape(rung.mark)}</span>'
            f'<span class="name">{escape(rung.name)}<span class="status">{escape(rung.status)}</span></span>'
            f'<span class="why">{_line(rung.why)}</span><span class="gain">{gain}</span></li>'
        )
    yield "</ol>"
    means = [f"{mark} {status}: {words.STATUS_MEANS.get(status, '')}" for status, mark in _statuses(ladder).items()]
    if any(rung.gain for rung in ladder.rungs):
        means.append("on the right: the speed-up that it would bring, with its 90% interval")
    yield f'<p class="key">{escape("; ".join(means))}</p>'


def _statuses(ladder: Ladder) -> dict[str, str]:
    return {rung.status: rung.mark for rung in ladder.rungs}


def _line(line: Line) -> str:
    return "".join(map(_piece, line))


def _piece(piece: Text) -> str:
    text = escape(piece.text)
    if piece.style == "dim":
        return f'<span class="dim">{text}</span>'
    tag = _TAGS.get(piece.style)
    return f"<{tag}>{text}</{tag}>" if tag else text
