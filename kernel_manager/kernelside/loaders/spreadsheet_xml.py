"""The XML that Excel 2003 wrote, which programs still write and call ``.xls``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from .sheet import no_sheet, note_others, to_frame
from .source import Source, Unreadable
from .xml_text import local_name, parse_xml

_NAMESPACE = "{urn:schemas-microsoft-com:office:spreadsheet}"
_MAX_COLUMNS = 16_384
_MAX_CELLS = 5_000_000


def load_spreadsheet_xml(source: Source, *, sheet_name: Any = ...) -> Any:
    """A DataFrame of the first worksheet that holds something, of ``sheet_name=``, or of all, in a dict, for None."""
    sheets = {
        element.get(f"{_NAMESPACE}Name", str(number)): element
        for number, element in enumerate(parse_xml(source.read()).iter(f"{_NAMESPACE}Worksheet"), 1)
    }
    if sheet_name is None:
        return {name: to_frame(source, _rows(sheet)) for name, sheet in sheets.items()}
    if sheet_name is not ...:
        name = list(sheets)[sheet_name] if isinstance(sheet_name, int) and sheet_name < len(sheets) else sheet_name
        if name not in sheets:
            raise no_sheet(sheet_name, sheets)
        return to_frame(source, _rows(sheets[name]))
    for name, sheet in sheets.items():
        if rows := _rows(sheet):
            note_others(source, sheets, name)
            return to_frame(source, rows)
    raise Unreadable("it has no sheet that holds something")


def _rows(sheet: Any) -> list[list[Any]]:
    rows: list[list[Any]] = []
    filled = 0
    for row in sheet.iter(f"{_NAMESPACE}Row"):
        rows += [[] for _ in range(_index(row, len(rows) + 1) - 1 - len(rows))]
        cells: list[Any] = []
        for cell in row:
            if local_name(cell) == "Cell":
                cells += [""] * (min(_index(cell, len(cells) + 1), _MAX_COLUMNS) - 1 - len(cells))
                cells.append(_value(cell.find(f"{_NAMESPACE}Data")))
        rows.append(cells)
        filled += len(cells) + 1
        if filled > _MAX_CELLS or len(rows) > _MAX_CELLS:
            raise Unreadable(f"it has more than {_MAX_CELLS:,} cells")
    while rows and not any(cell != "" for cell in rows[0]):
        rows.pop(0)
    width = max(map(len, rows), default=0)
    return [[*cells, *[""] * (width - len(cells))] for cells in rows]


def _index(element: Any, usual: int) -> int:
    told = element.get(f"{_NAMESPACE}Index", "")
    return min(int(told), _MAX_CELLS) if told.isdecimal() else usual


def _value(data: Any) -> Any:
    if data is None:
        return ""
    text, kind = "".join(data.itertext()), data.get(f"{_NAMESPACE}Type")
    try:
        if kind == "Number":
            return float(text)
        if kind == "DateTime":
            return datetime.fromisoformat(text)
    except ValueError:
        return text
    return text.strip() == "1" if kind == "Boolean" else text
