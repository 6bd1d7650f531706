"""The Discord client: connects, loads the cogs, makes the commands known, and ends in good order."""

from __future__ import annotations

from typing import Any

import discord
from discord.ext import commands

from bot.cogs.roster import make_cogs
from bot.service import Service
from bot.views.buttons import DYNAMIC_ITEMS


def make_intents(*, message_content: bool = True) -> discord.Intents:
    """Return what the bot asks Discord for."""
    intents = discord.Intents(guilds=True, guild_messages=True, dm_messages=True)
    intents.message_content = message_content
    return intents


class ThreadbookBot(commands.AutoShardedBot):
    """The bot on a service, which it does not close.

    ``shards`` is the number of its connections to Discord; 0: as many as Discord recommends. Other ``options`` are those of
    :class:`discord.Client`.
    """

    def __init__(self, service: Service, intents: discord.Intents | None = None, *, shards: int = 1, **options: Any) -> None:
        super().__init__(
            command_prefix=commands.when_mentioned,
            help_command=None,
            intents=intents or make_intents(),
            allowed_mentions=discord.AllowedMentions.none(),
            shard_count=shards or None,
            **options,
        )
        self._service = service

    async def setup_hook(self) -> None:
        """Load what the bot does, before the first event."""
        for cog in make_cogs(self, self._service):
            await self.add_cog(cog)
        self.add_dynamic_items(*DYNAMIC_ITEMS)
        await self.tree.sync()

    async def on_message(self, message: discord.Message, /) -> None:
        """There are no commands with a prefix: the cogs listen."""

    async def close(self) -> None:
        """Let running turns end and show it, then disconnect."""
        await self._service.aclose()
        await super().close()
