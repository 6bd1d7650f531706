"""Which kind a file is: by its content first, then by its extension."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass

from .dialect import is_table
from .encoding import is_guess
from .kinds import BY_EXTENSION, BYTES, FEATHER, IMAGE, JSON, JSON_LINES, PARQUET, PLAIN_TEXT, SPREADSHEET, TABLE, TEXT, Kind
from .source import Source
from .spreadsheet import OLE_MAGIC, holds_workbook
from .structured import is_json, looks_like_json_lines

_SIGNATURES: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"PAR1", PARQUET),
    (0, b"ARROW1\0\0", FEATHER),
    (0, b"FEA1", FEATHER),
    (0, b"\x89PNG\r\n\x1a\n", IMAGE),
    (0, b"\xff\xd8\xff", IMAGE),
    (0, b"GIF87a", IMAGE),
    (0, b"GIF89a", IMAGE),
    (0, b"II*\0", IMAGE),
    (0, b"MM\0*", IMAGE),
    (0, b"8BPS\0\x01", IMAGE),
    (0, b"\0\0\x01\0", IMAGE),
    (0, b"\0\0\0\x0cjP  \r\n", IMAGE),
    (4, b"ftypavif", IMAGE),
    (8, b"WEBPVP8", IMAGE),
)
_BMP = re.compile(rb"BM.{4}\0{4}.{4}[\x0c\x28\x40\x6c\x7c]\0\0\0", re.DOTALL)

# What is told apart so that the note about bytes can say what they are.
_KNOWN_BYTES = (
    (0, b"%PDF-", "a PDF document"),
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
    (4, b"ftyp", "an MPEG-4 or HEIF file"),
    (0, b"ID3", "MP3 audio"),
    (0, b"OggS", "Ogg audio or video"),
    (8, b"WAVE", "WAV audio"),
)
_IN_ZIP = {
    "word/document.xml": "a Word document",
    "ppt/presentation.xml": "a PowerPoint presentation",
    "xl/workbook.bin": "a binary Excel workbook",
    "META-INF/container.xml": "an EPUB book",
}
_BINARY = (SPREADSHEET, PARQUET, FEATHER, IMAGE)
_TEXT_IMAGES = (".pbm", ".pgm", ".ppm", ".pnm", ".xbm", ".xpm")
_JSON_START = re.compile(r'\s*(\{\s*["}]|\[\s*([\[{"\-\d\]]|true|false|null))')


@dataclass(frozen=True, slots=True)
class Recognised:
    """The kind of a file, what to call it, and whether its content or its name tells."""

    kind: Kind
    label: str
    by: str


def recognise(source: Source, options: Iterable[str] = ()) -> Recognised:
    """What ``source`` is. Damage never fails here: the extension counts then, and the loader says what is wrong.

    ``options`` are the names of what the caller passes on: text has no ``sep=``, so whoever passes that means a table.
    """
    named = BY_EXTENSION.get(source.extension)
    if not source.head:
        return _as_named(named or TEXT)
    if found := _by_signature(source, named):
        return found
    if source.encoding is None:
        return Recognised(BYTES, BYTES.label, "content") if named in (None, TEXT, PLAIN_TEXT) else _as_named(named)
    found = _by_text(source, source.encoding, named)
    if found.kind.load is TEXT.load and set(options) - {"encoding", "errors"}:
        return _as_found(TABLE)
    return found


def _as_named(kind: Kind) -> Recognised:
    return Recognised(kind, kind.label, "name")


def _as_found(kind: Kind) -> Recognised:
    return Recognised(kind, kind.label, "content")


def _by_signature(source: Source, named: Kind | None) -> Recognised | None:
    head = source.head
    if head.startswith(b"PK\x03\x04"):
        return _in_zip(source, named)
    if head.startswith(OLE_MAGIC):
        return _in_ole(source, named)
    for offset, magic, kind in _SIGNATURES:
        # Four letters may also begin a text.
        if head.startswith(magic, offset) and (source.encoding is None or named is kind):
            return _as_found(kind)
    if _BMP.match(head):
        return _as_found(IMAGE)
    for offset, magic, label in _KNOWN_BYTES:
        if head.startswith(magic, offset) and (source.encoding is None or magic == b"%PDF-"):
            return Recognised(BYTES, label, "content")
    return None


def _in_zip(source: Source, named: Kind | None) -> Recognised:
    try:
        with zipfile.ZipFile(source.for_reader()) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return _as_named(named) if named in _BINARY else Recognised(BYTES, "a damaged ZIP archive", "content")
    if "xl/workbook.xml" in names:
        return _as_found(SPREADSHEET)
    label = next((label for member, label in _IN_ZIP.items() if member in names), "a ZIP archive")
    return Recognised(BYTES, label, "content")


def _in_ole(source: Source, named: Kind | None) -> Recognised:
    if named is SPREADSHEET or holds_workbook(source.read()):
        return _as_found(SPREADSHEET)
    return Recognised(BYTES, "an old Office document", "content")


def _by_text(source: Source, encoding: str, named: Kind | None) -> Recognised:
    if named is TEXT or source.extension in _TEXT_IMAGES or (named in _BINARY and is_guess(encoding)):
        return _as_named(named or TEXT)
    if named is JSON_LINES:
        return _as_named(JSON_LINES)
    sample = source.sample(encoding)
    starts_as_json = _JSON_START.match(sample) is not None
    if named is JSON and starts_as_json:
        return _as_named(JSON)
    if starts_as_json and (kind := _json_kind(source, encoding, sample)):
        return _as_found(kind)
    if named is TABLE:
        return _as_named(TABLE)
    if is_table(sample):
        return _as_found(TABLE)
    return _as_named(JSON) if named is JSON else _as_found(TEXT)


def _json_kind(source: Source, encoding: str, sample: str) -> Kind | None:
    if looks_like_json_lines(sample):
        return JSON_LINES
    return JSON if is_json(source.read().decode(encoding, "replace")) else None
