"""How a delimited table is written, told from a sample of its text."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from .header import Layout, Row, is_number, lay_out
from .numerals import Numerals, numerals

WHITESPACE = r"\s+"

# The comma comes last: as a decimal sign it is as regular in a file as a separator.
_SEPARATORS = ("\t", ";", "|", ",")
_MAX_ROWS = 400
_MAX_NUMERAL_ROWS = 500
_NAME = re.compile(r"[^\W\d][\w .#%/()\[\]-]{0,40}")
_STATED = re.compile(r"sep=(.)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How to read one table.

    ``regular`` says that all rows but perhaps the last have ``width`` fields; ``codes`` are the positions of columns of
    digits some of which begin with 0, ``short`` says how many rows have fewer fields than there are names.
    """

    sep: str
    width: int
    layout: Layout
    regular: bool = True
    skipinitialspace: bool = False
    numerals: Numerals = field(default_factory=Numerals)
    codes: tuple[int, ...] = ()
    short: int = 0

    def separator_only(self) -> Dialect:
        """This without what it says about lines and numbers."""
        return Dialect(self.sep, self.width, Layout(0, [], []), regular=False)

    def code_columns(self) -> list[str | int]:
        """The names that pandas gives to the columns at ``codes``."""
        names = self.layout.names
        if names is None:
            return list(self.codes)
        return [names[index] for index in self.codes if names[index] and names.count(names[index]) == 1]

    def layout_keywords(self) -> dict[str, Any]:
        """What ``pandas.read_csv`` has to be told about the lines."""
        keywords: dict[str, Any] = {}
        if self.layout.skiprows:
            keywords["skiprows"] = self.layout.skiprows
        if self.layout.names is None:
            keywords["header"] = None
        if self.layout.surplus_is_empty:
            # Without this pandas shifts every value by one column: it takes the first for an index.
            keywords["index_col"] = False
        return keywords


@dataclass(frozen=True, slots=True)
class _Reading:
    """A sample read with one separator: how many fields its rows have, and how large a share of the table's has that many."""

    sep: str
    rows: list[Row]
    width: int
    share: float
    layout: Layout
    spaced: bool

    @property
    def fits(self) -> bool:
        """Whether the separator makes columns, also in the first line of the table."""
        if self.layout.skiprows and (self.spaced or self.share < 0.95 or not self.layout.body):
            return False  # Rather one column of sentences, and its name.
        return self.width > 1 and self.share > 0.5 and self.layout.first_width > 1

    @property
    def merit(self) -> tuple[bool, float]:
        """What makes it the better one of two: it uses the first line of the file, and its rows are regular."""
        return not self.layout.skiprows, round(self.share, 1)


def sniff(sample: str, sep: str | None = None, default: str = ",") -> Dialect | None:
    """The dialect of a text that is a table, ``sep`` being given or not; None if there is nothing in it."""
    lines = list(io.StringIO(sample))
    stated = _STATED.fullmatch(lines[0]) if lines else None
    if stated:
        # What Excel reads and writes as the first line of a CSV; kept as an empty line, so that line numbers stay right.
        lines[0] = "\n"
        sep = sep or stated[1]
    reading = _read(lines, sep) if sep else _best(lines, default)
    return _describe(reading, above=1 if stated else 0) if reading else None


def is_table(sample: str) -> bool:
    """Whether a text that may be anything is a table, beyond reasonable doubt."""
    return _evident(list(io.StringIO(sample))) is not None


def _best(lines: list[str], default: str) -> _Reading | None:
    if evident := _evident(lines):
        return evident
    readings = [reading for sep in _SEPARATORS if (reading := _read(lines, sep))]
    if fitting := [reading for reading in readings if reading.fits]:
        return max(fitting, key=lambda reading: reading.merit)
    if told := _by_names(readings, default):
        return told
    # One column: read it with a separator that does not occur in it.
    readings.sort(key=lambda reading: reading.sep != default)
    return max(readings, key=lambda reading: sum(len(row.cells) == 1 for row in reading.rows), default=None)


def _by_names(readings: list[_Reading], default: str) -> _Reading | None:
    """The reading whose first row are names and whose other rows have its separator, too, however many of them.

    Reading it so fails on the row that is wrong, which is better than one column of whole lines.
    """
    told = [reading for reading in readings if _has_names(reading)]
    return max(told, key=lambda reading: (len(reading.rows[0].cells), reading.sep == default), default=None)


def _has_names(reading: _Reading) -> bool:
    first, *below = (row.cells for row in reading.rows)
    if len(first) < 2 or not all(_NAME.fullmatch(cell) for cell in first) or reading.spaced or not below:
        return False
    return sum(len(cells) > 1 for cells in below) * 2 > len(below)


def _evident(lines: list[str]) -> _Reading | None:
    # read with one that does not occur, a text has a single column, which is evident of nothing
    occurring = [sep for sep in _SEPARATORS if any(sep in line for line in lines)]
    readings = [reading for sep in (*occurring, WHITESPACE) if (reading := _read(lines, sep)) and _is_evident(reading)]
    return max(readings, key=lambda reading: reading.merit, default=None)


def _is_evident(reading: _Reading) -> bool:
    body = [row.cells for row in reading.layout.body]
    if not reading.fits or reading.share < 0.95 or not body or len(reading.rows) < 2:
        return False
    columns = [column for column in itertools.zip_longest(*body, fillvalue="") if any(column)]
    numeric = sum(all(is_number(cell) or not cell for cell in column) for column in columns)
    if reading.sep == WHITESPACE:
        return reading.share == 1 and numeric * 2 > len(columns)
    if reading.sep == ",":
        # Sentences have commas too, but with a space behind them.
        return len(columns) > 1 and (numeric > 0 or (len(body) > 1 and not reading.spaced))
    return len(columns) > 1


def _read(lines: list[str], sep: str) -> _Reading | None:
    rows = list(itertools.islice(_rows(lines, sep), _MAX_ROWS))
    if not rows:
        return None
    widths = Counter(len(row.cells) for row in rows if len(row.cells) > 1) or Counter({1: len(rows)})
    width = widths.most_common(1)[0][0]
    layout = lay_out(rows, width)
    table = [row for row in rows if row.line >= layout.skiprows]
    share = sum(len(row.cells) == width for row in table) / len(table)
    return _Reading(sep, rows, width, share, layout, _is_spaced(lines[table[0].line], sep))


def _rows(lines: list[str], sep: str) -> Iterator[Row]:
    if sep == WHITESPACE:
        reader = csv.reader((" ".join(line.split()) for line in lines), delimiter=" ")
    else:
        reader = csv.reader(lines, delimiter=sep, skipinitialspace=True)
    begin = 0
    try:
        for cells in reader:
            if cells:
                yield Row(begin, cells)
            begin = reader.line_num
    except csv.Error:
        return  # A field beyond the module's limit: what came before it has to do.


def _describe(reading: _Reading, above: int) -> Dialect:
    layout = reading.layout
    if above and not layout.skiprows:
        layout = replace(layout, skiprows=above)
    body = [row.cells for row in layout.body]
    cells = itertools.chain.from_iterable(body[:_MAX_NUMERAL_ROWS])
    return Dialect(
        sep=reading.sep,
        width=reading.width,
        layout=layout,
        regular=all(len(cells) == reading.width for cells in body[:-1]),
        skipinitialspace=reading.spaced,
        numerals=numerals(cells, reading.sep),
        codes=() if layout.surplus > 0 else _codes(body),
        short=sum(len(cells) < len(layout.names) for cells in body) if layout.names and not layout.surplus else 0,
    )


def _is_spaced(line: str, sep: str) -> bool:
    """Whether every separator in ``line`` is followed by a space, which then belongs to no field."""
    behind = [rest[:1] for rest in line.rstrip("\n").split(sep)[1:]]
    return sep != WHITESPACE and bool(behind) and all(character == " " for character in behind)


def _codes(body: list[list[str]]) -> tuple[int, ...]:
    columns = itertools.zip_longest(*body, fillvalue="")
    return tuple(index for index, column in enumerate(columns) if _is_codes([cell for cell in column if cell]))


def _is_codes(cells: list[str]) -> bool:
    return all(map(str.isdecimal, cells)) and any(len(cell) > 1 and cell[0] == "0" for cell in cells)
