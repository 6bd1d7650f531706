"""A thread with a connection to SQLite; and writing in groups, so that those who write at once wait for the disk once."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

_MAX_GROUP = 100


class Worker:
    """A thread and a connection, both made when they are first needed. It does one thing at a time."""

    def __init__(self, name: str, connect: Callable[[], sqlite3.Connection]) -> None:
        self._name = name
        self._connect = connect
        self._thread: ThreadPoolExecutor | None = None
        self._connection: sqlite3.Connection | None = None

    async def run(self, work: Work[T]) -> T:
        """Do something in the thread. Raises what it raises, and what connecting raises."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(self._opened()))

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    async def close(self) -> None:
        """Disconnect, after what was asked for before."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, self._disconnect)
            thread.shutdown(wait=False)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


class Writer(Worker):
    """A worker for what changes something. Each work is done whole or not at all, in the order in which they came."""

    def __init__(self, name: str, connect: Callable[[], sqlite3.Connection]) -> None:
        super().__init__(name, connect)
        self._waiting: list[tuple[Work[Any], asyncio.Future[Any]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, work: Work[T]) -> T:
        """Do something in a transaction, and return when it is on the disk. Whoever is cancelled here does not stop it.

        ``work`` has no effect but on the connection: it is done again when another one of its group fails.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((work, done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all(), name="writing to SQLite")
        return await done

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:_MAX_GROUP], self._waiting[_MAX_GROUP:]
                _tell(group, await self._results([work for work, _ in group]))
        finally:
            self._writing = None

    async def _results(self, works: Sequence[Work[Any]]) -> Sequence[Any]:
        try:
            return await self.run(lambda connection: _together(connection, works))
        except Exception as exc:  # noqa: BLE001  (told to each of those who wait)
            return [exc] * len(works)

    async def close(self) -> None:
        """See the class above."""
        if self._writing is not None:
            await asyncio.wait({self._writing})
        await super().close()


def _tell(group: Sequence[tuple[Work[Any], asyncio.Future[Any]]], results: Sequence[Any]) -> None:
    for (_, done), result in zip(group, results, strict=True):
        if done.done():
            continue
        if isinstance(result, Exception):
            done.set_exception(result)
        else:
            done.set_result(result)


def _together(connection: sqlite3.Connection, works: Sequence[Work[Any]]) -> list[Any]:
    """Do all of this in one transaction; return the results, or the exceptions of those that failed and left nothing.

    Most groups have no failure. Then nothing marks where one ends and the next begins, as each statement costs a thread that
    others hold up more than the statement does; after a failure, the group is done again with marks.
    """
    try:
        return _in_transaction(connection, lambda: [work(connection) for work in works])
    except Exception as exc:  # noqa: BLE001  (told to whoever asked for what failed)
        if len(works) == 1:
            return [exc]
    return _in_transaction(connection, lambda: [_whole(connection, work) for work in works])


def _in_transaction(connection: sqlite3.Connection, work: Callable[[], list[Any]]) -> list[Any]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        results = work()
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return results


def _whole(connection: sqlite3.Connection, work: Work[Any]) -> Any:
    connection.execute("SAVEPOINT one")
    try:
        result = work(connection)
    except Exception as exc:
        if not connection.in_transaction:
            raise  # the disk is full, or the like: SQLite has undone all of it
        connection.execute("ROLLBACK TO one")
        connection.execute("RELEASE one")
        return exc
    connection.execute("RELEASE one")
    return result
