"""The pieces that somebody else's bot uses, with a database of its own."""

from __future__ import annotations

import inspect
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import discord
import pytest

import bot.embedding
from bot.embedding import (
    CleanupScheduler,
    cleanup_expired_files,
    create_discord_cleanup_task,
    execute_code,
    get_interpreter_status,
    upload_discord_attachment,
)
from kernel_manager import DatabaseHandler, Settings, UsageError
from kernel_manager.packages.environments import Environment
from tests.integration.conftest import make_settings
from tests.integration.support import until
from tests.mongo_server import database_by, mongo_server

ROOT = Path(__file__).parents[2]


class Attached:
    """What discord.py says of an attachment."""

    url = "https://cdn.discordapp.com/attachments/1/2/d.csv"
    filename = "d.csv"
    size = 8
    content_type = "text/csv"


ATTACHED: discord.Attachment = Attached()  # type: ignore[assignment]


async def arrives(wanted: Sequence[dict[str, Any]], folder: Path, _: float) -> list[dict[str, Any]]:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "d.csv"
    path.write_bytes(b"a,b\n1,2\n")
    return [{**item, "local_path": str(path), "downloaded": True} for item in wanted]


async def fails(wanted: Sequence[dict[str, Any]], _: Path, __: float) -> list[dict[str, Any]]:
    return [{**item, "local_path": None, "downloaded": False, "error": "it broke off"} for item in wanted]


@pytest.mark.slow
async def test_an_attachment_is_uploaded_and_its_data_are_used(
    shared_folder: Path, kernel_environment: Environment, tmp_path: Path
) -> None:
    settings = make_settings(shared_folder, kernel_environment)
    database = DatabaseHandler(f"sqlite:///{tmp_path}/host.db")
    uploaded = await upload_discord_attachment(ATTACHED, 7, database, settings=settings, download=arrives)
    assert uploaded["success"]
    assert uploaded["metadata"]["filename"] == "d.csv"
    assert [path for path in (settings.data_dir / "downloads").iterdir() if path.is_dir()] == []
    code = "int(load_file('d.csv')['b'].sum())"
    result = await execute_code(code, [uploaded["file_id"]], 7, db_handler=database, settings=settings)
    assert result["status"] == "ok"
    assert result["outputs"][0]["data"]["text/plain"] == "2"
    with pytest.raises(UsageError, match="has no file nothing"):
        await execute_code(code, ["nothing"], 7, db_handler=database, settings=settings)
    await database.close()


async def test_an_attachment_that_cannot_be_had_is_an_error_text() -> None:
    assert await upload_discord_attachment(ATTACHED, 7, download=fails) == {"success": False, "error": "it broke off"}


async def test_expired_files_are_removed_periodically(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "bot.embedding")
    database = DatabaseHandler(f"sqlite:///{tmp_path}/host.db")
    uploaded = await upload_discord_attachment(ATTACHED, 7, database, download=arrives)
    record = await database.get_user_file(uploaded["file_id"])
    assert record is not None
    await database.save_user_file({**record, "expires_at": datetime.now(UTC) - timedelta(hours=1)})
    scheduler = CleanupScheduler(database)
    scheduler.start_periodic_cleanup(interval_hours=1)
    scheduler.start_periodic_cleanup(interval_hours=1)
    await until(lambda: "removed 1 expired files" in caplog.text)
    await scheduler.stop_periodic_cleanup()
    assert caplog.text.count("removed") == 1
    assert await database.get_user_file(uploaded["file_id"]) is None
    with pytest.raises(UsageError):
        scheduler.start_periodic_cleanup(interval_hours=0)
    await database.close()


def test_a_host_whose_main_file_is_called_bot_finds_the_package_with_dash_p(tmp_path: Path) -> None:
    (tmp_path / "bot.py").write_text("import bot.embedding\nprint(bot.embedding.__name__)\n")
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *options, str(tmp_path / "bot.py")]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)

    assert run("-P").stdout == "bot.embedding\n"
    assert "'bot' is not a package" in run().stderr


async def test_the_cleanup_task_is_a_loop_of_discords_that_waits_for_the_bot() -> None:
    client = discord.Client(intents=discord.Intents.none())
    loop = create_discord_cleanup_task(client, settings=Settings(cleanup_interval_hours=2))
    assert (loop.hours, loop.is_running()) == (2, False)


@pytest.fixture(scope="module")
def mongodb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mongo_server(tmp_path_factory.mktemp("mongo")) as uri:
        yield uri


@pytest.mark.parametrize("driver", ["pymongo", "motor"])
async def test_a_database_of_the_hosts_own_has_the_records_where_applications_look_for_them(mongodb: str, driver: str) -> None:
    async with database_by(driver, mongodb) as database:
        uploaded = await upload_discord_attachment(ATTACHED, 7, database, download=arrives)
        stored = await database["user_files"].find_one({"file_id": uploaded["file_id"]})
        assert {"file_id", "user_id", "filename", "file_type", "file_path", "file_size", "created_at", "expires_at"} <= set(
            stored
        )
        assert (stored["user_id"], stored["filename"], stored["file_size"]) == ("7", "d.csv", 8)
        status = await get_interpreter_status(db_handler=database)
        assert status["total_user_files"] == 1
        assert {"venv_exists", "package_count", "total_file_size_mb"} <= set(status)
        past = datetime.now(UTC) - timedelta(hours=1)
        await database["user_files"].replace_one({"file_id": uploaded["file_id"]}, {**stored, "expires_at": past})
        assert await cleanup_expired_files(db_handler=database) == 1
        assert await cleanup_expired_files(db_handler=database) == 0
        assert not Path(stored["file_path"]).exists()
        await database["user_files"].delete_many({})


async def test_a_database_by_its_uri_has_the_functions_that_applications_call(mongodb: str) -> None:
    database = DatabaseHandler(f"{mongodb}by-uri")
    record = {"file_id": "f1", "user_id": 7, "filename": "a.csv", "size": 4, "file_path": "/a.csv", "file_type": "text/csv"}
    await database.save_user_file(record)
    (found,) = await database.get_user_files("7")
    assert (found["file_size"], found["user_id"]) == (4, "7")
    assert await database.delete_user_file("f1")
    assert not await database.delete_user_file("f1")
    assert await database.delete_expired_files() == 0
    await database.close()


def test_every_piece_is_where_and_how_applications_call_it() -> None:
    def names(function: Callable[..., Any]) -> list[str]:
        return [name for name, of in inspect.signature(function).parameters.items() if of.kind is not of.KEYWORD_ONLY]

    assert names(bot.embedding.download_attachment) == ["url", "temp_dir", "filename", "max_size_mb"]
    assert names(bot.embedding.download_attachments_batch) == ["attachments", "temp_dir", "max_size_mb"]
    assert names(bot.embedding.cleanup_attachment_files) == ["attachments"]
    assert names(upload_discord_attachment) == ["attachment", "user_id", "db_handler"]
    assert names(execute_code) == ["code", "user_files", "user_id"]
    assert names(CleanupScheduler) == ["db_handler"]
    assert names(create_discord_cleanup_task) == ["bot", "db_handler"]
    assert "db_handler" in names(get_interpreter_status)
    assert "db_handler" in names(cleanup_expired_files)
    assert all(hasattr(bot.embedding, name) for name in bot.embedding.__all__)
