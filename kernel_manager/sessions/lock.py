"""Whoever drives a session holds this lock; a kill releases it, and what it says then tells what was going on."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernel_manager.errors import StorageError

#: How often a waiting process looks again, in seconds: grows from the first to the last.
_WAITS = (0.01, 0.02, 0.05, 0.1)
_NOTE_SIZE = 512


@dataclass(frozen=True, slots=True)
class RunningCell:
    """The cell that the holder sent to a kernel and has not yet recorded as finished."""

    cell_id: str
    msg_id: str
    kernel_id: str


class SessionLock:
    """An exclusive lock on a session's folder, with a note about the running cell in the lock's own file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    async def acquire(self, on_wait: Callable[[int | None], None]) -> None:
        """Take the lock. While another process has it, wait; ``on_wait`` is told that process's pid, once."""
        fd = self._open()
        try:
            attempt = 0
            while not _try_lock(fd):
                if attempt == 0:
                    on_wait(_read(fd).get("pid"))
                await asyncio.sleep(_WAITS[min(attempt, len(_WAITS) - 1)])
                attempt += 1
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    def held_elsewhere(self) -> bool:
        """Whether another process (or another holder in this one) has the lock now."""
        if not self._path.exists():
            return False
        fd = self._open()
        try:
            return not _try_lock(fd)
        finally:
            os.close(fd)

    def left_running(self) -> RunningCell | None:
        """The cell that the last holder was running when it was killed, or None. Only for the holder."""
        assert self._fd is not None
        cell = _read(self._fd).get("cell")
        try:
            return RunningCell(**cell) if cell else None
        except TypeError:
            return None

    def note(self, cell: RunningCell | None) -> None:
        """Write down the holder and its running cell."""
        assert self._fd is not None
        fields = {name: getattr(cell, name) for name in RunningCell.__slots__} if cell else None
        # one write of one size: a kill leaves the old note or the new one
        os.pwrite(self._fd, json.dumps({"pid": os.getpid(), "cell": fields}).encode().ljust(_NOTE_SIZE), 0)

    def release(self) -> None:
        """Let the next one in."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as exc:
            raise StorageError(f"cannot open {self._path} ({exc.strerror}); check the folder's owner and free space") from exc


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(fd: int) -> dict[str, Any]:
    try:
        value = json.loads(os.pread(fd, _NOTE_SIZE, 0) or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
