"""Tables in Markdown, which Discord shows as it finds them: taken out of an answer, to be shown as other tables are. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FENCE = re.compile(r"\s{0,3}(?:```|~~~)")
_DELIMITERS = re.compile(r"\s{0,3}\|?(?:\s*:?-+:?\s*\|)*\s*:?-+:?\s*\|?\s*")
_BAR = re.compile(r"(?<!\\)\|")
_MARKS = re.compile(r"\*\*|__|`|\\(?=[|*_`\\])")
MAX_ROWS = 300
MAX_COLUMNS = 40


@dataclass(frozen=True, slots=True)
class MarkdownTable:
    """The cells of a table, the head first; all rows are of one length."""

    rows: tuple[tuple[str, ...], ...]


def split_tables(text: str) -> Iterator[str | MarkdownTable]:
    """Yield an answer in pieces: its tables, and the text around them."""
    lines, kept, fenced, at = text.split("\n"), list[str](), False, 0
    while at < len(lines):
        if _FENCE.match(lines[at]):
            fenced = not fenced
        rows = [] if fenced else _rows(lines, at)
        if not rows:
            kept.append(lines[at])
            at += 1
            continue
        if kept:
            yield "\n".join(kept)
        yield MarkdownTable(tuple(rows))
        kept, at = [], at + len(rows) + 1
    if kept:
        yield "\n".join(kept)


def _rows(lines: list[str], at: int) -> list[tuple[str, ...]]:
    """The rows of the table that begins at a line; none if none does."""
    if "|" not in lines[at] or at + 1 >= len(lines) or "|" not in lines[at + 1] or not _DELIMITERS.fullmatch(lines[at + 1]):
        return []
    head = _cells(lines[at])
    if len(head) != len(_cells(lines[at + 1])) or not 2 <= len(head) <= MAX_COLUMNS:
        return []
    rows = [head]
    for line in lines[at + 2 : at + 1 + MAX_ROWS]:
        if "|" not in line:
            break
        cells = _cells(line)[: len(head)]
        rows.append([*cells, *[""] * (len(head) - len(cells))])
    return list(map(tuple, rows))


def _cells(line: str) -> list[str]:
    text = line.strip()
    text = text.removeprefix("|")
    text = text[:-1] if text.endswith("|") and not text.endswith("\\|") else text
    return [_MARKS.sub("", cell.strip()) for cell in _BAR.split(text)]
