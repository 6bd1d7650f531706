"""A store of files over a real SQLite database, and what tests do with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kernel_manager.database.protocol import Database
from kernel_manager.database.sqlite import SqliteDatabase
from kernel_manager.files.leases import Leases
from kernel_manager.files.reconciler import Places
from kernel_manager.files.store import FileStore
from kernel_manager.files.user_file import FileLimits
from kernel_manager.sessions.places import DataFolder

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MB = 1 << 20


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


async def nobody(_user_id: str) -> bool:
    return False


@dataclass
class Stores:
    """Makes stores that all have the same data, as several processes would."""

    root: Path
    clock: Clock = field(default_factory=Clock)
    max_files: int = 20
    max_total_bytes: int = 8 * MB
    max_file_bytes: int = MB
    lifetime: timedelta | None = 48 * HOUR
    runs_unattended: Callable[[str], Awaitable[bool]] = nobody
    databases: list[Database] = field(default_factory=list)

    @property
    def data(self) -> DataFolder:
        return DataFolder(self.root)

    def database(self, name: str = "test.sqlite3") -> Database:
        self.databases.append(SqliteDatabase(self.root / name, self.clock))
        return self.databases[-1]

    def store(self, database: Database | None = None) -> FileStore:
        limits = FileLimits(self.max_files, self.max_file_bytes, self.max_total_bytes, self.lifetime)
        data = self.data
        leases = Leases(data.file_folders, self.runs_unattended)
        places = Places(data.file_folders, data.files, data.workspace)
        return FileStore(places, limits, database or self.database(), leases, self.clock)

    def on_disk(self, user: str = "ada") -> list[str]:
        """The names of a user's files on disk, without their ids."""
        folder = self.data.files(user)
        names = [path.name for path in folder.iterdir()] if folder.exists() else []
        return sorted(name.partition("-")[2] for name in names if name != "index.json")

    async def aclose(self) -> None:
        for database in self.databases:
            await database.close()
