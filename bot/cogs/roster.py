"""The cogs that a bot has of ours, by itself or inside somebody else's."""

from __future__ import annotations

from discord.ext import commands

from bot.cogs.account import Account
from bot.cogs.admin import Admin
from bot.cogs.chat import Chat
from bot.cogs.files import FilesCog
from bot.cogs.forget import Forget
from bot.cogs.keeping import Keeping
from bot.cogs.offers import Offers
from bot.cogs.operation import Operation
from bot.cogs.running import Running
from bot.cogs.sessions import Sessions
from bot.cogs.share import Share
from bot.cogs.turns import Turns
from bot.service import Service


def make_cogs(bot: commands.Bot | commands.AutoShardedBot, service: Service) -> list[commands.Cog]:
    """Return new cogs for a bot."""
    offers = Offers()
    chat = Chat(bot, service, offers)
    keeping = Keeping(bot, service, chat, offers)
    return [
        *(offers, Turns(service), chat, keeping, Running(service), Share(service, offers), Sessions(service)),
        *(FilesCog(service), Account(service), Forget(service, offers), Admin(bot, service, keeping.returning)),
        Operation(bot, service),
    ]
