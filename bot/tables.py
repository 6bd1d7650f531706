"""Tables that a phone can show: at most 36 columns of text; what is wider goes along as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from bot.agent.tables import read_table
from bot.markdown import plain

WIDTH = 36
_MAX_ROWS = 25
_MAX_CELL = 14


@dataclass(frozen=True, slots=True)
class ShownTable:
    """A table as text; ``csv`` holds all of it if the text does not, else it is None."""

    text: str
    csv: bytes | None


def shown_table(html: str) -> ShownTable | None:
    """Return the table of an output's HTML; None if that is no single plain table."""
    found = read_table(html)
    if found is None:
        return None
    rows, remarks = found
    width = max(map(len, rows))
    rows = [[*(plain(cell) for cell in row), *[""] * (width - len(row))] for row in rows]
    columns, cut = _fitting(rows)
    lines = [_line(row, columns) for row in rows[: _MAX_ROWS + 1]]
    lines += [f"… {len(rows) - len(lines)} more rows"] if len(rows) > len(lines) else []
    lines += [f"… {width - len(columns)} more columns"] if width > len(columns) else []
    whole = not cut and len(rows) <= _MAX_ROWS + 1 and width == len(columns)
    return ShownTable("\n".join([*lines, *(plain(remark)[:WIDTH] for remark in remarks[:2])]), None if whole else _csv(rows))


def _fitting(rows: Sequence[Sequence[str]]) -> tuple[list[int], bool]:
    """The widths of the first columns that fit, and whether a cell of them is cut."""
    widths: list[int] = []
    cut = False
    for column in zip(*rows[: _MAX_ROWS + 1], strict=True):
        wanted = max(map(len, column))
        room = WIDTH - sum(widths) - len(widths)
        width = min(wanted, _MAX_CELL)
        if width > room and widths:
            break
        widths.append(width)
        cut = cut or wanted > width
    return widths, cut


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [_cell(cell, width) for cell, width in zip(row, widths, strict=False)]
    return " ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def _cell(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue().encode()
