"""All cogs, in the order in which a bot loads them."""

from __future__ import annotations

from discord.ext import commands

from bot.cogs.account import Account
from bot.cogs.chat import Chat
from bot.cogs.files import FilesCog
from bot.cogs.keeping import Keeping
from bot.cogs.offers import Offers
from bot.cogs.running import Running
from bot.cogs.turns import Turns
from bot.service import Service


def all_cogs(bot: commands.Bot, service: Service) -> list[commands.Cog]:
    """Return new cogs for a bot, none of them loaded yet."""
    offers = Offers(bot)
    chat = Chat(bot, service, offers)
    keeping = Keeping(bot, service, chat, offers)
    return [offers, Turns(service), chat, keeping, Running(service), FilesCog(service), Account(service)]
