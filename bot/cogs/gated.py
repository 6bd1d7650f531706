"""What the cogs have in common: nobody gets further than the gate lets them, and nobody is left without an answer."""

from __future__ import annotations

from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.cogs.errors import answer, answer_failure
from bot.cogs.places import asker_of
from bot.gate import RefusedError
from bot.service import Service


class Gated(commands.Cog):
    """A cog whose commands are only for those who may use the bot where they are."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def interaction_check(self, interaction: discord.Interaction[Any], /) -> bool:
        """Refuse with a reason."""
        try:
            await self._service.gate.check(asker_of(interaction))
        except RefusedError as exc:
            if interaction.type is not discord.InteractionType.autocomplete:
                await answer(interaction, f"Sorry, {exc}.")
            return False
        return True

    async def cog_app_command_error(self, interaction: discord.Interaction[Any], error: app_commands.AppCommandError, /) -> None:
        """Whatever a command did not foresee still gets an answer, and the log the rest."""
        if not isinstance(error, app_commands.CheckFailure):
            await answer_failure(interaction, getattr(error, "original", error))
