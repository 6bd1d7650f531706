"""Whole numbers that a float does not hold: ids of more than fifteen digits in columns with gaps.

pandas makes floats of integers as soon as one is missing, which changes the last digits of every number beyond 2**53.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

LIMIT = 2**53


def to_integers(values: Iterable[Any]) -> Any:
    """A nullable Int64 column of ``values``, None where one is missing; None if they are not all whole numbers."""
    import pandas as pd

    numbers: list[int | None] = []
    for value in values:
        try:
            number = None if value is None else int(value)
        except (TypeError, ValueError, OverflowError):
            return None
        if number is not None and not -(2**63) <= number < 2**63:
            return None
        numbers.append(number)
    return pd.array(numbers, dtype="Int64")


def suspects(frame: Any) -> list[int]:
    """The positions of the float columns of a DataFrame with gaps whose numbers are whole and beyond what is exact."""
    found = []
    for position, kind in enumerate(frame.dtypes):
        if kind != "float64":
            continue
        values = frame.iloc[:, position].to_numpy()
        if not (gaps := values != values).any():
            continue
        known = values[~gaps]
        large = abs(known)
        if (large >= LIMIT).any() and (large < 2.0**63).all() and (known == known.round()).all():
            found.append(position)
    return found


def restore(frame: Any, records: Iterable[Any]) -> Any:
    """``frame``, its ids exact as in the ``records`` that it was made of: dicts by column, or sequences."""
    records = list(records)
    for position in suspects(frame):
        name = frame.columns[position]
        cells = [record.get(name) if isinstance(record, dict) else record[position] for record in records]
        if all(cell is None or type(cell) is int for cell in cells):
            frame.isetitem(position, to_integers(cells))
    return frame
