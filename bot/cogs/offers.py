"""Carries out what the bot has offered, whichever process offered it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import discord
from discord.ext import commands

from bot.cogs.errors import explained
from bot.views.offers import OFFERS, OfferButton, OfferName

#: Does what was offered: gets the interaction and what the offer is about; returns what to show in its place.
Accept = Callable[[discord.Interaction[Any], str], Awaitable[str]]


class Offers(commands.Cog, name=OFFERS):
    """See the module. Other cogs say with :meth:`on` what they do when somebody accepts."""

    def __init__(self, bot: commands.Bot) -> None:
        self._bot = bot
        self._accept: dict[OfferName, Accept] = {}

    async def cog_load(self) -> None:
        """Have the buttons answer, on every message and after a restart."""
        self._bot.add_dynamic_items(OfferButton)

    async def cog_unload(self) -> None:
        """Leave nothing behind."""
        self._bot.remove_dynamic_items(OfferButton)

    def on(self, name: OfferName, accept: Accept) -> None:
        """Say what is done when an offer of that name is accepted."""
        self._accept[name] = accept

    async def accepted(self, interaction: discord.Interaction[Any], button: OfferButton) -> None:
        """Do it, and show so in place of the offer; what cannot be done is said to who pressed, and the offer stays."""
        async with explained(interaction):
            await interaction.response.defer()
            done = await self._accept[button.name](interaction, button.about)
            await interaction.edit_original_response(content=done, view=None, allowed_mentions=discord.AllowedMentions.none())
