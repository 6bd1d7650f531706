"""The periodic work: what has expired or was abandoned goes, and what went is said.

Nothing goes that is in use: no file of a user with a running cell, no session that somebody drives or whose kernel lives,
no session younger than its retention. A round can be ended at any moment; the next one goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from kernel_manager.atomic import write_atomic
from kernel_manager.config import Settings
from kernel_manager.errors import ThreadbookError
from kernel_manager.files.file_lock import FileLock
from kernel_manager.files.store import FileStore
from kernel_manager.provisioning.runtime import KernelFolder, Runtime
from kernel_manager.sessions.host import KernelSource
from kernel_manager.sessions.lock import SessionLock
from kernel_manager.sessions.owner import Owner
from kernel_manager.sessions.places import DataFolder, SessionPlaces
from kernel_manager.tree import remove_tree, size_of_tree

logger = logging.getLogger(__name__)

#: What was made within this time may still be being set up.
_GRACE = timedelta(hours=1)
_LEAVING = ".leaving-"
#: Seconds after which a round is tried again that failed, or that another process was doing.
_AGAIN_AFTER_S = 300.0


@dataclass(slots=True)
class CleanupReport:
    """What a round removed, by name or path; ``bytes_freed`` of files and sessions together.

    ``files_in_use`` is how many files had to stay because a cell may use them; ``errors`` are lines.
    """

    files: list[str] = field(default_factory=list)
    put_right: list[str] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    runtime: list[str] = field(default_factory=list)
    bytes_freed: int = 0
    files_in_use: int = 0
    errors: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        counts = {"files": self.files, "sessions": self.sessions, "empty folders": self.folders, "runtime entries": self.runtime}
        gone = ", ".join(f"{len(names)} {what}" for what, names in counts.items() if names) or "nothing"
        kept = f"; {self.files_in_use} expired files are in use and stay for now" if self.files_in_use else ""
        return f"removed {gone}, {self.bytes_freed / 2**20:.1f} MB freed{kept}"


class Housekeeping:
    """The rounds of one data folder. ``clock`` gives the time in UTC; ``sleep`` waits for seconds."""

    def __init__(
        self,
        settings: Settings,
        data: DataFolder,
        runtime: Runtime,
        files: FileStore,
        kernels: KernelSource,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._data = data
        self._runtime = runtime
        self._files = files
        self._kernels = kernels
        self._clock = clock
        self._sleep = sleep
        self._lock = FileLock(data.root / ".housekeeping.lock")
        self._stamp = data.root / ".housekeeping.json"

    async def cleanup(self) -> CleanupReport:
        """Do a round now; a failure of one part is reported, and the others are done. Raises StorageError."""
        await self._lock.acquire()
        try:
            return await self._round()
        finally:
            self._lock.release()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Do a round whenever one is due, as long as the context lasts; of several processes one does it."""
        task = asyncio.create_task(self._for_ever(), name="housekeeping")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})

    async def _for_ever(self) -> None:
        while True:
            await self._sleep(self._seconds_left())
            try:
                done = await self._done_if_due()
            except (ThreadbookError, OSError) as exc:
                logger.warning("the clean-up failed, it is tried again in a while: %s", exc)
                done = False
            if not done:
                await self._sleep(min(_AGAIN_AFTER_S, self._interval.total_seconds()))

    async def _done_if_due(self) -> bool:
        """Do a round unless another process does or just did; return whether no round is due any more."""
        if not self._lock.try_acquire():
            return False
        try:
            return self._seconds_left() > 0 or not (await self._round()).errors
        finally:
            self._lock.release()

    @property
    def _interval(self) -> timedelta:
        return timedelta(hours=self._settings.cleanup_interval_hours)

    def _seconds_left(self) -> float:
        """Until the next round is due."""
        try:
            last = datetime.fromisoformat(json.loads(self._stamp.read_text())["finished_at"])
            left = (last + self._interval - self._clock()).total_seconds()
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0
        return min(max(left, 0.0), self._interval.total_seconds())

    # --- a round --------------------------------------------------------------------------------------------------

    async def _round(self) -> CleanupReport:
        report = CleanupReport()
        for part in (self._files_part, self._kernels_part, self._sessions_part, self._folders_part):
            try:
                await part(report)
            except (ThreadbookError, OSError) as exc:
                report.errors.append(str(exc))
                logger.warning("a part of the clean-up failed: %s", exc)
        if not report.errors:
            write_atomic(self._stamp, json.dumps({"finished_at": self._clock().isoformat()}))
        logger.info("clean-up: %s", report)
        return report

    async def _files_part(self, report: CleanupReport) -> None:
        report.put_right = [f"{user}: {plan}" for user, plan in (await self._files.reconcile()).items()]
        removed, report.files_in_use = await self._files.remove_expired()
        for file in removed:
            logger.info("removed %s (%s) of user %s", file.filename, file.file_id, file.user_id)
            report.files.append(f"{file.user_id}: {file.filename} ({file.file_id})")
            report.bytes_freed += file.size
        await asyncio.to_thread(refresh_selections, self._data)

    async def _kernels_part(self, report: CleanupReport) -> None:
        """Runtime folders of kernels that are gone, and sockets that nobody listens to."""
        before = {folder.kernel_id for folder in self._runtime.folders()}
        await self._kernels.clear()
        report.runtime += sorted(before - {folder.kernel_id for folder in self._runtime.folders()})
        for folder in self._runtime.folders():
            if Owner.read(folder) is None and not folder.is_supervised() and self._is_old(folder.path):
                folder.remove()
                report.runtime.append(folder.kernel_id)
        report.runtime += await asyncio.to_thread(self._remove_dead_sockets)

    def _remove_dead_sockets(self) -> list[str]:
        removed = []
        for path in self._runtime.zygote_sockets():
            if self._is_old(path) and not self._runtime.is_listening(path):
                path.unlink(missing_ok=True)
                removed.append(path.name)
        return removed

    async def _sessions_part(self, report: CleanupReport) -> None:
        users = self._users_with_kernels()
        for places in list(_session_folders(self._data)):
            if await asyncio.to_thread(self._is_abandoned, places):
                freed = await asyncio.to_thread(self._remove_session, places, users)
                if freed is not None:
                    name = f"{places.user_folder}/{places.session_folder}"
                    logger.info("removed the session %s", name)
                    report.sessions.append(name)
                    report.bytes_freed += freed

    async def _folders_part(self, report: CleanupReport) -> None:
        keep = {owner.user_id for owner in self._owners()}
        report.folders += [str(folder) for folder in await self._files.remove_empty_folders(keep)]
        for folder in await asyncio.to_thread(lambda: sorted(self._data.session_folders.iterdir())):
            if folder.is_dir() and self._is_old(folder) and _removed_if_empty(folder):
                report.folders.append(str(folder))

    # --- sessions -------------------------------------------------------------------------------------------------

    def _is_abandoned(self, places: SessionPlaces) -> bool:
        """Whether a session was never made, or has not been used for longer than its retention."""
        if places.session_folder.startswith(_LEAVING):
            return True
        if not places.exists:
            return self._is_old(places.folder)
        lifetime = self._settings.session_lifetime
        return lifetime is not None and all(self._is_old(path, lifetime) for path in (places.history, places.lock))

    def _remove_session(self, places: SessionPlaces, users: set[tuple[str, str]]) -> int | None:
        """Remove a session's folder unless somebody uses it; return the bytes that were freed."""
        if (places.user_folder, places.session_folder) in users:
            return None
        lock = SessionLock(places.lock)
        if not lock.try_acquire():
            return None
        try:
            leaving = places.folder
            if not leaving.name.startswith(_LEAVING):
                # under another name it cannot be taken for a session while it is half gone
                leaving = leaving.rename(leaving.with_name(f"{_LEAVING}{leaving.name}"))
            freed = size_of_tree(leaving)
            remove_tree(leaving)
        finally:
            lock.release()
        return freed

    def _users_with_kernels(self) -> set[tuple[str, str]]:
        """The folders of users and sessions that have a kernel."""
        owned = [self._data.session(owner.user_id, owner.session_id) for owner in self._owners()]
        return {(places.user_folder, places.session_folder) for places in owned}

    def _owners(self) -> Iterator[Owner]:
        for folder in self._runtime.folders():
            if (owner := Owner.read(folder)) is not None and not _has_ended(folder):
                yield owner

    def _is_old(self, path: Path, age: timedelta = _GRACE) -> bool:
        try:
            return self._clock().timestamp() - path.stat().st_mtime > age.total_seconds()
        except FileNotFoundError:
            return True
        except OSError:
            return False


def refresh_selections(data: DataFolder) -> None:
    """Have sessions that see chosen files let go of what the owners have not any more. Raises StorageError."""
    for selection in data.selections():
        selection.refresh()


def _has_ended(folder: KernelFolder) -> bool:
    return folder.is_reported


def _session_folders(data: DataFolder) -> Iterator[SessionPlaces]:
    for folder in sorted(data.session_folders.glob("*/*")):
        if folder.is_dir() and not folder.is_symlink():
            yield SessionPlaces(folder)


def _removed_if_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True
