"""What an operator needs to know when the bot comes up, and what people do whose turn was interrupted when it went down."""

from __future__ import annotations

import asyncio
import logging

import discord
from discord.ext import commands

from bot.permissions import MESSAGE_CONTENT_OFF, invitation, missing_permissions
from bot.service import Service
from bot.taking_up import take_up_left_turns

logger = logging.getLogger(__name__)


class Operation(commands.Cog, name="Threadbook operation"):
    """See the module."""

    def __init__(self, bot: commands.Bot | commands.AutoShardedBot, service: Service) -> None:
        self._bot = bot
        self._service = service
        self._taking_up = asyncio.Lock()
        self._coming_up: asyncio.Task[None] | None = None
        service.metrics.latency = lambda: bot.latency

    async def cog_load(self) -> None:
        """A bot may have been ready before this was loaded."""
        if self._bot.is_ready():
            self._coming_up = self._service.start(self._come_up(), "coming up")

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        """Connected, for the first time or again after Discord had forgotten the session."""
        await self._come_up()

    @commands.Cog.listener()
    async def on_guild_join(self, guild: discord.Guild) -> None:
        """Somebody invited the bot."""
        _report(guild)

    async def _come_up(self) -> None:
        logger.info("connected to Discord as %s, in %d servers", self._bot.user, len(self._bot.guilds))
        if not self._bot.intents.message_content:
            logger.warning("%s", MESSAGE_CONTENT_OFF)
        if not self._bot.guilds and self._bot.application_id is not None:
            logger.warning("the bot is in no server yet; invite it: %s", invitation(self._bot.application_id))
        for guild in self._bot.guilds:
            _report(guild)
        async with self._taking_up:
            await take_up_left_turns(self._bot, self._service)


def _report(guild: discord.Guild) -> None:
    if missing := missing_permissions(guild):
        hint = "allow that to its role under Server Settings → Roles"
        logger.warning("in the server %s (%d) the bot lacks %s: %s", guild, guild.id, missing, hint)
