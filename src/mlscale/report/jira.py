"""Document -> Jira's wiki markup (server, and cloud's wiki fields). All text is escaped: a name in the job is never markup."""

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

LONGEST = 32_000  # characters: Jira takes 32,767 in a description or a comment, unless its administrator allows more
SUMMARY = 300  # characters of a text in the summary, for escapes make it several times as long
MOST_ROWS = 30  # of a table
_WIDTH = 84  # columns of a chart
_CUT = "\n_Cut here: the whole report would be too long for Jira. Attach the HTML: mlscale report FILE \\-f html._\n"

_ENTITIES = {"\\": "&#92;", "&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
# A backslash keeps these from being markup. Inside words, and between spaces, most of them are none.
_MARKUP = re.compile(
    r"""(?x)
      [{}\[\]|^~]
    | (?<![A-Za-z0-9])_ | _(?![A-Za-z0-9])
    | (?<!\ )\* | \*(?!\ )
    | (?<!\ )\+ | \+(?!\ )
    | (?<![A-Za-z0-9\ ])- | -(?![A-Za-z0-9\ ]) | (?<=[A-Za-z])-(?=[0-9]) | (?<=\ )-(?!\ )     # ABC-12 is an issue
    | !(?=\S) | \?(?=\?) | (?<=\?)\?
    """
)
_ICONS = re.compile(r"\((?=(?:[ynix/!+?*-]|on|off|\*[rgby]|flag|flagoff)\))|[:;](?=[()DP])")
_BLOCK = re.compile(r"^(\s*)(?:(h[1-6]|bq)(\.)|(#+|\*+|-+)(?=\s))")


def render(document: Document) -> str:
    """The document as wiki markup of at most LONGEST characters."""
    head = "\n".join([f"h2. {_line(shortened(line(document.headline), SUMMARY))}", "", *_summary(document)]) + "\n"
    # Jira cannot fold: what is shut elsewhere is left to the other formats.
    shown = (section for section in document.sections if section.fold != "always")
    sections = ("\n" + "\n".join(_section(section)) + "\n" for section in shown)
    return within(LONGEST, head, sections, f"\n{{color:#707070}}{text_of(document.made)}{{color}}\n", _CUT)


def _summary(document: Document) -> Iterable[str]:
    yield f"|| ||{_line(shortened(line(document.subject), SUMMARY))}||"
    for said in document.summary:
        yield f"||{text_of(said.label)}|{_line(shortened(said.line, SUMMARY))}|"


def _section(section: Section) -> Iterable[str]:
    yield f"h3. {text_of(section.title)}"
    for block in section.blocks:
        yield ""
        yield from _block(block)


def _block(block: Block) -> Iterable[str]:
    if isinstance(block, Paragraph):
        yield _line(block.line)
    elif isinstance(block, Bullets):
        for item in block.items[:MOST_ROWS]:
            yield f"{'#' if block.numbered else '*'} {_line(item)}"
    elif isinstance(block, Facts):
        for name, said in block.rows[:MOST_ROWS]:
            yield f"||{text_of(name)}|{_line(said)}|"
        yield from _more(len(block.rows), 2)
    elif isinstance(block, Table):
        titles = [text_of(column.title) for column in block.columns]
        rows = [[_toned(_line(cell.line), row.tone) for cell in row.cells] for row in block.rows]
        yield from _table(titles, rows)
        if block.more:
            yield text_of(block.more)
    elif isinstance(block, Ladder):
        yield from _ladder(block)
    elif isinstance(block, Picture):
        yield "{noformat}"
        yield from (drawn.replace("{", "(").replace("}", ")") for drawn in chart_lines(block.chart, _WIDTH))
        yield "{noformat}"


def _ladder(ladder: Ladder) -> Iterable[str]:
    rows = []
    for rung in ladder.rungs:
        gain = f"{rung.gain} ({rung.interval})" if rung.gain else ""
        tone = "next" if rung.status == "climb" else ""
        cells = (rung.name, rung.status, _line(rung.why), text_of(gain))
        rows.append([rung.mark, *(_toned(cell, tone) for cell in cells)])
    yield from _table(("", "rung", "status", "why", "speed\\-up"), rows)


def _toned(text: str, tone: str) -> str:
    return f"*{text}*" if tone == "next" and text.strip() and "*" not in text else text


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    yield f"||{'||'.join(title or ' ' for title in titles)}||"
    for row in rows[:MOST_ROWS]:
        yield f"|{'|'.join(cell or ' ' for cell in row)}|"
    yield from _more(len(rows), len(titles))


def _more(rows: int, columns: int) -> Iterable[str]:
    if rows > MOST_ROWS:
        yield f"|… and {rows - MOST_ROWS} more|{' |' * (columns - 1)}"


def _line(sentence: Line) -> str:
    return "".join(map(_piece, sentence))


def _piece(piece: Text) -> str:
    escaped = text_of(piece.text)
    inner = escaped.strip()
    if not inner or piece.style not in ("strong", "code"):
        return escaped
    # Marks must touch what they mark.
    before, _, after = escaped.partition(inner)
    marked = f"*{inner}*" if piece.style == "strong" else f"{{{{{inner}}}}}"
    return f"{before}{marked}{after}"


def text_of(text: str) -> str:
    """Text that reads as it is: one line, nothing of it markup."""
    text = re.sub(r"[\r\n]+", " ", text)
    found: list[str] = []
    block, icons = _BLOCK.match(text), {match.start() for match in _ICONS.finditer(text)}
    icons |= {match.start() for match in re.finditer(r":(?=//)", text)}  # no link is made of an address
    begins = block.end(1) if block is not None and block[4] else -1
    heading = block.start(3) if block is not None and block[3] else -1
    markup = {match.start() for match in _MARKUP.finditer(text)}
    for place, character in enumerate(text):
        if character in _ENTITIES:
            found.append(_ENTITIES[character])
        elif place in icons or place == heading:
            found.append(f"&#{ord(character)};")
        elif place in markup or place == begins:
            found.append("\\" + character)
        else:
            found.append(character)
    return "".join(found)
