from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kernel_manager.database.sqlite_worker import Work, Worker, Writer


class Log:
    """A file of SQLite with one table, and the statements that were carried out on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.statements: list[str] = []

    def connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY)")
        connection.set_trace_callback(self.statements.append)
        return connection


def insert(*numbers: int) -> Work[int]:
    def work(connection: sqlite3.Connection) -> int:
        for number in numbers:
            connection.execute("INSERT INTO t VALUES (?)", (number,))
        return sum(numbers)

    return work


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "db")


@pytest.fixture
async def writer(log: Log) -> AsyncIterator[Writer]:
    made = Writer("w", log.connect)
    yield made
    await made.close()


async def stored(log: Log) -> list[int]:
    reader = Worker("r", log.connect)
    rows = await reader.run(lambda connection: connection.execute("SELECT n FROM t ORDER BY n").fetchall())
    await reader.close()
    return [row[0] for row in rows]


async def test_those_who_write_at_once_wait_for_the_disk_once(log: Log, writer: Writer) -> None:
    assert await asyncio.gather(*(writer.write(insert(number)) for number in range(50))) == list(range(50))
    assert log.statements.count("COMMIT") <= 2
    assert await stored(log) == list(range(50))


async def test_one_that_fails_leaves_nothing_and_takes_nobody_along(log: Log, writer: Writer) -> None:
    works = [writer.write(insert(1)), writer.write(insert(2, 3, 1)), writer.write(insert(4))]
    first, second, third = await asyncio.gather(*works, return_exceptions=True)
    assert (first, third) == (1, 4)
    assert isinstance(second, sqlite3.IntegrityError)
    assert await stored(log) == [1, 4]


async def test_who_is_cancelled_does_not_stop_what_was_asked_for(log: Log, writer: Writer) -> None:
    waiting = asyncio.create_task(writer.write(insert(1)))
    await asyncio.sleep(0)
    waiting.cancel()
    assert await writer.write(insert(2)) == 2
    assert await stored(log) == [1, 2]


async def test_a_file_that_cannot_be_opened_is_told_to_everybody_who_waits(tmp_path: Path) -> None:
    writer = Writer("w", Log(tmp_path / "no" / "db").connect)
    failed = await asyncio.gather(writer.write(insert(1)), writer.write(insert(2)), return_exceptions=True)
    assert [type(error) for error in failed] == [sqlite3.OperationalError] * 2
    await writer.close()


async def test_closing_waits_for_what_was_asked_for(log: Log) -> None:
    writer = Writer("w", log.connect)
    waiting = [asyncio.create_task(writer.write(insert(number))) for number in range(3)]
    await asyncio.sleep(0)
    await writer.close()
    assert await asyncio.gather(*waiting) == [0, 1, 2]
