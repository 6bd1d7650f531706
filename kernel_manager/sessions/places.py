"""Where things of sessions lie on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kernel_manager.errors import StorageError
from kernel_manager.files.selection import Selection
from kernel_manager.sessions.names import check_id, folder_name


@dataclass(frozen=True, slots=True)
class SessionPlaces:
    """The folder of one session and what is in it."""

    folder: Path

    @property
    def user_folder(self) -> str:
        """The name of the user's folder."""
        return self.folder.parent.name

    @property
    def session_folder(self) -> str:
        """The name of the session's folder."""
        return self.folder.name

    @property
    def workspace(self) -> Path:
        """The working folder of the session's code."""
        return self.folder / "workspace"

    @property
    def selection(self) -> Path:
        """Which files the session sees, if not all of its user's."""
        return self.folder / "selection.json"

    @property
    def files(self) -> Path:
        """Those files, as the kernel sees them."""
        return self.folder / "files"

    @property
    def history(self) -> Path:
        """The append-only log."""
        return self.folder / "history.jsonl"

    @property
    def lock(self) -> Path:
        """Held by whoever drives the session."""
        return self.folder / "lock"

    @property
    def kernel(self) -> Path:
        """Which kernel the session has."""
        return self.folder / "kernel.json"

    @property
    def exists(self) -> bool:
        """Whether the session was ever created; a history without a line is one that a full disk left."""
        try:
            return self.history.stat().st_size > 0
        except OSError:
            return False

    def create(self) -> None:
        """Make the folders; raises StorageError."""
        try:
            if not self.workspace.is_dir():
                self.workspace.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise StorageError(
                f"cannot make {self.workspace} ({exc.strerror}); check DATA_DIR, its owner and free space"
            ) from exc


class DataFolder:
    """Everything of one DATA_DIR, as far as sessions are concerned."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()

    def open(self) -> None:
        """Make the folder, or raise StorageError if it cannot be used."""
        try:
            (self.root / "sessions").mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = self.root / ".writable"
            probe.touch()
            probe.unlink(missing_ok=True)
            os.scandir(self.root / "sessions").close()
        except OSError as exc:
            raise StorageError(
                f"the data folder {self.root} cannot be used ({exc.strerror}); set DATA_DIR or free some space"
            ) from exc

    def session(self, user_id: str, session_id: str) -> SessionPlaces:
        """The places of a session that may or may not exist."""
        return SessionPlaces(self.root / "sessions" / folder_name(user_id) / folder_name(session_id))

    def sessions(self) -> Iterator[SessionPlaces]:
        """The places of all sessions that exist."""
        for history in sorted((self.root / "sessions").glob("*/*/history.jsonl")):
            yield SessionPlaces(history.parent)

    def selections(self) -> Iterator[Selection]:
        """The chosen files of all sessions that do not see all of their user's."""
        for record in sorted((self.root / "sessions").glob("*/*/selection.json")):
            yield self.selection(SessionPlaces(record.parent))

    def selection(self, places: SessionPlaces) -> Selection:
        """Which files a session sees, if not all of its user's."""
        return Selection(places.selection, places.files, self.files)

    def sessions_of(self, user_id: str) -> Iterator[SessionPlaces]:
        """The places of a user's sessions that exist."""
        for history in sorted((self.root / "sessions" / folder_name(user_id)).glob("*/history.jsonl")):
            yield SessionPlaces(history.parent)

    @property
    def session_folders(self) -> Path:
        """Where the folders of users with sessions lie."""
        return self.root / "sessions"

    @property
    def file_folders(self) -> Path:
        """Where the folders of users with files lie."""
        return self.root / "files"

    def workspace(self, user_id: str, session_id: str) -> Path:
        """The working folder of a session's code. Raises UsageError for an id that cannot be one."""
        return self.session(check_id(user_id, "the user id"), check_id(session_id, "the session id")).workspace

    def files(self, user_id: str) -> Path:
        """The folder of a user's files."""
        return self.file_folders / folder_name(user_id)
