"""A lock that several processes know by its file; the system releases it when its holder ends."""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import os
from collections.abc import Callable
from pathlib import Path

from kernel_manager.errors import StorageError

#: How often a waiting process looks again, in seconds: grows from the first to the last.
_WAITS = (0.01, 0.02, 0.05, 0.1)


class FileLock:
    """One holder at a time; or, of those that are ``shared``, any number as long as nobody holds it alone."""

    def __init__(self, path: Path, *, shared: bool = False) -> None:
        self._path = path
        self._operation = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        self._fd: int | None = None

    async def acquire(self, on_failure: Callable[[], None] = lambda: None) -> None:
        """Take the lock, however long that takes; raises StorageError if its file cannot be used."""
        fd = self._open()
        try:
            for wait in itertools.chain(_WAITS, itertools.repeat(_WAITS[-1])):
                if try_lock(fd, self._operation):
                    break
                on_failure()
                await asyncio.sleep(wait)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def try_acquire(self) -> bool:
        """Take the lock if it is free."""
        fd = self._open()
        if try_lock(fd, self._operation):
            self._fd = fd
            return True
        os.close(fd)
        return False

    def release(self) -> None:
        """Let the next one in."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as exc:
            raise StorageError(f"cannot open {self._path} ({exc.strerror}); check the folder's owner and free space") from exc


def try_lock(fd: int, operation: int = fcntl.LOCK_EX) -> bool:
    """Lock an open file if nobody else has it locked."""
    try:
        fcntl.flock(fd, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
