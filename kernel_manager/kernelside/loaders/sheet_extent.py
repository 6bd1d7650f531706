"""How far the cells of an Excel workbook reach, told from its XML before a library makes room for them.

A single stray cell in the last corner of a sheet makes 17 thousand million cells of a file of 5 KB; native code that is
refused the memory for them ends its process.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .source import Source, Unreadable

#: What a sheet has at most whose rows have five digits and whose columns one letter.
_FEW = 26 * 99_999
_MANY = 20_000_000
_SPARSE = 4

_CHUNK = 4 << 20
_OVERLAP = 64
_NO_SHEETS = ("xl/sharedStrings.xml", "xl/styles.xml", "xl/theme/", "xl/drawings/", "xl/charts/")
# Searches for what begins with letters are fast. Whoever quotes in another way than Excel and all libraries is not read here.
_ROW = re.compile(rb'row (?:[^<>]*? )?r="(\d{1,9})')
_WIDE = re.compile(rb'r="([A-Z]{2,3})\d')
_DEEP = re.compile(rb'r="[A-Z]{1,3}(\d{6,9})')
_OTHER_QUOTES = b"r='"
#: Whether any row has more than five digits, or any column more than one letter: a look that costs little.
_FAR = re.compile(rb'r="(?:[A-Z]{0,3}\d{6}|[A-Z]{2,3}\d)')


@dataclass(frozen=True, slots=True)
class Extent:
    """The last row and column of a sheet that are used, and how many cells hold something."""

    rows: int
    columns: int
    filled: int

    @property
    def is_modest(self) -> bool:
        """Whether there are few cells between the first and the last, or not many more than are filled."""
        return self.rows * self.columns <= max(_FEW, min(_SPARSE * self.filled, _MANY))


def largest_extent(source: Source) -> Extent | None:
    """That of the sheet of a workbook in XML that reaches farthest; None if ``source`` is no such, or written oddly.

    Raises :class:`Unreadable` if the file is a ZIP archive that is damaged.
    """
    try:
        with zipfile.ZipFile(source.for_reader()) as archive:
            names = archive.namelist()
            if "xl/workbook.xml" not in names:
                return None
            extents = [_extent(archive, name) for name in names if _may_be_sheet(name)]
    except (zipfile.BadZipFile, zlib.error, EOFError) as exc:
        if not source.head.startswith(b"PK"):
            return None
        raise Unreadable(f"the ZIP archive that it is, is damaged: {exc}") from exc
    except (OSError, ValueError, NotImplementedError, RuntimeError):
        return None
    return max(extents, key=lambda extent: (not extent.is_modest, extent.rows * extent.columns), default=None)


def _may_be_sheet(name: str) -> bool:
    return name.startswith("xl/") and name.endswith(".xml") and not name.startswith(_NO_SHEETS)


def _extent(archive: zipfile.ZipFile, name: str) -> Extent:
    with archive.open(name) as member:
        if not any(_OTHER_QUOTES in text or _FAR.search(text) for text in _pieces(member)):
            return Extent(99_999, 26, 0)
    rows = columns = filled = 0
    with archive.open(name) as member:
        for text in _pieces(member):
            if _OTHER_QUOTES in text:
                raise ValueError(name)
            rows = max(rows, _largest(_ROW, text), _largest(_DEEP, text))
            columns = max(columns, max(map(_number, set(_WIDE.findall(text))), default=26))
            filled += text.count(b"<c ")
    return Extent(rows, columns, filled)


def _pieces(member: Any) -> Iterator[bytes]:
    """The text in blocks that overlap, so that what lies on an edge is whole in one of them."""
    rest = b""
    while chunk := member.read(_CHUNK):
        yield rest + chunk
        rest = chunk[-_OVERLAP:]


def _largest(pattern: re.Pattern[bytes], text: bytes) -> int:
    return max(map(int, pattern.findall(text)), default=0)


def _number(letters: bytes) -> int:
    """The number of a column: 27 of ``AA``."""
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number
