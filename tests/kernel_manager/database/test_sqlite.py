from __future__ import annotations

import asyncio
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kernel_manager.database.sqlite import SqliteDatabase
from kernel_manager.database.sqlite_schema import MIGRATIONS, SCHEMA_VERSION
from kernel_manager.errors import DatabaseError

PROJECT = Path(__file__).resolve().parents[3]
RECORD = {"file_id": "f1", "user_id": "ada", "filename": "a.csv", "file_path": "/a", "file_size": 1}


def schema(path: Path) -> list[tuple[str, ...]]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT type, name, tbl_name FROM sqlite_master ORDER BY 1, 2").fetchall()
    connection.close()
    return rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "test.sqlite3"


def old_database(path: Path, version: int) -> None:
    """A database as a Threadbook of that version left it, with a file and a configuration value in it."""
    path.parent.mkdir()
    connection = sqlite3.connect(path, isolation_level=None)
    for step in MIGRATIONS[:version]:
        connection.executescript(step)
    connection.execute(f"PRAGMA user_version = {version}")
    values = "('f1', 'ada', 'a.csv', 'text/csv', '/a', 5, 1700000000000, NULL)"
    columns = "file_id, user_id, filename, file_type, file_path, file_size, created_at, expires_at"
    connection.execute(f"INSERT INTO user_files ({columns}) VALUES {values}")
    connection.execute("INSERT INTO app_config VALUES ('assistant_id', '\"a1\"')")
    connection.close()


class TestMigration:
    @pytest.mark.parametrize("version", range(1, SCHEMA_VERSION + 1))
    async def test_a_database_of_every_version_keeps_its_data_and_gets_todays_schema(self, path: Path, version: int) -> None:
        old_database(path, version)
        database = SqliteDatabase(path)
        (record,) = await database.get_user_files("ada")
        assert (record["file_id"], record["file_size"]) == ("f1", 5)
        assert record["created_at"] == datetime.fromtimestamp(1_700_000_000, UTC)
        assert await database.get_config("assistant_id") == "a1"
        await database.save_assistant("a1", name="A", instructions="")
        await database.add_usage("ada", {"requests": 1})
        await database.close()

        fresh = SqliteDatabase(path.parent / "fresh.sqlite3")
        await fresh.open()
        await fresh.close()
        assert schema(path) == schema(path.parent / "fresh.sqlite3")

    async def test_a_step_that_fails_leaves_the_old_version_whole(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        old_database(path, 1)
        before = schema(path)
        broken = (MIGRATIONS[0], "CREATE TABLE t (x); CREATE TABLE t (x);")
        monkeypatch.setattr("kernel_manager.database.sqlite_schema.MIGRATIONS", broken)
        database = SqliteDatabase(path)
        with pytest.raises(DatabaseError):
            await database.open()
        await database.close()
        assert schema(path) == before

    async def test_a_database_of_a_newer_threadbook_is_refused_untouched(self, path: Path) -> None:
        old_database(path, SCHEMA_VERSION)
        with sqlite3.connect(path) as connection:
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        connection.close()
        database = SqliteDatabase(path)
        with pytest.raises(DatabaseError, match="use the newer Threadbook, or set DATABASE_URL"):
            await database.open()
        await database.close()

    async def test_many_processes_may_begin_at_once(self, path: Path) -> None:
        code = (
            "import asyncio, sys; from pathlib import Path\n"
            "from kernel_manager.database.sqlite import SqliteDatabase\n"
            "async def main():\n"
            "    database = SqliteDatabase(Path(sys.argv[1]))\n"
            "    await database.add_usage('ada', {'requests': 1})\n"
            "    await database.close()\n"
            "asyncio.run(main())\n"
        )
        processes = [
            subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=PROJECT, stderr=subprocess.PIPE, text=True)
            for _ in range(4)
        ]
        for process in processes:
            assert (await asyncio.to_thread(process.communicate))[1] == ""
        database = SqliteDatabase(path)
        (usage,) = await database.get_user_token_stats("ada")
        assert usage["requests"] == 4
        await database.close()


class TestTheFile:
    async def test_is_for_its_owner_only_and_logs_ahead(self, path: Path) -> None:
        database = SqliteDatabase(path)
        await database.open()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.with_name(f"{path.name}-wal").exists()
        await database.close()

    async def test_has_the_documented_indexes(self, path: Path) -> None:
        database = SqliteDatabase(path)
        await database.open()
        await database.close()
        connection = sqlite3.connect(path)
        by_user = connection.execute("PRAGMA index_xinfo(user_files_by_user)").fetchall()
        connection.close()
        assert [(row[2], row[3]) for row in by_user][:2] == [("user_id", 0), ("expires_at", 1)]

    async def test_a_value_that_was_inserted_by_hand_is_read(self, path: Path) -> None:
        database = SqliteDatabase(path)
        await database.open()
        connection = sqlite3.connect(path)
        with connection:
            connection.execute("INSERT INTO app_config VALUES ('assistant_id', 'asst_abc')")
        connection.close()
        assert await database.get_config("assistant_id") == "asst_abc"
        assert await database.replace_config("assistant_id", "asst_abc", "a1") == "a1"
        await database.close()


class TestFailures:
    async def test_no_sqlite_file(self, path: Path) -> None:
        path.parent.mkdir()
        path.write_bytes(b"this is no database" * 100)
        database = SqliteDatabase(path)
        with pytest.raises(DatabaseError, match=r"is damaged or no SQLite file; .*DATABASE_URL"):
            await database.open()
        await database.close()

    async def test_a_folder_in_its_place(self, path: Path) -> None:
        path.mkdir(parents=True)
        database = SqliteDatabase(path)
        with pytest.raises(DatabaseError, match=r"cannot be opened .*DATABASE_URL"):
            await database.open()
        await database.close()

    async def test_one_that_somebody_else_holds_for_too_long(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("kernel_manager.database.sqlite._BUSY_TIMEOUT_S", 0.05)
        database = SqliteDatabase(path)
        await database.open()
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseError, match=r"held by another process; .*DATABASE_URL"):
            await database.save_user_file(RECORD)
        holder.close()
        await database.save_user_file(RECORD)
        await database.close()

    def test_a_full_disk_is_said_and_what_was_there_stays(self, path: Path) -> None:
        """Of a process whose files may not grow any more."""
        code = (
            "import asyncio, sys; from pathlib import Path\n"
            "from kernel_manager.database.sqlite import SqliteDatabase\n"
            "async def main():\n"
            "    database = SqliteDatabase(Path(sys.argv[1]))\n"
            "    for n in range(10_000):\n"
            "        await database.set_config(f'k{n}', 'x' * 2_000)\n"
            "        print(n, flush=True)\n"
            "asyncio.run(main())\n"
        )

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

        done = subprocess.run(
            [sys.executable, "-c", code, str(path)], cwd=PROJECT, capture_output=True, text=True, preexec_fn=limit, check=False
        )
        assert "DatabaseError" in done.stderr
        assert "free some space, or set DATABASE_URL" in done.stderr
        written = int(done.stdout.split()[-1])

        async def look() -> None:
            database = SqliteDatabase(path)
            assert await database.get_config(f"k{written}") == "x" * 2_000
            await database.close()

        asyncio.run(look())

    def test_a_kill_loses_nothing_that_was_saved(self, path: Path) -> None:
        code = (
            "import asyncio, os, sys; from pathlib import Path\n"
            "from kernel_manager.database.sqlite import SqliteDatabase\n"
            "async def main():\n"
            "    database = SqliteDatabase(Path(sys.argv[1]))\n"
            "    for n in range(20):\n"
            "        await database.add_usage('ada', {'requests': 1})\n"
            "    os.kill(os.getpid(), 9)\n"
            "asyncio.run(main())\n"
        )
        done = subprocess.run([sys.executable, "-c", code, str(path)], cwd=PROJECT, check=False)
        assert done.returncode == -signal.SIGKILL

        async def look() -> None:
            database = SqliteDatabase(path)
            (usage,) = await database.get_user_token_stats("ada")
            assert usage["requests"] == 20
            await database.close()

        asyncio.run(look())

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write and read everything")
    async def test_a_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        database = SqliteDatabase(tmp_path / "x" / "test.sqlite3")
        with pytest.raises(DatabaseError, match="DATABASE_URL"):
            await database.open()
        await database.close()
        tmp_path.chmod(0o700)
