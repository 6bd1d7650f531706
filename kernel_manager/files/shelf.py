"""A user's files as their kernels see them: a folder, and in it a list of what there is."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from kernel_manager.atomic import sync_folder
from kernel_manager.errors import LimitError, StorageError
from kernel_manager.files.file_lock import try_lock
from kernel_manager.files.index import FILE_MODE, INDEX, Index, ShelfEntry, read_index, write_index
from kernel_manager.files.mime import mime_type
from kernel_manager.files.names import displayable, safe_filename
from kernel_manager.files.sources import CHUNK, cause, opened

__all__ = ["INDEX", "Incoming", "Shelf", "ShelfEntry", "storage_errors"]

#: Beside the shelves, not in them: a kernel that can open a lock's file could hold the lock.
LOCKS = ".locks"

_MB = 1 << 20
_INCOMING = ".incoming-"
# Kernels may run as another user of the host, and these files are for them to read.
_FOLDER_MODE = 0o755


class Incoming:
    """A file on its way onto a shelf, which nobody sees before it is placed.

    Its file is locked as long as it is being written, so that one that a killed process left can be told from it.
    """

    def __init__(self, folder: Path, name: str, max_size: int) -> None:
        self._folder = folder
        self._name = name
        self._max_size = max_size
        descriptor, path = tempfile.mkstemp(prefix=_INCOMING, dir=folder)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        self._file = os.fdopen(descriptor, "wb")
        self._path = Path(path)
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises LimitError when they are too many, OSError."""
        self.size += len(chunk)
        if self.size > self._max_size:
            limit = f"{self._max_size / _MB:g} MB"
            raise LimitError(f"{self._name} is larger than {limit}; hand in a smaller file or raise MAX_FILE_SIZE_MB")
        self._file.write(chunk)

    def place(self, filename: str) -> None:
        """Give the file its name, whole and on disk. Raises OSError."""
        self._file.flush()
        os.fchmod(self._file.fileno(), FILE_MODE)
        os.fsync(self._file.fileno())
        self._path = self._path.replace(self._folder / filename)
        sync_folder(self._folder)
        self._file.close()

    def discard(self) -> None:
        """Remove what there is of it, unless it was placed."""
        if not self._file.closed:
            self._path.unlink(missing_ok=True)
            with suppress(OSError):  # what is still in the buffer has no place
                self._file.close()


class Shelf:
    """The files of one user in one folder, which is made when the first one arrives.

    ``max_file_size`` is in bytes. Any number of shelves, threads and processes may use one folder: nothing is kept
    between calls. Of several files with one name, the name stands for the last one in :meth:`entries`.
    """

    def __init__(self, folder: Path, max_file_size: int) -> None:
        self.folder = folder
        self._max_file_size = max_file_size

    def add(self, path_or_stream: str | os.PathLike[str] | BinaryIO, filename: str) -> ShelfEntry:
        """Copy a file in, and return its entry when its bytes and its place in the list are on disk.

        Raises :class:`UsageError` if the source cannot be read, its subclass :class:`LimitError` if it is too large,
        :class:`StorageError` if the shelf cannot be written. Then nothing of the file stays.
        """
        with opened(path_or_stream, safe_filename(filename)) as read, storage_errors(self.folder):
            incoming = self.incoming(filename)
            try:
                while chunk := read(CHUNK):
                    incoming.write(chunk)
                entry = new_entry(filename, incoming.size, datetime.now(UTC), None)
                incoming.place(entry.path)
            finally:
                incoming.discard()
            try:
                self.change(lambda index: replace(index, files=[*index.files, entry]))
            except BaseException:
                self.path_of(entry).unlink(missing_ok=True)
                raise
        return entry

    def entries(self) -> list[ShelfEntry]:
        """All files, the last added last. Raises :class:`StorageError` if the list cannot be read."""
        return self.index().files

    def index(self) -> Index:
        """The whole list. Raises :class:`StorageError` if it cannot be read."""
        with storage_errors(self.folder):
            return read_index(self.folder)

    def path_of(self, entry: ShelfEntry) -> Path:
        """Where the bytes of ``entry`` are."""
        return self.folder / entry.path

    # --- in steps; each raises OSError or StorageError -------------------------------------------------------------

    def incoming(self, filename: str) -> Incoming:
        """Begin to take a file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if stat.S_IMODE(self.folder.stat().st_mode) != _FOLDER_MODE:
            self.folder.chmod(_FOLDER_MODE)
        return Incoming(self.folder, safe_filename(filename), self._max_file_size)

    def enlist(self, entry: ShelfEntry) -> None:
        """Put a file that was placed on the list, where its age belongs, or change what the list says of it."""
        self.change(lambda index: replace(index, files=_with(index, entry)))

    def delist(self, file_id: str) -> None:
        """Take a file off the list; its bytes stay."""
        self.change(lambda index: replace(index, files=_without(index, file_id)))

    def change(self, changed: Callable[[Index], Index]) -> None:
        """Change the list; one writer at a time, among processes and threads. A killed one leaves no lock behind."""
        locks = self.folder.parent / LOCKS
        locks.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(locks / f"{self.folder.name}.index", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            before = read_index(self.folder)
            if (after := changed(before)) != before:
                write_index(self.folder, after)
        finally:
            os.close(descriptor)

    def bytes_there(self) -> dict[str, int]:
        """The files in the folder by name, with their sizes; what is being written and the list are left out."""
        found = {}
        with suppress(FileNotFoundError), os.scandir(self.folder) as listed:
            for entry in listed:
                if not entry.name.startswith(".") and entry.name != INDEX and entry.is_file(follow_symlinks=False):
                    found[entry.name] = entry.stat(follow_symlinks=False).st_size
        return found

    def abandoned(self) -> list[Path]:
        """What processes that were killed had begun to write."""
        return [path for path in self.folder.glob(f"{_INCOMING}*") if _is_abandoned(path)]


def new_entry(filename: str, size: int, created_at: datetime, expires_at: datetime | None) -> ShelfEntry:
    """Return the entry of a new file, with a new id."""
    safe, file_id = safe_filename(filename), secrets.token_hex(8)
    expires = None if expires_at is None else expires_at.isoformat()
    path = f"{file_id}-{safe}"
    return ShelfEntry(file_id, safe, displayable(filename), path, size, created_at.isoformat(), expires, mime_type(safe))


@contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """Turn errors of the system into StorageError."""
    try:
        yield
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(f"the disk that holds {folder} is full; free some space and try again") from exc
        raise StorageError(f"{folder} cannot be used ({cause(exc)}); check its owner and permissions") from exc


def _with(index: Index, entry: ShelfEntry) -> list[ShelfEntry]:
    if any(other.file_id == entry.file_id for other in index.files):
        return [entry if other.file_id == entry.file_id else other for other in index.files]
    return sorted([*index.files, entry], key=lambda other: other.created_at)


def _without(index: Index, file_id: str) -> list[ShelfEntry]:
    return [entry for entry in index.files if entry.file_id != file_id]


def _is_abandoned(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return try_lock(descriptor)
    finally:
        os.close(descriptor)
