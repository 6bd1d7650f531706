"""The embedded database: one SQLite file, which any number of processes may have open."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar

from kernel_manager.database import records
from kernel_manager.database.protocol import AssistantRecord, FileRecord, FileTotals, Json, Usage, UsageRecord
from kernel_manager.database.sqlite_rows import (
    ASSISTANT_COLUMNS,
    FILE_COLUMNS,
    assistant_record,
    assistant_row,
    file_record,
    file_row,
    json_or_text,
)
from kernel_manager.database.sqlite_schema import migrate
from kernel_manager.database.sqlite_worker import Worker, Writer
from kernel_manager.errors import ClosedError, DatabaseError

T = TypeVar("T")

#: Seconds that a statement waits for another process's write.
_BUSY_TIMEOUT_S = 10.0
_BUSY_WAIT_S = 0.05


def _utc_now() -> datetime:
    return datetime.now(UTC)


class SqliteDatabase:
    """See :class:`~kernel_manager.database.protocol.Database`.

    Writing and reading have a thread and a connection each: who reads need not wait until the disk has what others write.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime] = _utc_now) -> None:
        self._path = path
        self._clock = clock
        self._writer = Writer("sqlite-w", self._connect)
        self._reader = Worker("sqlite-r", self._connect_to_read)
        self._closed = False

    @property
    def location(self) -> str:
        """The file's path as a URL."""
        return f"sqlite:///{self._path}"

    async def open(self) -> None:
        """See the protocol."""
        self._check_open()
        with self._errors():
            await self._writer.run(lambda _: None)

    async def close(self) -> None:
        """See the protocol."""
        self._closed = True
        await self._reader.close()
        await self._writer.close()

    # --- files ----------------------------------------------------------------------------------------------------

    async def get_user_files(self, user_id: str | int) -> list[FileRecord]:
        """See the protocol."""
        where = "user_id = ? AND (expires_at IS NULL OR expires_at > ?)"
        return records.newest_first(await self._files(where, records.user_key(user_id), self._now_ms()))

    async def get_user_file(self, file_id: str) -> FileRecord | None:
        """See the protocol."""
        found = await self._files("file_id = ?", records.file_key(file_id))
        return found[0] if found else None

    async def get_all_user_files(self, user_id: str | int | None = None) -> list[FileRecord]:
        """See the protocol."""
        if user_id is None:
            return records.newest_first(await self._files("TRUE"))
        return records.newest_first(await self._files("user_id = ?", records.user_key(user_id)))

    async def get_expired_files(self) -> list[FileRecord]:
        """See the protocol."""
        return await self._files("expires_at <= ? ORDER BY expires_at, file_id", self._now_ms())

    async def save_user_file(self, record: FileRecord | Mapping[str, Any]) -> None:
        """See the protocol."""
        row = file_row(records.new_file_record(record, self._clock()))
        await self._run(f"INSERT OR REPLACE INTO user_files ({FILE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", *row)

    async def delete_user_file(self, file_id: str) -> bool:
        """See the protocol."""
        return await self._run("DELETE FROM user_files WHERE file_id = ?", records.file_key(file_id)) > 0

    async def delete_expired_files(self) -> int:
        """See the protocol."""
        return await self._run("DELETE FROM user_files WHERE expires_at <= ?", self._now_ms())

    async def get_file_totals(self) -> FileTotals:
        """See the protocol."""
        counted = "SELECT count(*), coalesce(sum(file_size), 0), count(DISTINCT user_id) FROM user_files"
        ((files, size, users),) = await self._rows(f"{counted} WHERE expires_at IS NULL OR expires_at > ?", self._now_ms())
        return FileTotals(files=files, size=size, users=users)

    async def _files(self, where: str, *values: object) -> list[FileRecord]:
        rows = await self._rows(f"SELECT {FILE_COLUMNS} FROM user_files WHERE {where}", *values)
        return [file_record(row) for row in rows]

    # --- configuration --------------------------------------------------------------------------------------------

    async def get_config(self, key: str) -> Json:
        """See the protocol."""
        rows = await self._rows("SELECT value FROM app_config WHERE key = ?", records.config_key(key))
        return json_or_text(rows[0][0]) if rows else None

    async def set_config(self, key: str, value: Json) -> None:
        """See the protocol."""
        row = records.config_key(key), records.as_json(value)
        await self._run("INSERT OR REPLACE INTO app_config (key, value) VALUES (?, ?)", *row)

    async def set_config_if_absent(self, key: str, value: Json) -> Json:
        """See the protocol."""
        row = records.config_key(key), records.as_json(value)
        await self._run("INSERT OR IGNORE INTO app_config (key, value) VALUES (?, ?)", *row)
        return await self.get_config(key)

    async def replace_config(self, key: str, old: Json, new: Json) -> Json:
        """See the protocol."""
        name, wanted, value = records.config_key(key), records.storable(old), records.as_json(new)

        def work(connection: sqlite3.Connection) -> Json:
            rows = connection.execute("SELECT value FROM app_config WHERE key = ?", (name,)).fetchall()
            stored = json_or_text(rows[0][0]) if rows else None
            if not rows or stored != wanted:
                return stored
            connection.execute("UPDATE app_config SET value = ? WHERE key = ?", (value, name))
            return records.storable(new)

        return await self._transaction(work)

    async def delete_config(self, key: str) -> bool:
        """See the protocol."""
        return await self._run("DELETE FROM app_config WHERE key = ?", records.config_key(key)) > 0

    async def list_config(self, prefix: str) -> dict[str, Json]:
        """See the protocol."""
        bounds = records.keys_from(prefix)
        rows = await self._rows("SELECT key, value FROM app_config WHERE key >= ? AND key < ? ORDER BY key", *bounds)
        return {str(row[0]): json_or_text(row[1]) for row in rows}

    # --- assistants -----------------------------------------------------------------------------------------------

    async def get_assistant(self, assistant_id: str) -> AssistantRecord | None:
        """See the protocol."""
        selected = f"SELECT {ASSISTANT_COLUMNS} FROM assistants WHERE assistant_id = ?"
        rows = await self._rows(selected, records.assistant_key(assistant_id))
        return assistant_record(rows[0]) if rows else None

    async def list_assistants(self) -> list[AssistantRecord]:
        """See the protocol."""
        rows = await self._rows(f"SELECT {ASSISTANT_COLUMNS} FROM assistants ORDER BY name, assistant_id")
        return [assistant_record(row) for row in rows]

    async def save_assistant(
        self,
        assistant_id: str,
        *,
        name: str,
        instructions: str,
        model: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> AssistantRecord:
        """See the protocol."""
        new = records.new_assistant(assistant_id, name, instructions, model, options, self._clock())
        rows = await self._changed_rows(
            f"INSERT INTO assistants ({ASSISTANT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (assistant_id) DO UPDATE SET name = excluded.name, instructions = excluded.instructions, "
            f"model = excluded.model, options = excluded.options, updated_at = excluded.updated_at RETURNING {ASSISTANT_COLUMNS}",
            *assistant_row(new),
        )
        return assistant_record(rows[0])

    async def delete_assistant(self, assistant_id: str) -> bool:
        """See the protocol."""
        key = records.assistant_key(assistant_id)

        def work(connection: sqlite3.Connection) -> bool:
            connection.execute("DELETE FROM user_assistants WHERE assistant_id = ?", (key,))
            return connection.execute("DELETE FROM assistants WHERE assistant_id = ?", (key,)).rowcount > 0

        return await self._transaction(work)

    async def get_user_assistant(self, user_id: str | int) -> str | None:
        """See the protocol."""
        rows = await self._rows("SELECT assistant_id FROM user_assistants WHERE user_id = ?", records.user_key(user_id))
        return str(rows[0][0]) if rows else None

    async def set_user_assistant(self, user_id: str | int, assistant_id: str | None) -> None:
        """See the protocol."""
        user = records.user_key(user_id)
        if assistant_id is None:
            await self._run("DELETE FROM user_assistants WHERE user_id = ?", user)
        else:
            row = user, records.assistant_key(assistant_id)
            await self._run("INSERT OR REPLACE INTO user_assistants (user_id, assistant_id) VALUES (?, ?)", *row)

    # --- usage ----------------------------------------------------------------------------------------------------

    async def add_usage(self, user_id: str | int, usage: Usage, *, assistant_id: str = "", kind: str = "chat") -> None:
        """See the protocol."""
        amounts = records.amounts_of(usage)
        assistant = records.assistant_key(assistant_id) if assistant_id else ""
        key = records.user_key(user_id), records.day_of(self._clock()), assistant, records.usage_kind(kind)
        added = ", ".join(f"{name} = {name} + excluded.{name}" for name in amounts)
        await self._run(
            f"INSERT INTO usage (user_id, day, assistant_id, kind, {', '.join(amounts)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
            f"ON CONFLICT (user_id, day, assistant_id, kind) DO UPDATE SET {added}",
            *key,
            *amounts.values(),
        )

    async def get_user_token_stats(self, user_id: str | int, since: date | None = None) -> list[UsageRecord]:
        """See the protocol."""
        return await self._usage("user_id = ? AND day >= ?", records.user_key(user_id), records.first_day(since))

    async def get_token_stats(self, since: date | None = None) -> list[UsageRecord]:
        """See the protocol."""
        return await self._usage("day >= ?", records.first_day(since))

    async def reset_user_token_stats(self, user_id: str | int) -> bool:
        """See the protocol."""
        return await self._run("DELETE FROM usage WHERE user_id = ?", records.user_key(user_id)) > 0

    async def _usage(self, where: str, *values: object) -> list[UsageRecord]:
        rows = await self._rows(f"SELECT * FROM usage WHERE {where}", *values)
        return sorted((records.usage_record(dict(row)) for row in rows), key=records.usage_order)

    # --- how ------------------------------------------------------------------------------------------------------

    def _now_ms(self) -> int:
        return records.to_ms(records.timestamp(self._clock()))

    async def _rows(self, statement: str, *values: object) -> list[sqlite3.Row]:
        """Return what a statement that changes nothing finds."""
        self._check_open()
        with self._errors():
            return await self._reader.run(lambda connection: connection.execute(statement, values).fetchall())

    async def _changed_rows(self, statement: str, *values: object) -> list[sqlite3.Row]:
        """Return what a statement that changes rows returns of them."""
        return await self._transaction(lambda connection: connection.execute(statement, values).fetchall())

    async def _run(self, statement: str, *values: object) -> int:
        """Return how many rows were changed."""
        return await self._transaction(lambda connection: connection.execute(statement, values).rowcount)

    async def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._check_open()
        with self._errors():
            return await self._writer.write(work)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the database was closed; open it again")

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # made here, because SQLite would make it readable for everybody
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(self._path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            connection.row_factory = sqlite3.Row
            _use_wal(connection)
            connection.execute("PRAGMA synchronous = FULL")
            migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect_to_read(self) -> sqlite3.Connection:
        connection = self._connect()
        connection.execute("PRAGMA query_only = ON")
        return connection

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as exc:
            raise DatabaseError(f"the database {self._path} {_explained(exc)}") from exc


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to write-ahead logging; who else opens the file at this moment makes that fail without waiting."""
    deadline = time.monotonic() + _BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_BUSY_WAIT_S)


def _explained(exc: sqlite3.Error | OSError) -> str:
    if isinstance(exc, OSError):
        return f"cannot be opened ({exc.strerror or exc}); check its folder, or set DATABASE_URL to another place"
    match getattr(exc, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "is held by another process; try again, or set DATABASE_URL to a file that only Threadbook uses"
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
            return f"cannot be written ({exc}); free some space, or set DATABASE_URL to another disk"
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return "is damaged or no SQLite file; restore it from a backup, or set DATABASE_URL to another file"
    return f"failed ({exc}); check it, or set DATABASE_URL to another file"
