"""Carries out what :mod:`kernel_manager.files.reconciling` decides, for one user at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from kernel_manager.atomic import write_atomic
from kernel_manager.database.protocol import Database, FileRecord
from kernel_manager.database.records import timestamp
from kernel_manager.errors import StorageError, UsageError
from kernel_manager.files.index import INDEX, Index, ShelfEntry
from kernel_manager.files.leases import Leases
from kernel_manager.files.reconciling import Plan, plan_of
from kernel_manager.files.shelf import Shelf, storage_errors
from kernel_manager.files.user_file import is_ours

logger = logging.getLogger(__name__)

_DATABASE_ID = "database_id"
STORE_ID = ".store-id"


@dataclass(frozen=True, slots=True)
class Places:
    """Where things lie: the folder of all shelves, that of a user's shelf, and a session's workspace."""

    root: Path
    shelf: Callable[[str], Path]
    workspace: Callable[[str, str], Path]


class Reconciler:
    """See the module. Raises DatabaseError and StorageError."""

    def __init__(self, places: Places, database: Database, leases: Leases, clock: Callable[[], datetime]) -> None:
        self._places = places
        self._database = database
        self._leases = leases
        self._clock = clock
        self._done: set[str] = set()
        self._database_id: str | None = None
        self._store_id: str | None = None

    async def users(self) -> set[str]:
        """Everybody who has a folder, or a record of a file in one."""
        store = await self.store_id()
        records = await self._database.get_all_user_files()
        users = {record["user_id"] for record in records if self._is_ours(record, store)}
        return users | set(await asyncio.to_thread(_owners, self._places))

    async def once(self, user: str) -> None:
        """Reconcile a user's files unless this object has."""
        if user not in self._done:
            await self.reconcile(user)

    async def reconcile(self, user: str) -> Plan:
        """Make bytes, list and records of a user agree; return what was done.

        While a cell of the user runs nothing is removed that it may use; the next time does it.
        """
        shelf = self._shelf(user)
        async with self._leases.changing(shelf.folder.name), self._leases.unused(shelf.folder.name, user) as unused:
            plan = await self.plan(user, shelf)
            if not unused:
                plan = replace(plan, delist=[], unlink=[], forget=[])
            for record in plan.save:
                await self._database.save_user_file(record)
            await self.apply(shelf, plan)
            abandoned = await self._remove_abandoned(shelf)
            await self._sign(user, shelf, complete=unused)
            for file_id in plan.forget:
                await self._database.delete_user_file(file_id)
        if plan or abandoned:
            logger.warning("put the files of user %s right: %s", user, plan or f"unfinished files removed: {abandoned}")
        self._done.add(user)
        return plan

    async def plan(self, user: str, shelf: Shelf) -> Plan:
        """Return what has to be done; for whoever holds the user's lock."""
        index = await asyncio.to_thread(_index_of, shelf)
        with storage_errors(shelf.folder):
            sizes = await asyncio.to_thread(shelf.bytes_there)
        records = await self._database.get_all_user_files(user)
        same = index.database == await self._id_of_database()
        now = timestamp(self._clock())
        store = await self.store_id()
        return plan_of(shelf.folder, user, index.files, sizes, records, store=store, same_database=same, now=now)

    async def store_id(self) -> str:
        """The id of this data folder, made when it is first asked for."""
        if self._store_id is None:
            with storage_errors(self._places.root):
                self._store_id = await asyncio.to_thread(_id_in, self._places.root)
        return self._store_id

    def _is_ours(self, record: FileRecord, store: str) -> bool:
        try:
            return is_ours(record, self._places.shelf(record["user_id"]), store)
        except UsageError:
            return False

    async def apply(self, shelf: Shelf, plan: Plan) -> None:
        """Do what a plan says about the shelf."""

        def work() -> None:
            for entry in plan.enlist:
                shelf.enlist(entry)
            for file_id in plan.delist:
                shelf.delist(file_id)
            for name in plan.unlink:
                (shelf.folder / name).unlink(missing_ok=True)

        with storage_errors(shelf.folder):
            await asyncio.to_thread(work)

    async def enlist(self, user: str, shelf: Shelf, entry: ShelfEntry) -> None:
        """Put a new file on the list, and note there that this database knows it."""
        database = await self._id_of_database()

        def changed(index: Index) -> Index:
            return replace(index, files=[*index.files, entry], user_id=user, database=database)

        with storage_errors(shelf.folder):
            await asyncio.to_thread(shelf.change, changed)

    async def _remove_abandoned(self, shelf: Shelf) -> int:
        def work() -> int:
            abandoned = shelf.abandoned()
            for path in abandoned:
                path.unlink(missing_ok=True)
            return len(abandoned)

        with storage_errors(shelf.folder):
            return await asyncio.to_thread(work)

    async def _sign(self, user: str, shelf: Shelf, *, complete: bool) -> None:
        """Note on the list whose it is, and which database knows all of its files; not where there is no list."""
        database = await self._id_of_database()

        def signed(index: Index) -> Index:
            return replace(index, user_id=user, database=database if complete else index.database)

        with storage_errors(shelf.folder):
            if await asyncio.to_thread((shelf.folder / INDEX).exists):
                await asyncio.to_thread(shelf.change, signed)

    def _shelf(self, user: str) -> Shelf:
        return Shelf(self._places.shelf(user), 0)

    async def _id_of_database(self) -> str:
        if self._database_id is None:
            self._database_id = str(await self._database.set_config_if_absent(_DATABASE_ID, uuid.uuid4().hex))
        return self._database_id


def _index_of(shelf: Shelf) -> Index:
    """The list; an empty one in place of one that is damaged, because bytes and records say what was on it."""
    try:
        return shelf.index()
    except StorageError as exc:
        if isinstance(exc.__cause__, OSError):
            raise
        damaged = shelf.folder / INDEX
        damaged.replace(damaged.with_name(f".damaged-{INDEX}"))
        logger.warning("the list of files is made anew, the old one is kept as .damaged-%s: %s", INDEX, exc)
        return Index()


def _id_in(root: Path) -> str:
    """The id that the folder of all shelves has; of two processes that make one at once, both get the same."""
    path = root / STORE_ID
    root.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        made = root / f"{STORE_ID}-{uuid.uuid4().hex}"
        write_atomic(made, uuid.uuid4().hex)
        with contextlib.suppress(FileExistsError):
            os.link(made, path)
        made.unlink()
    return path.read_text().strip()


def _owners(places: Places) -> list[str]:
    """Whose the folders are: their lists say so, or their names do."""
    owners = []
    for folder in sorted(places.root.glob("[!.]*")):
        if not folder.is_dir():
            continue
        try:
            owners.append(Shelf(folder, 0).index().user_id or folder.name)
        except StorageError:
            owners.append(folder.name)
    return [owner for owner in owners if places.shelf(owner).is_dir()]


def remove_if_empty(folder: Path) -> bool:
    """Remove a folder with nothing in it but an empty list; return whether it went."""
    try:
        names = {path.name for path in folder.iterdir()}
        if names == {INDEX} and not Shelf(folder, 0).entries():
            (folder / INDEX).unlink()
            names.clear()
        if names:
            return False
        folder.rmdir()
    except (OSError, StorageError):
        return False
    return True
