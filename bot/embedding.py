"""Pieces of the interpreter for somebody else's discord.py bot: each works by itself, with the bot's own database.

:func:`configure` is for the whole of it: the extension :mod:`bot.extension`, which has all commands below ``/threadbook``.

``db_handler`` is a :class:`~kernel_manager.DatabaseHandler`, a database object of pymongo's asynchronous client or of Motor,
or None for the one that the settings name. It stays open. ``settings`` default to the environment's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import discord
from discord.ext import commands, tasks
from discord.utils import MISSING

from bot.agent.models.protocol import ModelClient
from bot.attachments import (
    MAX_SIZE_MB,
    cleanup_attachment_files,
    download_attachment,
    download_attachments_batch,
)
from bot.downloads import downloads_folder
from bot.guest import Guest, GuestOptions, Host
from bot.hand_in import Download, HandIn, described, download
from kernel_manager import (
    Database,
    DatabaseHandler,
    Settings,
    ThreadbookError,
    UsageError,
    cleanup_expired_files,
    get_interpreter_status,
    open_interpreter,
)

__all__ = [
    "CleanupScheduler",
    "DatabaseHandler",
    "cleanup_attachment_files",
    "cleanup_expired_files",
    "configure",
    "create_discord_cleanup_task",
    "database_of",
    "download_attachment",
    "download_attachments_batch",
    "execute_code",
    "get_interpreter_status",
    "upload_discord_attachment",
]

logger = logging.getLogger(__name__)

#: Here and not in the extension: discord.py makes that module anew each time it loads it.
_options: WeakKeyDictionary[discord.Client, GuestOptions] = WeakKeyDictionary()
_guests: WeakKeyDictionary[discord.Client, Guest] = WeakKeyDictionary()
_loops: WeakKeyDictionary[discord.Client, tasks.Loop[Any]] = WeakKeyDictionary()


def configure(
    host: Host,
    *,
    settings: Settings | None = None,
    database: Any = None,
    model: ModelClient | None = None,
    download: Download = download,
) -> None:
    """Say with what the host's extension ``bot.extension`` shall work, before it is loaded; without this, by the environment.

    ``database`` is the host's, as in the module; collections in one of MongoDB begin with ``MONGODB_COLLECTION_PREFIX`` or
    else ``threadbook_``. ``model`` takes the place of the settings' endpoint, ``download`` gets attachments.
    """
    _options[host] = GuestOptions(settings, database, model, download)


def database_of(host: Host) -> Database:
    """Return the database with the records of a loaded extension, for the functions here. Raises UsageError if it is not."""
    if host not in _guests:
        raise UsageError("the extension bot.extension is not loaded; load it first")
    return _guests[host].database


async def enter(host: Host) -> None:
    """What the extension does when it is loaded. Raises ThreadbookError; then nothing stays."""
    if host in _guests:
        raise UsageError("Threadbook is in this bot already")
    guest = Guest(host, _options.get(host) or GuestOptions())
    await guest.enter()
    _guests[host] = guest


async def leave(host: Host) -> None:
    """What the extension does when it is unloaded."""
    if (guest := _guests.pop(host, None)) is not None:
        await guest.leave()


async def upload_discord_attachment(
    attachment: discord.Attachment,
    user_id: str | int,
    db_handler: Any = None,
    *,
    settings: Settings | None = None,
    download: Download = download,
) -> dict[str, Any]:
    """Make an attachment a file of the user, so that ``load_file`` opens it.

    Returns ``{"success": True, "file_id": …, "metadata": …}``, the metadata ready for JSON, or
    ``{"success": False, "error": …}``.
    """
    try:
        async with open_interpreter(settings, database=db_handler, housekeeping=False) as interpreter:
            limit = min(interpreter.settings.max_file_size_mb, MAX_SIZE_MB)
            async with downloads_folder(interpreter.settings.data_dir / "downloads") as folder:
                hand_in = HandIn(interpreter.files, folder, limit, download)
                (taken,) = await hand_in.take(str(user_id), [described(attachment)])
            if taken.file_id is None:
                return {"success": False, "error": taken.failure or "it could not be taken"}
            file = await interpreter.files.find(user_id, taken.file_id)
            return {"success": True, "file_id": file.file_id, "metadata": file.to_dict()}
    except ThreadbookError as exc:
        return {"success": False, "error": str(exc)}


async def execute_code(
    code: str,
    user_files: Sequence[str] = (),
    user_id: str | int = "default",
    *,
    session_id: str = "default",
    db_handler: Any = None,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Run a cell in the user's session and return its result, ready for JSON: ``status``, ``outputs``, ``files`` and so on.

    ``user_files`` are ids of files that have to be there; all files of the user can be loaded. Raises UsageError if one is
    not there, ServiceError if nothing can run.
    """
    async with open_interpreter(settings, database=db_handler, housekeeping=False) as interpreter:
        there = {file.file_id for file in await interpreter.files.list(user_id)}
        if missing := [file_id for file_id in user_files if file_id not in there]:
            raise UsageError(f"user {user_id} has no file {', '.join(missing[:5])}; upload it again")
        session = await interpreter.session(user_id, session_id)
        return (await session.execute(code)).to_dict()


def create_discord_cleanup_task(
    bot: commands.Bot | discord.Client, db_handler: Any = None, *, settings: Settings | None = None
) -> tasks.Loop[Any]:
    """Return a loop that removes expired files every CLEANUP_INTERVAL_HOURS once the bot is ready; the caller starts it.

    A bot has one: made and started again, as ``on_ready`` comes again, it is the same and goes on.
    """
    if bot in _loops:
        return _loops[bot]
    chosen = settings or Settings.load()

    async def clean_up() -> None:
        await _clean_up(db_handler, chosen)

    loop = _loops[bot] = _OneLoop(clean_up, hours=chosen.cleanup_interval_hours)
    loop.before_loop(bot.wait_until_ready)
    return loop


class _OneLoop(tasks.Loop[Any]):
    """A loop that may be started again while it runs."""

    def __init__(self, coro: Any, hours: float) -> None:
        super().__init__(coro, seconds=0, minutes=0, hours=hours, time=MISSING, count=None, reconnect=True, name=None)
        self._running: asyncio.Task[None] | None = None

    def start(self, *args: Any, **kwargs: Any) -> asyncio.Task[None]:
        """Start it, if it does not run."""
        if self._running is None or self._running.done():
            self._running = super().start(*args, **kwargs)
        return self._running


class CleanupScheduler:
    """Removes expired files again and again, without Discord."""

    def __init__(self, db_handler: Any = None, *, settings: Settings | None = None) -> None:
        self._database = db_handler
        self._settings = settings
        self._task: asyncio.Task[None] | None = None

    def start_periodic_cleanup(self, interval_hours: float = 1) -> None:
        """Begin, with a first round at once; does nothing if it has begun already. Raises UsageError for no interval."""
        if interval_hours <= 0:
            raise UsageError(f"interval_hours is {interval_hours}; give a number above 0")
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._go_on(interval_hours * 3600))

    async def stop_periodic_cleanup(self) -> None:
        """End."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _go_on(self, seconds: float) -> None:
        while True:
            await _clean_up(self._database, self._settings)
            await asyncio.sleep(seconds)


async def _clean_up(database: Any, settings: Settings | None) -> None:
    try:
        removed = await cleanup_expired_files(db_handler=database, settings=settings)
    except ThreadbookError as exc:
        logger.warning("expired files could not be removed: %s", exc)
        return
    logger.info("removed %d expired files", removed)
