"""Document -> Markdown that GitHub and GitLab render alike (GFM): tables, foldable sections, charts as text.

All text is escaped: no markup, no HTML, no mention, no reference to an issue comes out of a name in the job.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from mlscale.report.charts_text import chart_lines
from mlscale.report.document import (
    Block,
    Bullets,
    Document,
    Facts,
    Ladder,
    Line,
    Paragraph,
    Picture,
    Section,
    Table,
    Text,
    line,
    shortened,
    within,
)

LONGEST = 64_000  # characters: GitHub takes 65,536 in an issue, and a person adds a sentence
SUMMARY = 300  # characters of a text in the summary, for escapes make it several times as long
MOST_ROWS = 40  # of a table
_WIDTH = 96  # columns of a chart: GitHub's page shows about a hundred
CUT = "\n_Cut here: the whole report would be too long for an issue. `mlscale report FILE -f html` holds all of it._\n"

_SPECIAL = re.compile(r"[\\`*{}\[\]|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_BLOCK = re.compile(r"^(\s*)(#+|[-+=]+|\d+[.)])(?=\s|$)")  # what begins a heading, a list or a rule
_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
# What GitHub and GitLab turn into a link, a picture or a message to somebody, after escapes are gone: @name, #12, !12,
# ~label, %milestone, &epic, $snippet, owner/name#12, GH-12, :emoji:, addresses, and GitLab's {+ changes +}.
_REFERENCE = re.compile(
    r"@(?=\w)|(?<!\w)[#!~%&$](?=[\w\"'])|(?<=\w)[#!](?=\d)|(?<!\d):(?=[\w+-]+:)|:(?=//)|[{\[](?=[-+])"
    r"|\bGH-(?=\d)|\bwww(?=\.)",
    re.IGNORECASE,
)
_BREAK = "&#8203;"  # of no width


def render(document: Document) -> str:
    """The document as Markdown of at most LONGEST characters."""
    head = "\n".join([f"## {_line(shortened(line(document.headline), SUMMARY))}", "", *_summary(document)]) + "\n"
    sections = ("\n" + "\n".join(_section(section)) + "\n" for section in document.sections)
    return within(LONGEST, head, sections, f"\n<sub>{text_of(document.made)}</sub>\n", CUT)


def _summary(document: Document) -> Iterable[str]:
    yield f"| | {_line(shortened(line(document.subject), SUMMARY))} |"
    yield "|---|---|"
    for said in document.summary:
        yield f"| **{text_of(said.label)}** | {_line(shortened(said.line, SUMMARY), table=True)} |"


def _section(section: Section) -> Iterable[str]:
    if section.fold == "never":
        yield f"### {text_of(section.title)}"
    else:
        yield "<details>"
        yield f"<summary><b>{section.title.translate(_HTML)}</b></summary>"
    for block in section.blocks:
        yield ""
        yield from _block(block)
    if section.fold != "never":
        yield ""
        yield "</details>"


def _block(block: Block) -> Iterable[str]:
    if isinstance(block, Paragraph):
        yield _line(block.line)
    elif isinstance(block, Bullets):
        for place, item in enumerate(block.items[:MOST_ROWS], 1):
            yield f"{f'{place}.' if block.numbered else '-'} {_line(item)}"
    elif isinstance(block, Facts):
        for name, said in block.rows[:MOST_ROWS]:
            yield f"- **{text_of(name)}**: {_line(said)}"
    elif isinstance(block, Table):
        rows = [tuple(_cell(cell.line, row.tone) for cell in row.cells) for row in block.rows]
        titles = [text_of(column.title) for column in block.columns]
        yield from _table(titles, [column.figures for column in block.columns], rows)
        if block.more:
            yield ""
            yield text_of(block.more)
    elif isinstance(block, Ladder):
        yield from _ladder(block)
    elif isinstance(block, Picture):
        yield "```text"
        yield from (drawn.replace("`", "'") for drawn in chart_lines(block.chart, _WIDTH))
        yield "```"


def _ladder(ladder: Ladder) -> Iterable[str]:
    rows = []
    for rung in ladder.rungs:
        climb = rung.status == "climb"
        gain = f"{rung.gain} ({rung.interval})" if rung.gain else ""
        cells = (f"`{rung.name}`", rung.status, _line(rung.why, table=True), text_of(gain))
        rows.append(
            (rung.mark, *(f"**{cell}**" if climb and cell and place != 2 else cell for place, cell in enumerate(cells)))
        )
    yield from _table(("", "rung", "status", "why", "speed-up"), (False, False, False, False, True), rows)


def _cell(sentence: Line, tone: str) -> str:
    text = _line(sentence, table=True)
    return f"**{text}**" if tone == "next" and text and "*" not in text else text


def _table(titles: Sequence[str], figures: Sequence[bool], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    yield f"| {' | '.join(titles)} |"
    yield f"|{'|'.join('--:' if right else '---' for right in figures)}|"
    for row in rows[:MOST_ROWS]:
        yield f"| {' | '.join(row)} |"
    if len(rows) > MOST_ROWS:
        yield f"| … and {len(rows) - MOST_ROWS} more |{' |' * (len(titles) - 1)}"


def _line(sentence: Line, *, table: bool = False) -> str:
    return "".join(_piece(piece, table) for piece in sentence)


def _piece(piece: Text, table: bool) -> str:
    if piece.style == "code":
        return code_of(piece.text, table=table)
    escaped = text_of(piece.text)
    if piece.style == "strong" and escaped.strip():
        # Emphasis must touch what it emphasises.
        inner = escaped.strip()
        before, _, after = escaped.partition(inner)
        return f"{before}**{inner}**{after}"
    return escaped


def text_of(text: str) -> str:
    """Text that reads as it is: one line, nothing of it markup."""
    text = re.sub(r"[\r\n]+", " ", text)
    marked = _REFERENCE.sub(lambda match: match[0] + "\0", text.replace("\0", ""))
    escaped = _SPECIAL.sub(lambda match: "\\" + match[0], marked.translate(_HTML))
    return _BLOCK.sub(_unblocked, escaped).replace("\0", _BREAK)


def _unblocked(match: re.Match[str]) -> str:
    space, mark = match[1], match[2]
    return f"{space}{mark[:-1]}\\{mark[-1]}" if mark[0].isdigit() else f"{space}\\{mark}"


def code_of(text: str, *, table: bool = False) -> str:
    """Text as typed, in a span of code that no backtick in it can end."""
    text = " ".join(text.split())
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    if table and "\\|" in text:
        return f"<code>{text_of(text)}</code>"  # renderers differ in what a backslash before a bar means in a span
    if table:
        text = text.replace("|", "\\|")  # the table is cut into cells first
    return f"{fence}{pad}{text}{pad}{fence}" if text else ""
