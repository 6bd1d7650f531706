"""Where a delimited table begins, and whether its first line names the columns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)*|[.,]\d+)([eE][+-]?\d+)?")
_DECIMAL = re.compile(r"[+-]?\d+([.,]\d+)?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([ T].*)?")
_MISSING = frozenset({"-", "--", ".", "?", "na", "n/a", "nan", "none", "null", "nil", "#n/a", "missing", "unknown", "nd"})
_MAX_PREAMBLE = 50
_MIN_BODY = 3
_YEARS = range(1800, 2201)


@dataclass(frozen=True, slots=True)
class Row:
    """The fields of one record, and the number of the line, from 0, on which it begins."""

    line: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of a table are.

    ``skiprows`` counts the lines above it. ``names`` are the column names as written, or None if the first line is
    data. ``body`` are the rows below them. ``surplus`` says how many fields more the rows have than there are names,
    ``surplus_is_empty`` that those at the end hold nothing.
    """

    skiprows: int
    names: list[str] | None
    body: list[Row]
    surplus: int = 0
    surplus_is_empty: bool = False
    preamble: str = ""

    @property
    def first_width(self) -> int:
        """The number of fields of the table's first line."""
        return len(self.names if self.names is not None else self.body[0].cells)

    @property
    def has_second_header(self) -> bool:
        """Whether the first row below the names is no data: it is text where all others are numbers."""
        if self.names is None or len(self.body) < _MIN_BODY:
            return False
        first, below = self.body[0].cells, [row.cells for row in self.body[1:]]
        numeric = [index for index in range(len(first)) if _is_numeric(below, index)]
        over_numbers = [first[index] for index in numeric if first[index]]
        return len(over_numbers) * 2 > len(numeric) and not any(is_number(cell) or _is_missing(cell) for cell in over_numbers)

    def notes(self) -> list[str]:
        """What a person has to know about these decisions."""
        notes = []
        if self.preamble:
            notes.append(f"the {self.skiprows} line(s) above the table were left out ({self.preamble!r}…); skiprows=0 keeps them")
        if self.names is None:
            notes.append("it has no header line, so the columns are numbered; header=0 takes the first line for one")
        if self.surplus > 0 and not self.surplus_is_empty:
            notes.append(f"its rows have {self.surplus} field(s) more than the header has names: the first became the index")
        elif self.has_second_header:
            below = f", skiprows={self.skiprows}" if self.skiprows else ""
            notes.append(
                f"the line below its names is text above numbers, units or names perhaps; header=[0, 1]{below} takes both"
            )
        if self.surplus < 0:
            notes.append(f"its rows have {-self.surplus} field(s) less than the header has names: the last columns are empty")
        return notes


def lay_out(rows: list[Row], width: int) -> Layout:
    """The layout of a table most of whose ``rows``, of which there is at least one, have ``width`` fields."""
    start = _start(rows, width)
    first, below = rows[start].cells, rows[start + 1 :]
    skiprows = rows[start].line if start else 0
    preamble = next((cell for cell in rows[0].cells if cell), "")[:40] if start else ""
    if _is_data(first, below):
        return Layout(skiprows, None, rows[start:], preamble=preamble)
    # Fields beyond the names make pandas take the first column for an index; the first row below them decides.
    longest = max(width, len(below[0].cells)) if below else width
    surplus = longest - len(first) if below else 0
    return Layout(skiprows, first, below, surplus, surplus > 0 and _ends_empty(below, longest, surplus), preamble)


def is_number(cell: str) -> bool:
    """Whether a field is a number, with a decimal point or comma."""
    return _NUMBER.fullmatch(cell.strip()) is not None


def _start(rows: list[Row], width: int) -> int:
    """The index of the table's first row: below a title, and below comments that do not have its columns."""
    for index, row in enumerate(rows[:_MAX_PREAMBLE]):
        if not _is_above(row.cells, width) and not _is_comment(rows, index):
            commented = index > 0 and all(above.cells[0].startswith("#") for above in rows[:index])
            return index if commented or _is_labels(row.cells) else 0
    return 0


def _is_comment(rows: list[Row], index: int) -> bool:
    """Whether a row that begins with ``#`` has another below it: only the last one can name the columns."""
    return all(row.cells[0].startswith("#") for row in rows[index : index + 2]) and index + 1 < len(rows)


def _is_above(cells: list[str], width: int) -> bool:
    if width < 2:
        return False
    if cells[0].startswith("#") and len(cells) != width:
        return True
    if len(cells) == 1:
        # One word above two columns is rather the name of one column whose values have commas.
        return width > 2 or " " in cells[0]
    # A spreadsheet program pads a title with empty fields.
    return not any(cells) or (width > 2 and not any(cells[1:]))


def _is_labels(cells: list[str]) -> bool:
    """Whether these can be column names; the first may be missing, as that of an index is."""
    return all(cells[1:]) and not any(is_number(cell) for cell in cells)


def _is_data(first: list[str], below: list[Row]) -> bool:
    """Whether the first row is not the names of the columns: it has numbers where they do, and nothing but."""
    if _is_numbering(first):
        return False
    if all(_is_value(cell) for cell in first):
        return not below or all(_is_value(cell) or not cell for cell in below[0].cells)
    cells = [row.cells for row in below]
    numeric = [index for index in range(len(first)) if _is_numeric(cells, index)]
    numbers = [first[index] for index in numeric]
    if not all(first) or not numbers or not all(_is_value(cell) for cell in numbers) or _is_numbering(numbers):
        return False
    return not _is_scale(numbers, numeric)


def _is_numeric(rows: list[list[str]], index: int) -> bool:
    """Whether a column is numbers or dates wherever it is filled, and it is somewhere."""
    cells = [cells[index] for cells in rows if index < len(cells) and cells[index]]
    return bool(cells) and all(_is_value(cell) for cell in cells)


def _is_scale(numbers: list[str], positions: list[int]) -> bool:
    """Whether numbers side by side rise, as doses, times or distances do that name columns."""
    together = positions == list(range(positions[0], positions[0] + len(positions)))
    values = [float(cell.replace(",", ".")) if _DECIMAL.fullmatch(cell.strip()) else None for cell in numbers]
    known = [value for value in values if value is not None]
    return together and len(known) == len(values) > 1 and all(low < high for low, high in pairwise(known))


def _is_missing(cell: str) -> bool:
    return cell.strip().lower() in _MISSING


def _is_value(cell: str) -> bool:
    return is_number(cell) or _DATE.fullmatch(cell.strip()) is not None


def _is_numbering(cells: list[str]) -> bool:
    """Whether numbers are names: 0, 1, 2 … as pandas writes them, or years."""
    if not all(cell.strip().isdecimal() for cell in cells):
        return False
    numbers = [int(cell) for cell in cells]
    if len(set(numbers)) < len(numbers):
        return False
    return numbers == list(range(len(numbers))) or all(number in _YEARS for number in numbers)


def _ends_empty(body: list[Row], width: int, surplus: int) -> bool:
    return not any(any(row.cells[-surplus:]) for row in body if len(row.cells) == width)
