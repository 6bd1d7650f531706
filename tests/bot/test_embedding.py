"""The pieces that somebody else's bot uses, with a database of its own."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import discord
import pytest

from bot.embedding import CleanupScheduler, create_discord_cleanup_task, execute_code, upload_discord_attachment
from kernel_manager import DatabaseHandler, Settings, UsageError
from kernel_manager.packages.environments import Environment
from tests.integration.conftest import make_settings
from tests.integration.support import until

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
