"""Stands in for symbols that an output cannot encode, one character for one, so that columns stay where they are."""

from __future__ import annotations

import unicodedata

_STAND_INS = str.maketrans(
    {
        "━": "=",
        "╸": "-",
        "─": "-",
        "│": "|",
        "╭": "+",
        "╮": "+",
        "╰": "+",
        "╯": "+",
        "├": "|",
        "┤": "|",
        "└": "+",
        "┊": ":",
        "█": "#",
        "▌": "=",
        "▁": "_",
        "▂": "_",
        "▃": "-",
        "▄": "-",
        "▅": "=",
        "▆": "=",
        "▇": "#",
        "░": ":",
        "◆": "#",
        "●": "o",
        "○": "c",
        "»": ">",
        "▶": ">",
        "✓": "v",
        "✗": "x",
        "·": ".",
        "•": "*",
        "×": "x",
        "–": "-",
        "—": "-",
        "−": "-",
        "µ": "u",
        "μ": "u",
        "≤": "<",
        "≥": ">",
        "≈": "~",
        "±": "~",
        "→": ">",
        "…": ".",
        "’": "'",
        "‘": "'",
        "“": '"',
        "”": '"',
        "„": '"',
        "\u00a0": " ",
        "\u202f": " ",
    }
)


def fit(text: str, encoding: str | None) -> str:
    """`text` with each character that `encoding` lacks replaced by the nearest that it has; "?" where none is near."""
    encoding = encoding or "ascii"
    try:
        text.encode(encoding)
        return text
    except LookupError:
        encoding = "ascii"
    except UnicodeEncodeError:
        pass
    return "".join(_nearest(character, encoding) for character in text)


def _nearest(character: str, encoding: str) -> str:
    plain = unicodedata.normalize("NFKD", character)[:1]
    for candidate in (character, character.translate(_STAND_INS), plain):
        try:
            candidate.encode(encoding)
            return candidate
        except UnicodeEncodeError:
            continue
    return "?"
