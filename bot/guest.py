"""Ours inside somebody else's bot: an interpreter and a service of its own, one command group, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import Any

from discord import app_commands
from discord.ext import commands

from bot.agent.models.protocol import ModelClient
from bot.cogs.roster import make_cogs
from bot.group import GROUP
from bot.hand_in import Download, download
from bot.service import Service, open_service
from bot.starting import check_sandbox
from bot.views.buttons import DYNAMIC_ITEMS
from kernel_manager import Database, Settings, open_interpreter
from kernel_manager.database.opening import adopted
from kernel_manager.errors import UsageError

logger = logging.getLogger(__name__)

#: What our collections begin with in a database of the host's.
COLLECTION_PREFIX = "threadbook_"

Host = commands.Bot | commands.AutoShardedBot


@dataclass(frozen=True, slots=True)
class GuestOptions:
    """What a host hands in; what is None comes from the environment.

    ``database`` is one of ours, or a database object of pymongo's asynchronous client or of Motor: then our collections begin
    with ``MONGODB_COLLECTION_PREFIX``, or else with ``threadbook_``. ``model`` takes the place of the settings' endpoint.
    """

    settings: Settings | None = None
    database: Any = None
    model: ModelClient | None = None
    download: Download = download


class Guest:
    """See the module. :meth:`enter` and :meth:`leave` are called once each, from any tasks."""

    def __init__(self, host: Host, options: GuestOptions) -> None:
        self._host = host
        self._options = options
        self._group = app_commands.Group(name=GROUP, description="A code interpreter with a memory")
        self._cogs: list[commands.Cog] = []
        self._service: Service | None = None
        self._opened = asyncio.Event()
        self._leaving = asyncio.Event()
        self._living: asyncio.Task[None] | None = None

    @property
    def database(self) -> Database:
        """The database with our records. Raises UsageError before the guest has entered."""
        if self._service is None:
            raise UsageError("the extension bot.extension is not loaded; load it first")
        return self._service.interpreter.database

    async def enter(self) -> None:
        """Open the interpreter, and add what the host gets; nothing stays if that fails. Raises ThreadbookError."""
        self._living = asyncio.create_task(self._live(), name="threadbook")
        opened = asyncio.create_task(self._opened.wait())
        await asyncio.wait({self._living, opened}, return_when=asyncio.FIRST_COMPLETED)
        opened.cancel()
        if self._living.done():
            await self._living
        assert self._service is not None
        try:
            await self._add(self._service)
        except BaseException:
            await self.leave()
            raise

    async def leave(self) -> None:
        """Take back what the host got, let running turns end and show it, and close everything."""
        for cog in self._cogs:
            await self._host.remove_cog(cog.qualified_name)
        self._cogs.clear()
        if self._host.tree.get_command(GROUP) is self._group:
            self._host.tree.remove_command(GROUP)
        self._host.remove_dynamic_items(*DYNAMIC_ITEMS)
        self._leaving.set()
        if self._living is not None:
            await self._living

    async def _live(self) -> None:
        """One task opens and closes, whichever tasks the host loads and unloads in."""
        settings = self._options.settings or Settings.load()
        async with contextlib.AsyncExitStack() as stack:
            interpreter = await stack.enter_async_context(
                open_interpreter(settings, database=self._database(settings), progress=logger.info)
            )
            await interpreter.prepare()
            check_sandbox(await interpreter.examine_sandbox(), settings)
            opening = open_service(interpreter, model=self._options.model, download=self._options.download)
            self._service = await stack.enter_async_context(opening)
            self._opened.set()
            await self._leaving.wait()
        self._service = None

    def _database(self, settings: Settings) -> Database | None:
        if self._options.database is None:
            return None
        return adopted(self._options.database, prefix=settings.mongodb_collection_prefix or COLLECTION_PREFIX)

    async def _add(self, service: Service) -> None:
        self._host.tree.add_command(self._group)
        for cog in make_cogs(self._host, service):
            for command in _taken_from(cog):
                self._group.add_command(command)
            await self._host.add_cog(cog)
            self._cogs.append(cog)
        self._host.add_dynamic_items(*DYNAMIC_ITEMS)


def _taken_from(cog: commands.Cog) -> list[app_commands.Command[Any, ..., Any] | app_commands.Group]:
    """Take a cog's commands from it, so that the host's tree does not get them; a cog that is a group gives that."""
    group = cog.app_command
    taken: list[app_commands.Command[Any, ..., Any] | app_commands.Group] = (
        [*cog.get_app_commands()] if group is None else [group]
    )
    cog.__cog_app_commands_group__ = None
    cog.__cog_app_commands__ = []
    return taken
