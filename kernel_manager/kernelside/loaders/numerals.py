"""How the numbers of a table are written: decimal point or comma, thousands separators."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_GAP = r"[\s'’]"
_WITH_POINT = re.compile(rf"[+-]?(\d*\.\d+|\d{{1,3}}((,|{_GAP})\d{{3}})+\.\d+)([eE][+-]?\d+)?")
_WITH_COMMA = re.compile(rf"[+-]?(\d*,\d+|\d{{1,3}}((\.|{_GAP})\d{{3}})+,\d+)([eE][+-]?\d+)?")
_POINTS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3}){2,}")
_EITHER = re.compile(r"[+-]?[1-9]\d{0,2}([.,])\d{3}(\1\d{3})*")


def _forms(mark: str, decimal: str) -> tuple[str, str]:
    whole, fraction = r"[+-]?[1-9]\d{0,2}", rf"(?:{decimal}\d+)?"
    gaps = rf"{whole}(?:{_GAP}\d{{3}})+{fraction}"
    marks = rf"[+-]?\d{{1,3}}(?:{mark}\d{{3}})+{fraction}"
    certain = rf"[+-]?\d{{1,3}}(?:{mark}\d{{3}}(?:{mark}\d{{3}})+{fraction}|(?:{mark}\d{{3}})+{decimal}\d+)"
    return rf"{gaps}|{marks}|[+-]?\d+{fraction}", rf"{gaps}|{certain}"


# By decimal sign: a number that may be grouped, and one that cannot be anything but grouped.
_GROUPED = {
    ".": _forms(",", r"\."),
    ",": _forms(r"\.", ","),
}
_SIGNS = re.compile(r"[.,]|\d[\s'’]\d")
_PROBED = 200


@dataclass(frozen=True, slots=True)
class Numerals:
    """The decimal sign of a table, whether thousands are grouped somewhere, and what is doubtful about it."""

    decimal: str = "."
    grouped: bool = False
    note: str | None = None


def numerals(cells: Iterable[str], sep: str) -> Numerals:
    """How the numbers among ``cells`` are written. ``1,234`` or ``1.234`` alone prove nothing."""
    candidates = [cell for cell in map(str.strip, cells) if _SIGNS.search(cell)]
    telling = [cell for cell in candidates if not _EITHER.fullmatch(cell)]
    point = any(_WITH_POINT.fullmatch(cell) for cell in telling)
    comma = next((cell for cell in telling if _WITH_COMMA.fullmatch(cell)), None)
    decimal, note = _decide(point, comma, sep)
    if not point and comma is None and sep != "," and any(map(_POINTS.fullmatch, candidates)):
        decimal = ","  # 3.645.000 is no fraction; then 709.000 is none either.
    thousands = next((cell for cell in candidates if "." in cell and _EITHER.fullmatch(cell)), None)
    if thousands and sep == ";" and decimal == "." and not point:
        note = f"the point in {thousands!r} is taken for a decimal sign; decimal=',', thousands='.' take it for thousands"
    grouped = any(re.fullmatch(_GROUPED[decimal][1], cell) for cell in candidates)
    open_ones = [cell for cell in candidates if "," in cell and _EITHER.fullmatch(cell)]
    if comma is None and open_ones and not grouped:
        note = f"fields like {open_ones[0]!r} stay text; decimal=',' or thousands=',' says what their comma means"
    return Numerals(decimal, grouped, note)


def ungroup(frame: Any, decimal: str) -> list[str]:
    """Make numbers of the text columns of a DataFrame in which every value is one and some are grouped; their names."""
    converted = []
    for position, name in enumerate(frame.columns):
        column = frame.iloc[:, position]
        if _is_grouped(column, decimal):
            frame.isetitem(position, _to_numbers(column, decimal))
            converted.append(str(name))
    return converted


def _decide(point: bool, comma: str | None, sep: str) -> tuple[str, str | None]:
    if comma is None:
        return ".", None
    if point:
        return ".", f"some numbers have a decimal point and others a comma ({comma!r}), which stay text; decimal=',' reads those"
    if sep == ",":
        # Where the comma separates fields, '1,2' in quotes may just as well be a list.
        return ".", f"fields like {comma!r} stay text; decimal=',' makes numbers of them"
    return ",", f"the comma is taken for the decimal sign ({comma!r}); decimal='.' reads such fields as text"


def _is_grouped(column: Any, decimal: str) -> bool:
    import pandas as pd

    if not pd.api.types.is_string_dtype(column.dtype):
        return False
    number, grouped = _GROUPED[decimal]
    values = column.dropna()
    probe = values.iloc[:_PROBED]
    return bool(
        len(probe)
        and probe.str.fullmatch(number).all()
        and values.str.fullmatch(number).all()
        and values.str.fullmatch(grouped).any()
        and not _may_be_codes(values)
    )


def _may_be_codes(values: Any) -> bool:
    """Whether blanks group digits that all have one length, as those of telephone and card numbers do."""
    return bool(values.str.contains(" ", regex=False).any() and values.str.len().nunique() < 2)


def _to_numbers(column: Any, decimal: str) -> Any:
    import pandas as pd

    separator = "," if decimal == "." else r"\."
    plain = column.str.replace(rf"{separator}|{_GAP}", "", regex=True).str.replace(decimal, ".", regex=False)
    return pd.to_numeric(plain)
