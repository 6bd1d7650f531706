"""Tables that a phone can show: at most 36 columns of text, else a picture and the table as CSV."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.agent.tables import read_table
from bot.markdown import plain
from bot.table_picture import table_png

WIDTH = 36
_MAX_ROWS = 25
_MAX_CELL = 14


@dataclass(frozen=True, slots=True)
class ShownTable:
    """A table as text; ``csv`` holds all of it if the text does not, and then ``png`` shows it, if it can be drawn.

    Of a ``partial`` one, the output itself had not all rows and columns.
    """

    text: str
    csv: bytes | None = None
    png: bytes | None = None
    partial: bool = False


def shown_table(html: str, *, drawn: bool = True) -> ShownTable | None:
    """Return the table of an output's HTML; None if that is no single plain table. See :func:`table_of`."""
    found = read_table(html)
    if found is None:
        return None
    rows, remarks = found
    table = table_of(
        [[plain(cell) for cell in row] for row in rows], [plain(remark)[:WIDTH] for remark in remarks[:2]], drawn=drawn
    )
    # pandas puts a row or a column of dots where it leaves out others
    return replace(table, partial="..." in rows[0] or any(row.count("...") == len(row) for row in rows))


def table_of(rows: Sequence[Sequence[str]], remarks: Sequence[str] = (), *, drawn: bool = True) -> ShownTable:
    """Return a table of cells; the first row is the head. ``remarks`` stand below it. Not ``drawn``, it shows what fits."""
    width = max(map(len, rows))
    rows = [[*row, *[""] * (width - len(row))] for row in rows]
    columns, cut = _fitting(rows)
    wide = cut or width > len(columns)
    if wide and drawn and (png := table_png(rows)) is not None:
        return ShownTable("\n".join(remarks), _csv(rows), png)
    lines = [_line(row, columns) for row in rows[: _MAX_ROWS + 1]]
    lines += [f"… {len(rows) - len(lines)} more rows"] if len(rows) > len(lines) else []
    lines += [f"… {width - len(columns)} more columns"] if width > len(columns) else []
    whole = not wide and len(rows) <= _MAX_ROWS + 1
    return ShownTable("\n".join([*lines, *remarks]), None if whole else _csv(rows))


def columns_of(text: str) -> int:
    """Return how many columns a text takes where all characters are equally wide; those of Chinese, say, take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else not unicodedata.combining(letter) for letter in text)


def _fitting(rows: Sequence[Sequence[str]]) -> tuple[list[int], bool]:
    """The widths of the first columns that fit, and whether a cell of them is cut."""
    widths: list[int] = []
    cut = False
    for column in zip(*rows[: _MAX_ROWS + 1], strict=True):
        wanted = max(map(columns_of, column))
        room = WIDTH - sum(widths) - len(widths)
        width = min(wanted, _MAX_CELL)
        if width > room and widths:
            break
        widths.append(width)
        cut = cut or wanted > width
    return widths, cut


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return " ".join(_cell(cell, width) for cell, width in zip(row, widths, strict=False))


def _cell(text: str, width: int) -> str:
    if columns_of(text) > width:
        while text and columns_of(text) > width - 1:
            text = text[:-1]
        text += "…"
    return " " * (width - columns_of(text)) + text


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue().encode()
