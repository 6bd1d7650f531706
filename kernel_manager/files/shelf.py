"""A user's files as their kernels see them: a folder, and in it a list of what there is."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import secrets
import stat
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import BinaryIO

from kernel_manager.atomic import sync_folder, write_atomic
from kernel_manager.errors import LimitError, StorageError, UsageError

#: The list of the files, which the kernel's ``load_file`` reads.
INDEX = "index.json"
INDEX_VERSION = 1

#: Bytes of a safe name in UTF-8. With the ``file_id`` in front of it, it stays within a file system's 255.
MAX_NAME_BYTES = 200
MAX_ORIGINAL_NAME = 1024

_CHUNK = 1 << 20
_MB = 1 << 20
_MAX_SUFFIX_BYTES = 32

# Kernels may run as another user of the host, and these files are for them to read.
_FOLDER_MODE = 0o755
_FILE_MODE = 0o644

_SEPARATORS = re.compile(r'[/\\:*?"<>|]')
# Marks that turn the direction of writing: with them "exe.csv" can be shown as something else.
_DIRECTION_MARKS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(\..*)?", re.IGNORECASE)

_Read = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class ShelfEntry:
    """A file on the shelf. ``path`` is relative to the shelf's folder, ``size`` in bytes, ``created_at`` ISO 8601 in UTC."""

    file_id: str
    filename: str
    original_name: str
    path: str
    size: int
    created_at: str


class Shelf:
    """The files of one user in one folder, which is made when the first one arrives.

    ``max_file_size`` is in bytes. Any number of shelves, threads and processes may use one folder: nothing is kept
    between calls. Of several files with one name, the name stands for the last one in :meth:`entries`.
    """

    def __init__(self, folder: Path, max_file_size: int) -> None:
        self._folder = folder
        self._max_file_size = max_file_size

    def add(self, path_or_stream: str | os.PathLike[str] | BinaryIO, filename: str) -> ShelfEntry:
        """Copy a file in, and return its entry when its bytes and its place in the list are on disk.

        Raises :class:`UsageError` if the source cannot be read, its subclass :class:`LimitError` if it is too large,
        :class:`StorageError` if the shelf cannot be written. Then nothing of the file stays.
        """
        safe = safe_filename(filename)
        with _opened(path_or_stream, safe) as read, _storage_errors(self._folder):
            self._make_folder()
            file_id = secrets.token_hex(8)
            path = self._folder / f"{file_id}-{safe}"
            size = self._copy(read, path, safe)
            entry = ShelfEntry(file_id, safe, _displayable(filename), path.name, size, datetime.now(UTC).isoformat())
            self._enlist(entry)
        return entry

    def entries(self) -> list[ShelfEntry]:
        """All files, the last added last. Raises :class:`StorageError` if the list cannot be read."""
        with _storage_errors(self._folder):
            return self._read_index()

    def path_of(self, entry: ShelfEntry) -> Path:
        """Where the bytes of ``entry`` are."""
        return self._folder / entry.path

    def _make_folder(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        if stat.S_IMODE(self._folder.stat().st_mode) != _FOLDER_MODE:
            self._folder.chmod(_FOLDER_MODE)

    def _copy(self, read: _Read, path: Path, name: str) -> int:
        """Copy what ``read`` returns to ``path``, which appears when it is whole and on disk. Its size in bytes."""
        descriptor, incoming = tempfile.mkstemp(prefix=".incoming-", dir=self._folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                while chunk := read(_CHUNK):
                    file.write(chunk)
                    self._check_size(file.tell(), name)
                size = file.tell()
                file.flush()
                os.fchmod(descriptor, _FILE_MODE)
                os.fsync(descriptor)
            Path(incoming).replace(path)
        except BaseException:
            Path(incoming).unlink(missing_ok=True)
            raise
        sync_folder(self._folder)
        return size

    def _check_size(self, size: int, name: str) -> None:
        if size > self._max_file_size:
            limit = f"{self._max_file_size / _MB:g} MB"
            raise LimitError(f"{name} is larger than {limit}; hand in a smaller file or raise MAX_FILE_SIZE_MB")

    def _enlist(self, entry: ShelfEntry) -> None:
        try:
            with self._locked():
                files = [*self._read_index(), entry]
                content = {"version": INDEX_VERSION, "files": [asdict(file) for file in files]}
                write_atomic(self._folder / INDEX, json.dumps(content), _FILE_MODE)
        except BaseException:
            self.path_of(entry).unlink(missing_ok=True)
            raise

    def _read_index(self) -> list[ShelfEntry]:
        index = self._folder / INDEX
        try:
            content = json.loads(index.read_text("utf-8"))
            if content["version"] != INDEX_VERSION:
                raise StorageError(f"{index} was written by another version of Threadbook; use that one or remove it")
            return [ShelfEntry(**{field.name: file[field.name] for field in fields(ShelfEntry)}) for file in content["files"]]
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError) as exc:
            raise StorageError(f"{index} is damaged; restore it, or remove it to begin with no files") from exc

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer of the list at a time, among processes and threads; a killed one leaves no lock behind."""
        with (self._folder / ".lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def safe_filename(name: str) -> str:
    """The nearest name that is safe as a file's name on every platform, in a shell and on a screen.

    Unicode is kept, in form NFC. Path separators and what else Windows forbids become ``_``; control characters,
    direction marks, leading dots and dashes go; device names get a ``_``; at most :data:`MAX_NAME_BYTES` bytes, the
    extension kept. Never empty, and a safe name stays as it is.
    """
    text = unicodedata.normalize("NFC", name)
    text = _SEPARATORS.sub("_", _DIRECTION_MARKS.sub("", text))
    text = "".join(" " if character.isspace() else character for character in text if not _is_control(character))
    text = unicodedata.normalize("NFC", " ".join(text.split()).lstrip(".- ").rstrip(". "))
    if _RESERVED.fullmatch(text):
        text = f"_{text}"
    return _shorten(text) or "file"


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs") and not character.isspace()


def _shorten(name: str) -> str:
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    suffix = "".join(PurePath(name).suffixes[-2:])
    if len(suffix.encode()) > _MAX_SUFFIX_BYTES:
        suffix = PurePath(name).suffix
    if len(suffix.encode()) > _MAX_SUFFIX_BYTES:
        suffix = ""
    room = MAX_NAME_BYTES - len(suffix.encode())
    return name.removesuffix(suffix).encode()[:room].decode(errors="ignore").rstrip(". ") + suffix


def _displayable(name: str) -> str:
    """``name`` without what is no character: a name that is not UTF-8 on disk arrives with lone surrogates."""
    return name[:MAX_ORIGINAL_NAME].encode(errors="replace").decode()


@contextmanager
def _opened(path_or_stream: str | os.PathLike[str] | BinaryIO, name: str) -> Iterator[_Read]:
    """What reads the source. Raises :class:`UsageError` if it cannot be opened, and the reader if it cannot be read."""
    if not isinstance(path_or_stream, (str, os.PathLike)):
        yield _reader(path_or_stream, name)
        return
    path = os.fspath(path_or_stream)
    try:
        # Without O_NONBLOCK a FIFO that nobody writes to would hold the caller here.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError as exc:
        raise UsageError(f"there is no file {path}; check the path") from exc
    except (OSError, ValueError) as exc:
        raise UsageError(f"{path} cannot be read ({_cause(exc)}); check the path and its permissions") from exc
    try:
        _check_regular(os.fstat(descriptor).st_mode, path)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            yield _reader(file, name)
    finally:
        os.close(descriptor)


def _check_regular(mode: int, path: str) -> None:
    if stat.S_ISDIR(mode):
        raise UsageError(f"{path} is a folder; hand in the files in it one by one, or an archive of it")
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path} is not a regular file; copy what it gives into one and hand that in")


def _reader(stream: BinaryIO, name: str) -> _Read:
    def read(size: int) -> bytes:
        try:
            chunk = stream.read(size)
        except OSError as exc:
            raise UsageError(f"{name} cannot be read ({_cause(exc)}); check where it comes from") from exc
        if not isinstance(chunk, bytes):
            raise UsageError(f"{name}: its stream gives no bytes; open it in binary mode")
        return chunk

    return read


@contextmanager
def _storage_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(f"the disk that holds {folder} is full; free some space and try again") from exc
        raise StorageError(f"{folder} cannot be used ({_cause(exc)}); check its owner and permissions") from exc


def _cause(exc: OSError | ValueError) -> str:
    return (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
