"""Tables in web pages, which many programs write and call a workbook."""

from __future__ import annotations

import csv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .source import Source, Unreadable
from .table import load_table
from .xml_text import local_name

_MAX_SPAN = 1000


def load_html_table(source: Source, *, table: int = 0, **options: Any) -> Any:
    """A DataFrame of the largest table of a page, or of that number ``table``, from 1. Options are those of ``pandas.read_csv``.

    Numbers are told from the text of its cells as in a CSV.
    """
    from lxml import html

    try:
        page = html.document_fromstring(source.read())
    except (ValueError, html.etree.ParserError) as exc:
        raise Unreadable(f"it is no HTML: {exc}") from exc
    tables = [rows for element in page.iter("table") if (rows := _rows(element))]
    if not tables:
        raise Unreadable("it is a web page without a table")
    number = table or 1 + max(range(len(tables)), key=lambda index: sum(map(len, tables[index])))
    if not 1 <= number <= len(tables):
        raise Unreadable(f"it has {len(tables)} tables, and no number {number}")
    if len(tables) > 1:
        source.note(f"this is table {number} of {len(tables)}; table=… opens another")
    return _to_frame(source, tables[number - 1], options)


def load_page_as_table(source: Source, **options: Any) -> Any:
    """The same in a process of its own, for a page that is opened as text otherwise."""
    from . import limited

    return limited.load("webpages:load_html_table", source, options)


def _rows(table: Any) -> list[list[str]]:
    """The text of the cells of a table without that of tables in it; all rows have one length."""
    rows = []
    for row in table.iter("tr"):
        if next(row.iterancestors("table"), None) is not table:
            continue
        cells: list[str] = []
        for cell in row:
            if local_name(cell) in ("td", "th"):
                span = cell.get("colspan", "1")
                cells += [" ".join(cell.text_content().split())] + [""] * (
                    min(int(span), _MAX_SPAN) - 1 if span.isdecimal() else 0
                )
        if any(cells):
            rows.append(cells)
    width = max(map(len, rows), default=0)
    return [[*cells, *[""] * (width - len(cells))] for cells in rows]


def _to_frame(source: Source, rows: list[list[str]], options: dict[str, Any]) -> Any:
    with TemporaryDirectory(prefix="load-") as folder:
        path = Path(folder, "table.tsv")
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter="\t", lineterminator="\n").writerows(rows)
        text = Source(path, path.name)
        frame = load_table(text, **{"sep": "\t", "encoding": "utf-8", **options})
    source.notes += text.notes
    return frame
