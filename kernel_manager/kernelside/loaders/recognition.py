"""Which type a file is: by its content first, then by its extension."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass

from ..file_types import BY_EXTENSION, BY_NAME, FileType
from . import text_forms
from .dialect import is_table
from .encoding import is_guess
from .signatures import SIBLINGS, by_signature
from .source import Source
from .spreadsheet import OLE_MAGIC, holds_workbook
from .structured import is_json, looks_like_json_lines

BYTES, TEXT, PLAIN_TEXT, TABLE, PAGE = (BY_NAME[name] for name in ("bytes", "text", "plain text", "table", "web page"))

_VAGUE = (TEXT, PLAIN_TEXT, PAGE)
_TEXT_IMAGES = (".pbm", ".pgm", ".ppm", ".pnm", ".xbm", ".xpm")
_JSON_START = re.compile(r'\s*(\{\s*["}]|\[\s*([\[{"\-\d\]]|true|false|null))')
_JSON_LIKE = frozenset({"json", "json5", "geojson", "notebook", "gltf", "yaml"})

# A member that only one type has → that type, in this order.
_IN_ZIP = (
    ("xl/workbook.xml", "spreadsheet"),
    ("xl/workbook.bin", "spreadsheet"),
    ("word/document.xml", "word"),
    ("ppt/presentation.xml", "powerpoint"),
    ("META-INF/container.xml", "epub"),
    ("3D/3dmodel.model", "3mf"),
    ("doc.kml", "kmz"),
    (".zgroup", "zarr"),
    (".zarray", "zarr"),
    ("zarr.json", "zarr"),
)
_OPENDOCUMENT = "application/vnd.oasis.opendocument."
_ZIPPED = frozenset({
    "spreadsheet", "opendocument sheet", "word", "powerpoint", "opendocument", "epub", "3mf", "kmz", "zarr", "npz", "zip",
    "shapefile",
})  # fmt: skip
_OLD_OFFICE = (("WordDocument", "an old Word document"), ("PowerPoint Document", "an old PowerPoint presentation"))


@dataclass(frozen=True, slots=True)
class Recognised:
    """The type of a file, what to call it, and whether its content or its name tells."""

    type: FileType
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
        return _binary(source, named)
    found = _by_text(source, source.encoding, named)
    if found.type in _VAGUE and set(options) - {"encoding", "errors"}:
        return _as_found("table")
    return found


def _as_named(row: FileType) -> Recognised:
    return Recognised(row, row.label, "name")


def _as_found(name: str) -> Recognised:
    return Recognised(BY_NAME[name], BY_NAME[name].label, "content")


def _by_signature(source: Source, named: FileType | None) -> Recognised | None:
    if source.head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _in_zip(source, named)
    if source.head.startswith(OLE_MAGIC):
        return _in_ole(source, named)
    name = by_signature(source)
    if name is None:
        return None
    if named is not None and (named.name == name or named.name in SIBLINGS.get(name, ())):
        return _as_named(named)
    return _as_found(name)


def _in_zip(source: Source, named: FileType | None) -> Recognised:
    try:
        with zipfile.ZipFile(source.for_reader()) as archive:
            names = archive.namelist()
            mimetype = archive.read("mimetype")[:100].decode("latin-1") if "mimetype" in names else ""
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError):
        return _as_named(named) if named and named.name in _ZIPPED else Recognised(BYTES, "a damaged ZIP archive", "content")
    if mimetype.startswith(_OPENDOCUMENT):
        return _as_found("opendocument sheet" if "spreadsheet" in mimetype else "opendocument")
    members = set(names)
    found = next((name for member, name in _IN_ZIP if member in members), None) or _by_members(names)
    if found == "zip" and named is not None and named.kind == "archive":
        return _as_named(BY_NAME["zip"])
    return _as_found(found)


def _by_members(names: list[str]) -> str:
    files = [name.lower() for name in names if not name.endswith("/")]
    if files and all(name.endswith(".npy") for name in files):
        return "npz"
    if any(name.endswith((".zgroup", ".zarray", "/zarr.json")) for name in files):
        return "zarr"
    if sum(name.endswith(".shp") for name in files) == 1 and any(name.endswith(".dbf") for name in files):
        return "shapefile"
    return "kmz" if len(files) == 1 and files[0].endswith(".kml") else "zip"


def _in_ole(source: Source, named: FileType | None) -> Recognised:
    data = source.read()
    if (named is not None and named.name == "spreadsheet") or holds_workbook(data):
        return _as_found("spreadsheet")
    if "__properties_version1.0".encode("utf-16-le") in data:
        return _as_found("outlook")
    label = next((label for stream, label in _OLD_OFFICE if stream.encode("utf-16-le") in data), "an old Office document")
    return _as_named(named) if named and named.name == "outlook" else Recognised(BYTES, label, "content")


def _binary(source: Source, named: FileType | None) -> Recognised:
    if (named is None or named in _VAGUE or named is TABLE) and (label := _guess(source.head)):
        return label
    if named is not None and named not in _VAGUE and not (named.name == "packed" and not source.compression):
        return _as_named(BYTES if named.name == "packed" else named)
    return Recognised(BYTES, BYTES.label, "content")


def _guess(head: bytes) -> Recognised | None:
    """What puremagic makes of it, if it is sure."""
    try:
        import puremagic
    except ImportError:  # It only makes the note about unknown bytes better.
        return None
    try:
        best = puremagic.magic_string(head)[0]
    except (puremagic.PureError, ValueError, IndexError):
        return None
    if best.confidence < 0.8:
        return None
    row = BY_EXTENSION.get(best.extension)
    if row is not None and row not in _VAGUE and row.name not in text_forms.TEXTUAL:
        return Recognised(row, row.label, "content")
    return Recognised(BYTES, f"{best.name or best.extension}", "content")


def _by_text(source: Source, encoding: str, named: FileType | None) -> Recognised:
    if named in (TEXT, PAGE) or source.extension in _TEXT_IMAGES:
        return _as_named(named or TEXT)
    if named is not None and named.name not in text_forms.TEXTUAL and named not in (TABLE, PLAIN_TEXT) and is_guess(encoding):
        return _as_named(named)
    sample = source.sample(encoding)
    if named is not None and named.kind == "table" and _is_page(sample):
        return _as_found("html table" if text_forms.is_web_page_of_tables(sample) else "web page")
    if found := text_forms.by_beginning(sample):
        return _beside(found, named)
    starts_as_json = _JSON_START.match(sample) is not None
    if named is not None and named.name in text_forms.TEXTUAL and (named.name != "json" or starts_as_json):
        return _as_named(BY_NAME["geojson"] if named.name == "json" and text_forms.is_geojson(sample) else named)
    if starts_as_json and (name := _json_name(source, encoding, sample)):
        return _as_found(name)
    if named is TABLE:
        return _as_named(TABLE)
    if is_table(sample):
        return _as_found("table")
    return _as_named(named) if named is not None and named.name == "json" else _as_found("text")


def _is_page(sample: str) -> bool:
    return (
        sample.lstrip("\ufeff \t\r\n")[:200].lower().startswith(("<html", "<!doctype html", "<table", "<meta", "<head", "<style"))
    )


def _beside(found: str, named: FileType | None) -> Recognised:
    """What the text shows, unless its name says something more exact about text of that form."""
    if named is None or named.name not in text_forms.TEXTUAL or named.name == found:
        return _as_found(found)
    general = {"xml", "fasta", "cif", "text", "web page", "jcamp", "gff"}
    return _as_named(named) if found in general else _as_found(found)


def _json_name(source: Source, encoding: str, sample: str) -> str | None:
    if looks_like_json_lines(sample):
        return "json lines"
    if not is_json(source.read().decode(encoding, "replace")):
        return None
    return "geojson" if text_forms.is_geojson(sample) else "json"
