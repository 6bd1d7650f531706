"""Delimited text: CSV, TSV and their relatives."""

from __future__ import annotations

import csv
import os
import re
import warnings
from pathlib import Path
from typing import Any

from .dialect import WHITESPACE, Dialect, sniff
from .encoding import doubt
from .exact import suspects
from .numerals import ungroup
from .source import Source, Unreadable
from .text_columns import notes_on

_LAYOUT_OPTIONS = {"header", "names", "skiprows", "index_col", "usecols", "comment"}
_NUMERAL_OPTIONS = {"decimal", "thousands"}
_TYPE_OPTIONS = {"dtype", "converters", "dtype_backend"}
_PARTIAL_OPTIONS = {"chunksize", "iterator"}
_MAX_NAMES = 200_000
_MAX_ALIKE = 5_000
_MAX_LINE = 16 << 20
_TAIL_SIZE = 64 * 1024
_FIELDS = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")
_OPEN_QUOTE = re.compile(r"EOF inside string starting at row (\d+)")


def load_table(source: Source, **options: Any) -> Any:
    """A DataFrame. Options are those of ``pandas.read_csv``; they win over what is told from the file."""
    options.pop("compression", None)  # It is unpacked already.
    encodings = (options["encoding"],) if options.get("encoding") else source.encodings()
    dialect = _dialect(source, encodings[0], options)
    if dialect and "header" not in options and "names" not in options:
        _refuse_endless_header(source, encodings[0], dialect)
    frame = _read(source, encodings, {**_keywords(dialect, options), **options})
    if dialect:
        _finish(source, frame, dialect, options)
    return frame


def _dialect(source: Source, encoding: str, options: dict[str, Any]) -> Dialect | None:
    given = [options[name] for name in ("sep", "delimiter") if name in options]
    if any(sep != WHITESPACE and (not isinstance(sep, str) or len(sep) != 1) for sep in given):
        return None
    default = "\t" if source.extension in (".tsv", ".tab") else ","
    sample = source.sample(encoding)
    dialect = sniff(sample, given[0] if given else None, default)
    # Half a line tells the separator and nothing else.
    return dialect.separator_only() if dialect and not source.is_whole and "\n" not in sample else dialect


def _refuse_endless_header(source: Source, encoding: str, dialect: Dialect) -> None:
    """Raise :class:`Unreadable` for names on which pandas would spend minutes: it compares each with all that are like it."""
    names = dialect.layout.names
    if names is None and dialect.layout.body:
        return
    if not names:  # the line is longer than the sample
        names = source.first_line(_MAX_LINE).decode(encoding, "replace").split(dialect.sep)
    alike = len(names) - len(set(names))
    if len(names) > _MAX_NAMES:
        raise Unreadable(f"its first line has {len(names):,} fields, too many for a table; as_='text' gives them")
    if alike > _MAX_ALIKE:
        raise Unreadable(f"its first line has {len(names):,} fields, {alike:,} of them alike; header=None numbers the columns")


def _keywords(dialect: Dialect | None, options: dict[str, Any]) -> dict[str, Any]:
    """What the file shows about itself, where ``options`` leave it open."""
    if dialect is None:
        return {}
    keywords: dict[str, Any] = {} if "delimiter" in options else {"sep": dialect.sep}
    if dialect.skipinitialspace:
        keywords["skipinitialspace"] = True
    if dialect.numerals.decimal != "." and not _NUMERAL_OPTIONS & options.keys():
        keywords["decimal"] = dialect.numerals.decimal
    if not _LAYOUT_OPTIONS & options.keys():
        keywords.update(dialect.layout_keywords())
        if dialect.codes and not _TYPE_OPTIONS & options.keys():
            keywords["dtype"] = dict.fromkeys(dialect.code_columns(), str)
    return keywords


def _read(source: Source, encodings: tuple[str, ...], keywords: dict[str, Any]) -> Any:
    for encoding in encodings:
        try:
            frame = _read_as(source, encoding, keywords)
        except UnicodeDecodeError:
            if encoding == encodings[-1]:
                raise
            continue
        if "encoding" not in keywords and (note := doubt(encoding)):
            source.note(note)
        return frame
    raise AssertionError("there is always an encoding")


def _read_as(source: Source, encoding: str, keywords: dict[str, Any]) -> Any:
    import pandas as pd

    try:
        frame = _parse(source, {"encoding": encoding, "compression": None, **keywords})
    except pd.errors.EmptyDataError as exc:
        raise Unreadable("it holds no table") from exc
    except pd.errors.ParserError as exc:
        raise Unreadable(_explain(str(exc))) from exc
    if not (_TYPE_OPTIONS - {"dtype"} | _PARTIAL_OPTIONS) & keywords.keys():
        return _with_digits(source, frame, {"encoding": encoding, "compression": None, **keywords})
    return frame


def _with_digits(source: Source, frame: Any, keywords: dict[str, Any]) -> Any:
    """``frame``, its ids exact: floats, which pandas makes of integers where one is missing, have sixteen digits."""
    given = keywords.get("dtype", {})
    if not isinstance(given, dict) or not frame.columns.is_unique:
        return frame
    names = [name for name in frame.columns[suspects(frame)] if name not in given]
    if not names:
        return frame
    try:
        exact = _parse(source, {**keywords, "dtype": {**given, **dict.fromkeys(names, "Int64")}})
    except (TypeError, ValueError):
        return frame
    source.note(f"{', '.join(map(str, names))}: integers with gaps, read as Int64 because floats would change their last digits")
    return exact


def _parse(source: Source, keywords: dict[str, Any]) -> Any:
    # The C engine of pandas reads a large file from its path with several threads and is then faster than the
    # pyarrow engine, which takes "2024-01-31" for a date, 0x1F for 31 and rounds integers beyond 64 bits.
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.DtypeWarning)
        try:
            return pd.read_csv(source.for_reader(), **keywords)
        except pd.errors.DtypeWarning:
            # Blocks of one column came out as different types: read the column as a whole.
            return pd.read_csv(source.for_reader(), **{**keywords, "low_memory": False})


def _explain(message: str) -> str:
    if match := _FIELDS.search(message):
        expected, line, seen = match.groups()
        return f"line {line} has {seen} fields where {expected} were expected; on_bad_lines='skip' leaves such lines out"
    if match := _OPEN_QUOTE.search(message):
        return f"a quoted field that begins in row {match[1]} never ends; quoting=3 takes quotes for text"
    return message.removeprefix("Error tokenizing data. C error: ").strip()


def _finish(source: Source, frame: Any, dialect: Dialect, options: dict[str, Any]) -> None:
    """Convert grouped numbers, and note what was decided about the file without asking."""
    if not _LAYOUT_OPTIONS & options.keys():
        _note_layout(source, dialect, options)
    if dialect.numerals.note and not _NUMERAL_OPTIONS & options.keys():
        source.note(dialect.numerals.note)
    own = (_NUMERAL_OPTIONS | _TYPE_OPTIONS | _PARTIAL_OPTIONS) & options.keys()
    if dialect.numerals.grouped and not own and (names := ungroup(frame, dialect.numerals.decimal)):
        source.note(f"thousands separators were taken out of {', '.join(names)}; dtype=str keeps them")
    if not options and dialect.layout.names and not dialect.layout.surplus:
        for note in notes_on(dialect.layout.names, [row.cells for row in dialect.layout.body]):
            source.note(note)
    if not options and _is_cut_off(source, dialect):
        source.note(f"its last line has fewer than {dialect.width} fields: the file may be cut off")


def _note_layout(source: Source, dialect: Dialect, options: dict[str, Any]) -> None:
    for note in dialect.layout.notes():
        source.note(note)
    if dialect.short:
        source.note(f"{dialect.short} of its rows have fewer fields than there are names: their last columns are empty")
    if (codes := dialect.code_columns()) and not _TYPE_OPTIONS & options.keys():
        source.note(f"leading zeros are kept as text in {', '.join(map(str, codes))}; dtype= changes it")


def _is_cut_off(source: Source, dialect: Dialect) -> bool:
    """Whether a file of regular rows ends in the middle of one."""
    if source.compression or not dialect.regular or (source.encoding or "").startswith(("utf-16", "utf-32")):
        return False
    lines = _tail(source.path).splitlines(keepends=True)
    last = lines[-1] if len(lines) > 1 else ""
    if not last or last.endswith(("\n", "\r")) or '"' in last:
        return False
    fields = last.split() if dialect.sep == WHITESPACE else next(csv.reader([last], delimiter=dialect.sep))
    return len(fields) < dialect.width


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(-min(_TAIL_SIZE, path.stat().st_size), os.SEEK_END)
        return file.read().decode("latin-1")
