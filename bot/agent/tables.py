"""Tables of a notebook, compact: the cells of a DataFrame's HTML without the space that aligns them."""

from __future__ import annotations

from html.parser import HTMLParser

MAX_HTML = 200_000


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
    reader.feed(html)
    reader.close()
    if not reader.rows or max(map(len, reader.rows)) < 2:
        return None
    return reader.rows, reader.remarks


class _Rows(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[list[str]] = []
        self.remarks: list[str] = []
        self._cell: list[str] | None = None
        self._in_remark = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self._end_cell()
            self._cell = []
        self._in_remark = tag == "p"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "tr", "table"):
            self._end_cell()
        self._in_remark = False

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)
        elif self._in_remark and data.strip():
            self.remarks.append(" ".join(data.split()))

    def _end_cell(self) -> None:
        if self._cell is not None:
            self.rows[-1].append(" ".join("".join(self._cell).split()))
            self._cell = None
