"""What columns of text hold that a person will want as dates or numbers: said, not converted, as it may be meant otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_DAY_FIRST = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4}|\d{2})( \d{1,2}:\d{2}(:\d{2})?)?")
_NUMBER = r"\d{1,3}(?:[.,\s'’]\d{3})*(?:[.,]\d+)?|\d+(?:[.,]\d+)?"
_CURRENCY = r"[$€£¥₹₽₩]|USD|EUR|GBP|CHF|JPY|INR"
_AMOUNT = re.compile(
    rf"\(?[+-]?(?:(?:{_CURRENCY})\s?[+-]?(?:{_NUMBER})|(?:{_NUMBER})\s?(?:{_CURRENCY}|%)|(?:{_NUMBER})-|\((?:{_NUMBER})\))\)?"
)
_PLAIN = re.compile(rf"[+-]?(?:{_NUMBER})")
_MAX_NAMED = 5


def notes_on(names: list[str], body: Iterable[list[str]]) -> Iterator[str]:
    """A note for each way of writing that occurs, with the columns; ``body`` is a sample of the rows."""
    columns = list(zip(names, zip(*(cells for cells in body if len(cells) == len(names)), strict=True), strict=False))
    dates: dict[str, list[str]] = {}
    amounts: dict[str, str] = {}
    for name, cells in columns:
        filled = [cell.strip() for cell in cells if cell.strip()]
        if form := date_form(filled):
            dates.setdefault(form, []).append(name)
        elif example := _amount(filled):
            amounts[name] = example
    for form, named in dates.items():
        yield f"{_listed(named)}: dates as text; pd.to_datetime(df[…], {form}) makes dates of them"
    if amounts:
        yield f"{_listed(list(amounts))}: amounts like {next(iter(amounts.values()))!r} stay text"


def date_form(cells: list[str]) -> str:
    """The arguments by which ``pandas.to_datetime`` reads ``cells``; empty if they are no dates, or ISO dates."""
    matches = [_DAY_FIRST.fullmatch(cell) for cell in cells]
    found = [match for match in matches if match]
    if (
        not found
        or len(found) < len(matches)
        or len({(match[2], len(match[4]), match[5] is None, match[6] is None) for match in found}) > 1
    ):
        return ""
    first, second = max(int(match[1]) for match in found), max(int(match[3]) for match in found)
    if min(first, second) > 12 or max(first, second) > 31:
        return ""
    # Whether 1/2 is in January or in February is only told by a day after the twelfth; with points it is not in doubt.
    month_first = second > 12 or (first <= 12 and found[0][2] == "/")
    sign, year = found[0][2], "%Y" if len(found[0][4]) == 4 else "%y"
    time = "" if found[0][5] is None else " %H:%M" if found[0][6] is None else " %H:%M:%S"
    form = sign.join(("%m", "%d", year) if month_first else ("%d", "%m", year)) + time
    doubt = ", or the day first: the values fit both" if first <= 12 and second <= 12 and sign != "." else ""
    return f"format={form!r}{doubt}"


def _amount(cells: list[str]) -> str | None:
    """A value that is a number with a sign of money or percent, if all are that or plain numbers."""
    telling = next((cell for cell in cells if _AMOUNT.fullmatch(cell)), None)
    fits = telling and all(_AMOUNT.fullmatch(cell) or _PLAIN.fullmatch(cell) for cell in cells)
    return telling if fits else None


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(name or "the unnamed column" for name in names[:_MAX_NAMED]) + more
