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

    def __init__(self) -> None:
        self._accept: dict[OfferName, Accept] = {}

    def on(self, name: OfferName, accept: Accept) -> None:
        """Say what is done when an offer of that name is accepted."""
        self._accept[name] = accept

    async def accepted(self, interaction: discord.Interaction[Any], button: OfferButton) -> None:
        """Do it, and show so in place of the offer; what cannot be done is said to who pressed, and the offer stays."""
        async with explained(interaction):
            await interaction.response.defer()
            done = await self._accept[button.name](interaction, button.about)
            await interaction.edit_original_response(content=done, view=None, allowed_mentions=discord.AllowedMentions.none())
