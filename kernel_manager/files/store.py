"""The files of all users: bytes on a shelf for each user, records in the database, limits and expiry."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, TypeVar

from kernel_manager.database.protocol import Database, FileRecord, FileTotals
from kernel_manager.database.records import timestamp, user_key
from kernel_manager.errors import LimitError, StorageError, UsageError
from kernel_manager.files.index import ShelfEntry
from kernel_manager.files.inside import open_inside
from kernel_manager.files.leases import Leases
from kernel_manager.files.names import safe_filename
from kernel_manager.files.reconciler import Places, Reconciler, remove_if_empty
from kernel_manager.files.reconciling import Plan
from kernel_manager.files.selection import FileRef
from kernel_manager.files.shelf import Incoming, Shelf, new_entry, storage_errors
from kernel_manager.files.sources import Stream, chunks_of
from kernel_manager.files.user_file import AddedFile, FileLimits, UserFile, is_ours, record_of, surplus

logger = logging.getLogger(__name__)

T = TypeVar("T")
Files = list[UserFile]
Folders = list[Path]

#: How far past its limit the number of a user's files may grow while a cell uses all of them.
_LEEWAY = 2
_MAX_LISTED = 20


class FileStore:
    """See the module. ``clock`` gives the time in UTC.

    Every method may raise DatabaseError or StorageError, and UsageError for a user id that cannot be one.
    """

    def __init__(
        self, places: Places, limits: FileLimits, database: Database, leases: Leases, clock: Callable[[], datetime]
    ) -> None:
        self._places = places
        self._limits = limits
        self._database = database
        self._leases = leases
        self._clock = clock
        self._reconciler = Reconciler(places, database, leases, clock)

    # --- what there is --------------------------------------------------------------------------------------------

    async def list(self, user_id: str | int) -> Files:
        """Return the user's files that have not expired, the newest first."""
        user = await self._known(user_id)
        folder, store = self._places.shelf(user), await self._reconciler.store_id()
        records = await self._database.get_user_files(user)
        return [UserFile.of(record, folder) for record in records if is_ours(record, folder, store)]

    async def find(self, user_id: str | int, file: str) -> UserFile:
        """Return a file by its ``file_id``, or the newest of that name. Raises UsageError, which lists what there is."""
        files = await self.list(user_id)
        for found in (by_id(files, file), by_name(files, file)):
            if found is not None:
                return found
        listed = ", ".join(f"{each.filename} ({each.file_id})" for each in files[:_MAX_LISTED])
        more = f" and {len(files) - _MAX_LISTED} more" if len(files) > _MAX_LISTED else ""
        raise UsageError(f"no file {file[:200]!r}; there {f'are: {listed}{more}' if listed else 'are none yet, add one'}")

    async def pick(self, files: Sequence[FileRef]) -> Files:
        """Return those of these files, of any users, that have not expired, the newest first."""
        wanted = {(file.user_id, file.file_id) for file in files}
        owners = sorted({user_id for user_id, _ in wanted})
        found = [file for owner in owners for file in await self.list(owner) if (owner, file.file_id) in wanted]
        return sorted(found, key=lambda file: (file.created_at, file.file_id), reverse=True)

    async def open(self, user_id: str | int, file: str) -> BinaryIO:
        """Open a file for reading, by id or name; whoever asked closes it."""
        found = await self.find(user_id, file)
        return await asyncio.to_thread(open_inside, found.path.parent, found.path.name)

    async def totals(self) -> FileTotals:
        """Count the files of all users."""
        return await self._database.get_file_totals()

    def using(self, user_id: str) -> contextlib.AbstractAsyncContextManager[None]:
        """Have all files of a user stay as long as the context lasts: a cell of theirs runs."""
        return self._leases.using(self._places.shelf(user_id).name)

    # --- changing it ----------------------------------------------------------------------------------------------

    async def add(self, user_id: str | int, filename: str, stream: Stream) -> AddedFile:
        """Take a file: its bytes, then its record, then its place on the list that kernels read.

        ``stream`` is bytes, a path, a binary stream, or an asynchronous one. The size is checked while it comes. Where the
        user's limits are reached the oldest files go, but none while a cell of the user runs. Raises LimitError.
        """
        if not isinstance(filename, str):
            raise UsageError(f"the file's name is a {type(filename).__name__}, not text")
        user = await self._known(user_id)
        shelf = self._shelf(user)
        incoming = await self._begin(shelf, filename)
        try:
            async for chunk in chunks_of(stream, safe_filename(filename)):
                with storage_errors(shelf.folder):
                    await asyncio.to_thread(incoming.write, chunk)
            return await _completely(self._finish(user, shelf, incoming, filename))
        finally:
            await asyncio.to_thread(incoming.discard)

    async def keep(self, user_id: str | int, session_id: str, filename: str, *, owner: str | int | None = None) -> AddedFile:
        """Make a file that a session's code wrote a file of the user; ``filename`` is as results name it.

        ``owner`` is whose it becomes, if not that of the session's user.
        """
        user = user_key(user_id)
        with await asyncio.to_thread(open_inside, self._places.workspace(user, session_id), filename) as stream:
            return await self.add(user if owner is None else owner, filename.rpartition("/")[2], stream)

    async def remove(self, user_id: str | int, file: str) -> UserFile:
        """Remove a file, by id or name, whoever uses it; return what it was."""
        user = await self._known(user_id)
        found = await self.find(user, file)
        async with self._leases.changing(self._shelf(user).folder.name):
            await _completely(self._remove(found))
        return found

    async def extend(self, user_id: str | int, file: str) -> UserFile:
        """Have a file, by id or name, expire FILE_EXPIRATION_HOURS later than it would have; return what it is then."""
        user = await self._known(user_id)
        found = await self.find(user, file)
        if found.expires_at is None or self._limits.lifetime is None:
            later = None
        else:
            later = max(found.expires_at, self._now()) + self._limits.lifetime
        return await _completely(self._set_expiry(user, found, later))

    # --- keeping it in order --------------------------------------------------------------------------------------

    async def reconcile(self) -> dict[str, Plan]:
        """Make bytes, lists and records of all users agree; return what was done, by user. What was done is logged."""
        done = {}
        for user in sorted(await self._reconciler.users()):
            try:
                if plan := await self._reconciler.reconcile(user):
                    done[user] = plan
            except StorageError as exc:
                logger.warning("left the files of user %s as they are: %s", user, exc)
        return done

    async def remove_expired(self) -> tuple[Files, int]:
        """Remove what has expired, and what is over the limits; return it, and how many files had to stay for now."""
        removed: Files = []
        kept = 0
        store = await self._reconciler.store_id()
        # those of another data folder are for that one's service to remove
        ours = [record for record in await self._database.get_expired_files() if record.get("store", store) == store]
        expired = [UserFile.of(record) for record in ours]
        for user in sorted({file.user_id for file in expired} | await self._reconciler.users()):
            own = [file for file in expired if file.user_id == user]
            files = await self.list(user)
            leaving = own + surplus(files, self._limits)
            if not leaving:
                continue
            async with self._leases.changing(self._shelf(user).folder.name), self._unused(user) as unused:
                if not unused:
                    kept += len(leaving)
                    continue
                for file in await self._still(leaving):
                    await _completely(self._remove(file))
                    removed.append(file)
        return removed, kept

    async def remove_empty_folders(self, keep: set[str]) -> Folders:
        """Remove the folders of users who have no files, except of those in ``keep``; return what went."""
        removed = []
        for user in sorted(await self._reconciler.users() - keep):
            folder = self._shelf(user).folder
            async with self._leases.changing(folder.name), self._unused(user) as unused:
                if unused and await asyncio.to_thread(remove_if_empty, folder):
                    removed.append(folder)
        return removed

    async def _known(self, user_id: str | int) -> str:
        """Return the user's id as text; what a crash may have left of their files is put right first, once."""
        user = user_key(user_id)
        await self._reconciler.once(user)
        return user

    # --- how ------------------------------------------------------------------------------------------------------

    def _shelf(self, user: str) -> Shelf:
        return Shelf(self._places.shelf(user), self._limits.largest_file)

    def _now(self) -> datetime:
        return timestamp(self._clock())

    def _unused(self, user: str) -> contextlib.AbstractAsyncContextManager[bool]:
        return self._leases.unused(self._shelf(user).folder.name, user)

    async def _begin(self, shelf: Shelf, filename: str) -> Incoming:
        with storage_errors(shelf.folder):
            async with self._leases.changing(shelf.folder.name):  # or else the folder, still empty, may be removed again
                return await asyncio.to_thread(shelf.incoming, filename)

    async def _finish(self, user: str, shelf: Shelf, incoming: Incoming, filename: str) -> AddedFile:
        async with self._leases.changing(shelf.folder.name), self._unused(user) as unused:
            before = await self.list(user)
            now = self._now()
            entry = new_entry(filename, incoming.size, now, self._limits.expiry(now))
            record = record_of(entry, user, shelf.folder, await self._reconciler.store_id())
            new = UserFile.of(record)
            leaving = surplus([*before, new], self._limits, newest=new.file_id)
            if leaving and not unused:
                self._check_leeway([*before, new])
            await self._place(shelf, incoming, entry, record)
            if not unused:
                return AddedFile(new, [], _to_go_later(leaving))
            for file in leaving:
                await self._remove(file)
                logger.info("user %s: %s (%s) made room for %s", user, file.filename, file.file_id, new.filename)
            return AddedFile(new, leaving)

    def _check_leeway(self, files: Files) -> None:
        wide = replace(
            self._limits, max_files=self._limits.max_files * _LEEWAY, max_total_bytes=self._limits.max_total_bytes * _LEEWAY
        )
        if surplus(files, wide):
            raise LimitError(
                "the files fill their limits (MAX_FILES_PER_USER, MAX_USER_FILES_MB) and a running cell may use each of them; "
                "remove some, or wait until the cell is done"
            )

    async def _place(self, shelf: Shelf, incoming: Incoming, entry: ShelfEntry, record: FileRecord) -> None:
        path = shelf.path_of(entry)
        try:
            with storage_errors(shelf.folder):
                await asyncio.to_thread(incoming.place, entry.path)
            await self._database.save_user_file(record)
            await self._reconciler.enlist(record["user_id"], shelf, entry)
        except BaseException:
            # if this fails, too, the next start finds what is left
            await asyncio.to_thread(path.unlink, missing_ok=True)
            with contextlib.suppress(StorageError):
                await self._database.delete_user_file(entry.file_id)
            raise

    async def _remove(self, file: UserFile) -> None:
        """Take a file off the list, then remove its bytes, then its record: a crash in between is put right later."""
        shelf = self._shelf(file.user_id)
        if file.path.parent == shelf.folder:  # bytes elsewhere are another application's

            def remove() -> None:
                shelf.delist(file.file_id)
                file.path.unlink(missing_ok=True)

            with storage_errors(shelf.folder):
                await asyncio.to_thread(remove)
        await self._database.delete_user_file(file.file_id)

    async def _set_expiry(self, user: str, file: UserFile, expires_at: datetime | None) -> UserFile:
        shelf = self._shelf(user)
        async with self._leases.changing(shelf.folder.name):
            record = await self._database.get_user_file(file.file_id)
            if record is None:
                raise UsageError(f"the file {file.filename!r} was removed meanwhile; add it again")
            record["expires_at"] = expires_at
            await self._database.save_user_file(record)
            shown = replace(await self._reconciler.plan(user, shelf), delist=[], unlink=[])
            await self._reconciler.apply(shelf, shown)
        return UserFile.of(record)

    async def _still(self, files: Files) -> Files:
        """Those that have neither been removed nor been extended meanwhile."""
        still: Files = []
        for file in files:
            record = await self._database.get_user_file(file.file_id)
            if record is not None and record["expires_at"] == file.expires_at:
                still.append(file)
        return still


def by_id(files: list[UserFile], file_id: str) -> UserFile | None:
    """The file of that id."""
    return next((file for file in files if file.file_id == file_id), None)


def by_name(files: list[UserFile], name: str) -> UserFile | None:
    """The first file of that name, given as it is stored or as it was handed in."""
    return next((file for file in files if name in (file.filename, file.original_name)), None)


async def _completely(work: Awaitable[T]) -> T:
    """Do the work to its end even if the caller is cancelled, who learns of that afterwards."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # seen: who was cancelled does not look at it
        raise


def _to_go_later(files: list[UserFile]) -> str | None:
    if not files:
        return None
    names = ", ".join(file.filename for file in files[:_MAX_LISTED])
    return f"over the limit of files; when no cell runs any more, the oldest will go: {names}"
