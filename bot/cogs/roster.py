"""The cogs that a bot has of ours, by itself or inside somebody else's."""

from __future__ import annotations

from discord.ext import commands

from bot.cogs.account import Account
from bot.cogs.chat import Chat
from bot.cogs.files import FilesCog
from bot.cogs.operation import Operation
from bot.cogs.turns import Turns
from bot.service import Service


def make_cogs(bot: commands.Bot | commands.AutoShardedBot, service: Service) -> list[commands.Cog]:
    """Return new cogs for a bot."""
    return [Turns(service), Chat(bot, service), FilesCog(service), Account(service), Operation(bot, service)]
