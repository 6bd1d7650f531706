"""Whoever drives a session holds its lock; a kill releases it, and what it says then tells what was going on."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kernel_manager.errors import StorageError
from kernel_manager.files.file_lock import FileLock, try_lock

#: Failures after which a wait is worth telling: who only asks whether a lock is held has it for an instant.
_TELLING_FAILURE = 3
_NOTE_SIZE = 1024


@dataclass(frozen=True, slots=True)
class RunningCell:
    """The cell that the holder sent to a kernel and has not yet recorded as finished. ``timeout`` is in seconds."""

    cell_id: str
    msg_id: str
    kernel_id: str
    timeout: float | None = None


class SessionLock(FileLock):
    """The lock of a session. Its file also has a note: who holds it, and which cell runs.

    Who waits holds a second lock, the turnstile, so that a holder who comes again at once does not overtake.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._turnstile = FileLock(path.with_name(f"{path.name}.next"))

    async def drive(self, on_wait: Callable[[int | None], None]) -> None:
        """Take the lock. If that takes a while, ``on_wait`` is told the holder's pid, once."""
        failures = itertools.count(1)

        def on_failure() -> None:
            if next(failures) == _TELLING_FAILURE:
                on_wait(self._holder())

        await self._turnstile.acquire(on_failure)
        try:
            await self.acquire(on_failure)
        finally:
            self._turnstile.release()
        self._sign()

    def try_drive(self) -> bool:
        """Take the lock if it is free."""
        if not self.try_acquire():
            return False
        self._sign()
        return True

    def held_elsewhere(self) -> bool:
        """Whether another process (or another holder in this one) has the lock now."""
        if not self._path.exists():
            return False
        fd = self._open()
        try:
            return not try_lock(fd)
        finally:
            os.close(fd)

    def left_running(self) -> RunningCell | None:
        """The cell that the last holder was running when it was killed, or None. Only for the holder."""
        assert self._fd is not None
        return _cell_in(_read(self._fd))

    def noted_cell(self) -> RunningCell | None:
        """The cell that the note names, whoever holds the lock now; for anybody, without taking the lock."""
        if not self._path.exists():
            return None
        fd = self._open()
        try:
            return _cell_in(_read(fd))
        finally:
            os.close(fd)

    def note(self, cell: RunningCell | None) -> None:
        """Write down the holder and its running cell; raises StorageError."""
        assert self._fd is not None
        fields = asdict(cell) if cell else None
        note = json.dumps({"pid": os.getpid(), "cell": fields}).encode().ljust(_NOTE_SIZE)
        try:
            # one write of one size: a kill leaves the old note or the new one
            os.pwrite(self._fd, note, 0)
        except OSError as exc:
            raise StorageError(f"cannot write {self._path} ({exc.strerror}); free some space and run the cell again") from exc

    def _sign(self) -> None:
        try:
            self.note(self.left_running())
        except StorageError:
            self.release()
            raise

    def _holder(self) -> int | None:
        fd = self._open()
        try:
            pid = _read(fd).get("pid")
        finally:
            os.close(fd)
        return pid if isinstance(pid, int) else None


def _read(fd: int) -> dict[str, Any]:
    try:
        value = json.loads(os.pread(fd, _NOTE_SIZE, 0) or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _cell_in(note: dict[str, Any]) -> RunningCell | None:
    cell = note.get("cell")
    try:
        return RunningCell(**cell) if cell else None
    except TypeError:
        return None
