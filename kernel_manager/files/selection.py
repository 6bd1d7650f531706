"""The files that one session sees when it does not see all of its user's: chosen ones, of one user or of several.

The files stay where they are and whose they are. The session gets a folder of its own with copies of them and a list of its
own, which is what its kernel has as its files; what is not chosen is not there. A file that its owner removes is gone from
the folder with the next :meth:`Selection.refresh`.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from kernel_manager.atomic import write_atomic
from kernel_manager.errors import StorageError
from kernel_manager.files.index import FILE_MODE, INDEX, Index, ShelfEntry, read_index, write_index
from kernel_manager.files.shelf import Shelf, storage_errors

#: Files that one session may have chosen, and their bytes; the latest that fit are there.
MAX_FILES = 100
MAX_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file of some user."""

    user_id: str
    file_id: str


class Selection:
    """See the module. ``record`` is the file that says what is chosen, ``folder`` what the kernel sees.

    ``shelf_of`` gives the folder of a user's files. Whoever changes a selection holds the session's lock; anybody may refresh.
    Methods do their work at once and raise StorageError.
    """

    def __init__(self, record: Path, folder: Path, shelf_of: Callable[[str], Path]) -> None:
        self.folder = folder
        self._record = record
        self._shelf_of = shelf_of

    @property
    def active(self) -> bool:
        """Whether the session sees chosen files only."""
        return self._record.exists()

    def files(self) -> list[FileRef]:
        """Return what is chosen, the earliest first."""
        with storage_errors(self._record.parent):
            try:
                content = json.loads(self._record.read_text("utf-8"))
                return [FileRef(str(user), str(file)) for user, file in content["files"]]
            except FileNotFoundError:
                return []
            except (ValueError, KeyError, TypeError) as exc:
                raise StorageError(f"{self._record} is damaged; remove it and share the session again") from exc

    def choose(self, files: Iterable[FileRef]) -> None:
        """Have the session see these files and no others from now on."""
        kept = list(dict.fromkeys(files))[-MAX_FILES:]
        content = json.dumps({"files": [[file.user_id, file.file_id] for file in kept]})
        with storage_errors(self._record.parent):
            write_atomic(self._record, content)
        self.refresh()

    def add(self, files: Iterable[FileRef]) -> None:
        """Have it see these, too; nothing happens where it sees all of its user's."""
        if self.active:
            self.choose([*self.files(), *files])

    def refresh(self) -> None:
        """Bring folder and list up to date with what the owners still have; nothing happens where nothing is chosen."""
        if not self.active:
            return
        entries = self._entries()
        with storage_errors(self.folder):
            self.folder.mkdir(mode=0o755, exist_ok=True)
            wanted = {entry.path: source for entry, source in entries}
            for path in self.folder.iterdir():
                if path.name not in (*wanted, INDEX):
                    path.unlink(missing_ok=True)
            copied = {name for name, source in wanted.items() if _copied(source, self.folder / name)}
            index = Index([entry for entry, _ in entries if entry.path in copied])
            if self._listed() != index:  # most cells change nothing, and writing waits for the disk
                write_index(self.folder, index)

    def _listed(self) -> Index | None:
        """What the folder's list says now; None if it says nothing that can be read."""
        try:
            return read_index(self.folder) if (self.folder / INDEX).exists() else None
        except StorageError:
            return None

    def _entries(self) -> list[tuple[ShelfEntry, Path]]:
        """The chosen files that are still there, and where their bytes are."""
        shelves: dict[str, dict[str, ShelfEntry]] = {}
        found = []
        for file in self.files():
            shelf = self._shelf_of(file.user_id)
            if file.user_id not in shelves:
                shelves[file.user_id] = {entry.file_id: entry for entry in Shelf(shelf, 0).entries()}
            if (entry := shelves[file.user_id].get(file.file_id)) is not None:
                found.append((entry, shelf / entry.path))
        return _latest_that_fit(found)


def _latest_that_fit(files: list[tuple[ShelfEntry, Path]]) -> list[tuple[ShelfEntry, Path]]:
    kept: list[tuple[ShelfEntry, Path]] = []
    total = 0
    for entry, source in reversed(files):
        if total + entry.size <= MAX_BYTES:
            kept.insert(0, (entry, source))
            total += entry.size
    return kept


def _copied(source: Path, target: Path) -> bool:
    """Have ``target`` be a copy of ``source``, whole or not at all; return whether the source is still there.

    No hard link: whoever opens files for others refuses those that have a second name.
    """
    if target.exists():
        return True
    descriptor, name = tempfile.mkstemp(prefix=".copying-", dir=target.parent.parent)
    os.close(descriptor)
    try:
        shutil.copyfile(source, name, follow_symlinks=False)
        Path(name).chmod(FILE_MODE)
        Path(name).replace(target)
    except FileNotFoundError:
        return False
    finally:
        Path(name).unlink(missing_ok=True)
    return True
