"""``load_file``: what a person calls in a kernel to open a file of theirs."""

from __future__ import annotations

import os
import stat
import sys
import unicodedata
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from .file_index import Listed, read_index
from .file_types import BY_EXTENSION, IMPORT_NAMES, FileType
from .loaders import limited, resolve
from .loaders.conversion import to_table
from .loaders.recognition import BYTES, PLAIN_TEXT, TEXT, Recognised, recognise
from .loaders.source import Source, Unreadable
from .loaders.spreadsheet import is_panic

_FORMS = ("bytes", "text", "path", "table")
_FORCED = {"bytes": Recognised(BYTES, "bytes", "as_"), "text": Recognised(TEXT, "text", "as_")}
_MAX_LISTED = 20
_MAX_REASON = 300
_MAX_SCANNED = 1000


class UnknownFileError(FileNotFoundError):
    """No file of that name is there; the message lists those that are."""


class MissingPackageError(ModuleNotFoundError):
    """A file needs a package that this kernel does not have; ``name`` is what it is imported as."""


class UnreadableFileError(ValueError):
    """A file could not be opened as what it was taken for; the message says what that was, why, and what to do."""


def make_load_file(index_folder: str) -> Callable[..., Any]:
    """The function ``load_file`` for the files listed in the ``index.json`` of ``index_folder``.

    The index is read at each call, so that a file that arrives while the kernel lives is found.
    """
    folder = Path(index_folder)
    said: set[tuple[Path, str]] = set()

    def load_file(name: str | os.PathLike[str], *, as_: str | None = None, **options: Any) -> Any:
        """Open a file: by its name or ``file_id``, or by a path in the working folder. ``list_files()`` shows what there is.

        Of several files with one name the newest is opened. What comes back depends on what is in the file, whatever
        its extension says; gzip, bzip2, xz, Zstandard, LZ4 and Brotli are unpacked on the way:

        - CSV and other delimited text (separator, encoding, decimal comma and header are detected), Excel, OpenDocument,
          SPSS, Stata, SAS, dBase, SQLite, Parquet, Feather, ORC, Avro, JSON lines: a pandas DataFrame
        - JSON, YAML, TOML, XML, INI, plist, BSON, CBOR, MessagePack: Python objects
        - NumPy, MATLAB, HDF5, safetensors: arrays; netCDF, GeoTIFF: xarray; R data: DataFrames and objects
        - images: a Pillow image; audio: (samples, rate); video: metadata and frames
        - PDF, Word, PowerPoint, OpenDocument, EPUB, e-mail: text, tables and metadata
        - geospatial formats: a GeoDataFrame; scientific formats: their field's own object
        - archives: a listing, whose ``load(member)`` opens a member
        - text, Markdown and source code: str
        - anything else: bytes

        ``as_`` forces a form: ``'bytes'`` (as stored), ``'text'``, ``'path'`` (a ``pathlib.Path``), or ``'table'`` (a
        DataFrame, also of JSON or text). Other keyword arguments go to what opens the file:
        ``load_file('a.csv', sep=';')``, ``load_file('b.xlsx', sheet_name='May')``.

        Notes about how a file was read go to stderr, once each. Raises :class:`FileNotFoundError` with a list of what is
        there, :class:`UnreadableFileError`, a :class:`ValueError`, when the file is damaged, and
        :class:`MissingPackageError`, an :class:`ImportError`, when it takes a package that is not installed.
        """
        if as_ is not None and as_ not in _FORMS:
            raise ValueError(f"as_={as_!r}: use one of {', '.join(map(repr, _FORMS))}")
        source = _find(os.fsdecode(name), folder)
        if as_ == "path":
            return source.path
        content = open_source(source, as_, options)
        for note in source.notes:
            if (source.path, note) not in said:
                said.add((source.path, note))
                sys.stderr.write(f"load_file: {source.name}: {note}\n")
        return content

    load_file.__qualname__ = "load_file"
    return load_file


def open_source(source: Source, as_: str | None, options: dict[str, Any]) -> Any:
    """What the file holds, in the form that ``as_`` asks for. Raises what ``load_file`` does."""
    taken_for = _FORCED.get(as_ or "")
    try:
        if taken_for is None:
            taken_for = recognise(source, options)
            _note_type(source, taken_for)
        if not source.head and not taken_for.type.may_be_empty:
            raise Unreadable("it is empty")
        return _load(source, taken_for.type, options, as_table=as_ == "table")
    except ImportError as exc:
        raise MissingPackageError(_missing(source, taken_for, exc), name=exc.name) from None
    except BaseException as exc:
        if not _is_damage(exc, options):
            raise
        raise UnreadableFileError(_unreadable(source, taken_for, exc)) from None


def _load(source: Source, row: FileType, options: dict[str, Any], *, as_table: bool) -> Any:
    if as_table and row.table_loader:
        return resolve(row.table_loader)(source, **options)
    content = limited.load(row.loader, source, options) if row.limited else resolve(row.loader)(source, **options)
    return to_table(source, content) if as_table else content


def _find(name: str, folder: Path) -> Source:
    """The file that ``name`` stands for. Raises :class:`UnknownFileError`."""
    listed = _listed(folder)
    plain = unicodedata.normalize("NFC", name)
    path = Path(os.path.abspath(name))
    match = next((file for file in reversed(listed) if file.is_called(name) or file.is_called(plain)), None)
    if match is None:
        if not name or not os.path.exists(path):
            raise UnknownFileError(_unknown(name, listed))
        return _checked(Source(path, name))
    source = _checked(Source(match.path, match.filename))
    if os.path.exists(path) and not path.samefile(match.path):
        source.note(f"the working folder has a file of this name too; load_file('./{name}') opens that one")
    return source


def _checked(source: Source) -> Source:
    """``source``, if it is a file that can be opened without waiting for somebody to write into it."""
    try:
        mode = source.path.stat().st_mode
    except FileNotFoundError:
        raise UnknownFileError(f"{source.name} is listed, but its file is gone; hand it in again") from None
    except OSError as exc:
        raise UnreadableFileError(f"{source.name} cannot be read: {exc.strerror}") from None
    if stat.S_ISDIR(mode):
        raise UnreadableFileError(f"{source.name} is a folder; name a file in it")
    if not stat.S_ISREG(mode):
        raise UnreadableFileError(f"{source.name} is not a regular file")
    return source


def _unknown(name: str, listed: list[Listed]) -> str:
    names = list(dict.fromkeys([file.filename for file in reversed(listed)] + list(_working_files())))
    if not names:
        return f"there is no file {name!r}, nor any other yet; files that are handed in or that code writes appear here"
    import difflib

    lowered = {other.lower(): other for other in reversed(names)}
    near = [lowered[other] for other in difflib.get_close_matches(name.lower(), lowered, n=5, cutoff=0.6)]
    ordered = list(dict.fromkeys(near + names))
    more = f" and {len(ordered) - _MAX_LISTED} more" if len(ordered) > _MAX_LISTED else ""
    return f"there is no file {name!r}; there are: {', '.join(ordered[:_MAX_LISTED])}{more}"


def _working_files() -> Iterator[str]:
    try:
        with os.scandir() as entries:
            files = [entry.name for entry in islice(entries, _MAX_SCANNED) if entry.is_file() and not entry.name.startswith(".")]
    except OSError:
        return
    yield from sorted(files)


def _listed(folder: Path) -> list[Listed]:
    try:
        return read_index(folder)
    except ValueError as exc:
        raise UnreadableFileError(str(exc)) from None


def _note_type(source: Source, found: Recognised) -> None:
    named = BY_EXTENSION.get(source.extension, PLAIN_TEXT)
    if found.by == "content" and named not in (found.type, PLAIN_TEXT) and named.name != "packed":
        source.note(f"its name ends in {source.extension}, but it holds {found.label}")
    if found.type is BYTES:
        size = source.path.stat().st_size
        source.note(f"load_file has no loader for {found.label}: these are its {size:,} bytes; as_='path' gives the path to it")


def _is_damage(exc: BaseException, options: dict[str, Any]) -> bool:
    """Whether the file is to blame for ``exc``, and not the caller's options."""
    if isinstance(exc, TypeError):
        return not options
    return is_panic(exc) or isinstance(exc, Exception)


def _unreadable(source: Source, taken_for: Recognised | None, exc: BaseException) -> str:
    form = "text" if _is_text(source) and taken_for not in _FORCED.values() else "bytes"
    return f"{source.name}{_what(taken_for)} {_reason(exc)}; load_file({source.name!r}, as_='{form}') gives its {form}"


def _is_text(source: Source) -> bool:
    try:
        return bool(source.head) and source.encoding is not None and not source.compression
    except Exception:  # noqa: BLE001  (what cannot be unpacked is no text)
        return False


def _what(taken_for: Recognised | None) -> str:
    # Without a type it was not read far enough to tell; with a form asked for, nothing was told.
    told = taken_for is not None and taken_for not in _FORCED.values()
    return f" was taken for {taken_for.label} by its {taken_for.by}, but" if taken_for and told else ":"


def _missing(source: Source, taken_for: Recognised | None, exc: ImportError) -> str:
    module = (exc.name or "").partition(".")[0]
    if not module:
        return f"{source.name}{_what(taken_for)} {exc}"
    package = next((name for name, imported in IMPORT_NAMES.items() if imported == module), module)
    how = f"`%pip install {package}` in a cell installs it if your service approves of it, then load the file again"
    return f"{source.name}{_what(taken_for)} the package {package}, which opens it, is not installed; {how}"


def _reason(exc: BaseException) -> str:
    if isinstance(exc, Unreadable):
        return str(exc)
    if isinstance(exc, MemoryError):
        return "the kernel has too little memory for it"
    if isinstance(exc, RecursionError):
        return "it is nested too deeply"
    lines = str(exc).strip().splitlines()
    return f"it cannot be read: {(lines[0] if lines else type(exc).__name__)[:_MAX_REASON]}"
