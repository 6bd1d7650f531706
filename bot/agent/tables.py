"""Tables of a notebook, compact: the cells of a DataFrame's HTML without the space that aligns them."""

from __future__ import annotations

import re
from html import unescape

MAX_HTML = 200_000
#: A tag, or the text between two. What makes HTML difficult is not in tables that are plain; a parser takes ten times as long.
_TOKEN = re.compile(r"<(?P<end>/?)(?P<name>[a-zA-Z][a-zA-Z0-9]*)[^<>]*>|[^<]+")


def compact_table(html: str) -> str | None:
    """Return the rows of an HTML table, a line each, cells separated by ``|``; None if that is no single plain table."""
    found = read_table(html)
    if found is None:
        return None
    rows, remarks = found
    return "\n".join([*(" | ".join(row) for row in rows), *remarks])


def read_table(html: str) -> tuple[list[list[str]], list[str]] | None:
    """Return the rows of an HTML table and what is written below it; None if that is no single plain table."""
    if len(html) > MAX_HTML or html.lower().count("<table") != 1:
        return None
    reader = _Rows()
    for token in _TOKEN.finditer(html):
        name = token["name"]
        if name is None:
            reader.take_text(token[0])
        elif token["end"]:
            reader.end_tag(name.lower())
        else:
            reader.begin_tag(name.lower())
    if not reader.rows or max(map(len, reader.rows)) < 2:
        return None
    return reader.rows, reader.remarks


class _Rows:
    def __init__(self) -> None:
        self.rows: list[list[str]] = []
        self.remarks: list[str] = []
        self._cell: list[str] | None = None
        self._in_remark = False

    def begin_tag(self, tag: str) -> None:
        """A tag begins an element."""
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self._end_cell()
            self._cell = []
        self._in_remark = tag == "p"

    def end_tag(self, tag: str) -> None:
        """A tag ends an element."""
        if tag in ("td", "th", "tr", "table"):
            self._end_cell()
        self._in_remark = False

    def take_text(self, data: str) -> None:
        """What stands between two tags."""
        if self._cell is not None:
            self._cell.append(data)
        elif self._in_remark and data.strip():
            self.remarks.append(" ".join(unescape(data).split()))

    def _end_cell(self) -> None:
        if self._cell is not None:
            self.rows[-1].append(" ".join(unescape("".join(self._cell)).split()))
            self._cell = None
