"""Which files the code of a session opens, and where they are now.

The working folder belongs to the code, so it is read as a stranger's: by descriptor, no link followed anywhere, regular
files with one name only.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from kernel_manager.errors import StorageError
from kernel_manager.files.shelf import Shelf, ShelfEntry
from kernel_manager.sessions.history import Cell
from notebooks_export.code import Load, literals, loads
from notebooks_export.surroundings import DataFile

#: Files of one export; more are named as missing.
MAX_FILES = 200
#: Where files that were handed in lie, beside the notebook.
FOLDER = "files"


@dataclass(frozen=True, slots=True)
class DataFiles:
    """The files that the cells open: those there are, names of those there are not, and the calls that open them."""

    found: tuple[DataFile, ...] = ()
    missing: tuple[str, ...] = ()
    loads: tuple[Load, ...] = ()


def data_files(cells: Sequence[Cell], shelf_folder: Path | None, workspace: Path | None) -> DataFiles:
    """Find what the cells load, among the files handed in (``shelf_folder``) and in the working folder.

    A file that an earlier cell wrote is not looked for: the notebook writes it again.
    """
    return _Search(_shelf_entries(shelf_folder), shelf_folder, workspace).run(cells)


def _shelf_entries(folder: Path | None) -> list[ShelfEntry]:
    if folder is None:
        return []
    with suppress(StorageError):
        return Shelf(folder, 0).entries()
    return []


class _Search:
    def __init__(self, entries: list[ShelfEntry], shelf: Path | None, workspace: Path | None) -> None:
        self._entries = entries
        self._shelf = shelf
        self._workspace = workspace
        self._found: dict[str, DataFile] = {}
        self._missing: dict[str, None] = {}
        self._loads: list[Load] = []
        self._written: set[str] = set()

    def run(self, cells: Sequence[Cell]) -> DataFiles:
        for cell in cells:
            self._written.update(file.filename for file in cell.files)
            calls, dynamic = loads(cell.code)
            for call in calls:
                self._loads.append(call)
                self._look_for(call.name)
            if dynamic:
                for entry in self._entries:
                    self._look_for(entry.file_id)
            for text in sorted(literals(cell.code) - {call.name for call in calls}):
                if (file := self._in_workspace(text)) is not None:
                    self._add(file)
        return DataFiles(tuple(self._found.values()), tuple(self._missing), tuple(self._loads))

    def _look_for(self, name: str) -> None:
        file = self._on_shelf(name) or self._in_workspace(name)
        if file is not None:
            self._add(file)
        elif _relative(name) not in self._written and len(self._missing) < MAX_FILES:
            self._missing[name] = None

    def _add(self, file: DataFile) -> None:
        if file.place in self._found or len(self._found) < MAX_FILES:
            self._found[file.place] = file
        else:
            self._missing[file.name] = None

    def _on_shelf(self, name: str) -> DataFile | None:
        """The newest file of that name, as ``load_file`` chooses it."""
        names = [entry for entry in reversed(self._entries) if name in (entry.file_id, entry.filename, entry.original_name)]
        if not names or self._shelf is None:
            return None
        entry = names[0]
        size = _size(self._shelf, entry.path)
        if size is None:
            return None
        newest = next(other for other in reversed(self._entries) if other.filename == entry.filename)
        place = entry.filename if newest is entry else f"{entry.file_id}-{entry.filename}"
        return DataFile(
            f"{FOLDER}/{place}",
            entry.filename,
            self._shelf,
            entry.path,
            size,
            entry.file_id,
            entry.original_name,
            entry.created_at,
            entry.expires_at or "",
        )

    def _in_workspace(self, name: str) -> DataFile | None:
        relative = _relative(name)
        if self._workspace is None or relative is None or relative in self._written:
            return None
        size = _size(self._workspace, relative)
        return None if size is None else DataFile(relative, relative, self._workspace, relative, size)


def _relative(name: str) -> str | None:
    """A path as it is relative to the working folder, or None if it leads elsewhere or is none."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\0" in name or not path.parts:
        return None
    return str(path)


def _size(root: Path, path: str) -> int | None:
    try:
        with opened(root, path) as stream:
            return os.fstat(stream.fileno()).st_size
    except OSError:
        return None


@contextmanager
def opened(root: Path, path: str) -> Iterator[BinaryIO]:
    """Open a regular file below ``root`` for reading, with no link followed on the way; raises OSError."""
    *folders, name = PurePosixPath(path).parts
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with ExitStack() as stack:
        descriptor = os.open(root, flags | os.O_DIRECTORY)
        stack.callback(os.close, descriptor)
        for folder in folders:
            descriptor = os.open(folder, flags | os.O_DIRECTORY, dir_fd=descriptor)
            stack.callback(os.close, descriptor)
        descriptor = os.open(name, flags, dir_fd=descriptor)
        stream = stack.enter_context(os.fdopen(descriptor, "rb"))
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            raise OSError(f"{path} is no regular file of its own")
        yield stream
