"""Who uses a user's files: a running cell may read any of them at any time, so none is cleaned away meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from kernel_manager.errors import StorageError
from kernel_manager.files.file_lock import FileLock
from kernel_manager.files.shelf import LOCKS

#: Says whether a cell of the user runs that nobody holds a lease for, since the process that began it was killed.
RunsUnattended = Callable[[str], Awaitable[bool]]


class Leases:
    """The locks of all users' files, below ``root``, the folder of the shelves; every process sees them."""

    def __init__(self, root: Path, runs_unattended: RunsUnattended) -> None:
        self._folder = root / LOCKS
        self._runs_unattended = runs_unattended

    @contextlib.asynccontextmanager
    async def using(self, shelf: str) -> AsyncIterator[None]:
        """Have the files of a user stay as long as the context lasts; ``shelf`` is the name of their folder."""
        lock = FileLock(self._path(shelf, "lease"), shared=True)
        await lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextlib.asynccontextmanager
    async def unused(self, shelf: str, user_id: str) -> AsyncIterator[bool]:
        """Say whether no cell uses the files; if so, none begins to before the context ends. So be quick."""
        lock = FileLock(self._path(shelf, "lease"))
        free = lock.try_acquire()
        try:
            yield free and not await self._runs_unattended(user_id)
        finally:
            lock.release()

    @contextlib.asynccontextmanager
    async def changing(self, shelf: str) -> AsyncIterator[None]:
        """Be the only one who changes what files the user has."""
        lock = FileLock(self._path(shelf, "change"))
        await lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _path(self, shelf: str, kind: str) -> Path:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise StorageError(f"cannot make {self._folder} ({exc.strerror}); check DATA_DIR and free space") from exc
        return self._folder / f"{shelf}.{kind}"
