"""A DataFrame of the cells of one sheet, as ``pandas.read_excel`` makes it where that is right.

What differs: rows and columns that are empty around the table, and a title above it, are left out; numbers above numbers are
no header; text of digits that begins with 0, or of more digits than a float holds, stays exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from .exact import to_integers
from .header import Layout, Row, lay_out
from .source import Source, Unreadable

_LOOKED_AT = 60
_MAX_NAMED = 20
_CODE = re.compile(r"0\d+")
_EXACT_DIGITS = 15


def to_frame(source: Source, rows: list[list[Any]]) -> Any:
    """The table in ``rows``, which begin at the first cell that is used. Notes tell what was decided about it."""
    import pandas as pd

    if not rows:
        return pd.DataFrame()
    layout = _layout(rows)
    for note in layout.notes():
        source.note(note)
    body = rows[layout.skiprows + (layout.names is not None) :]
    frame = _parse(rows[layout.skiprows :], layout)
    for position in range(frame.shape[1]):
        column = _corrected(source, frame.iloc[:, position], frame.columns[position], body, position)
        if column is not None:
            frame.isetitem(position, column)
    return frame


def note_others(source: Source, names: Iterable[str], shown: str) -> None:
    """Say which sheet of a workbook is shown, if there are others."""
    if others := [name for name in names if name != shown]:
        source.note(f"this is sheet {shown!r}; others: {_listed(others)} (sheet_name=… opens one, sheet_name=None all)")


def no_sheet(wanted: object, names: Iterable[str]) -> Unreadable:
    """The error for a sheet that is not there."""
    return Unreadable(f"it has no sheet {wanted!r}; its sheets: {_listed(list(names))}")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(repr(name) for name in names[:_MAX_NAMED]) + more


def _layout(rows: list[list[Any]]) -> Layout:
    sample = [Row(number, [_text(cell) for cell in row]) for number, row in enumerate(rows[:_LOOKED_AT])]
    return lay_out(sample, len(rows[0]))


def _parse(rows: list[list[Any]], layout: Layout) -> Any:
    from pandas.io.parsers import TextParser

    if layout.names is None:
        return TextParser(rows, header=None, skip_blank_lines=False).read()
    header = [_whole(cell) for cell in rows[0]]
    return TextParser([header, *rows[1:]], header=0, skip_blank_lines=False).read()


def _corrected(source: Source, column: Any, name: Any, body: list[list[Any]], position: int) -> Any:
    """What a column should have been; None if it is that."""
    import pandas as pd

    if column.dtype == object:
        cells = [cell if type(cell) is datetime else _plain(cell) for cell in column]
        return pd.Series(cells, dtype=object, index=column.index).infer_objects()
    if column.dtype.kind not in "if":
        return None
    cells = [row[position] for row in body]
    texts = [cell for cell in cells if type(cell) is str and cell] if str in set(map(type, cells)) else []
    if any(_CODE.fullmatch(text.strip()) for text in texts):
        source.note(f"leading zeros are kept as text in {name}; dtype= changes it")
        return pd.Series([_text(cell) or None for cell in cells], dtype="str", index=column.index)
    return _as_integers(column, texts, cells) if column.dtype.kind == "f" else None


def _as_integers(column: Any, texts: list[str], cells: list[Any]) -> Any:
    """Whole numbers as such. With gaps they stay floats, as everywhere in pandas, unless that would cost digits."""
    if any(len(text.strip()) > _EXACT_DIGITS for text in texts):
        return to_integers([_text(cell) or None for cell in cells])
    if texts or column.isna().any() or not (column.abs() < 2.0**63).all() or not (column == column.round()).all():
        return None
    return column.astype("int64")


def _text(cell: Any) -> str:
    """What a cell says, as in a CSV."""
    if cell is None or cell == "":
        return ""
    return cell if type(cell) is str else cell.isoformat(" ") if isinstance(cell, datetime) else str(_whole(cell))


def _plain(cell: Any) -> Any:
    """A value as pandas has it: 3 for 3.0, and a date that has a time of day."""
    if isinstance(cell, date) and not isinstance(cell, datetime):
        return datetime(cell.year, cell.month, cell.day)
    return _whole(cell)


def _whole(cell: Any) -> Any:
    return int(cell) if type(cell) is float and cell.is_integer() else cell
