"""What the cogs have in common: nobody gets further than the gate lets them, and nobody is left without an answer."""

from __future__ import annotations

from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.cogs.errors import answer_failure
from bot.cogs.places import asker_of
from bot.service import Service


class Gated(commands.Cog):
    """A cog whose commands are only for those who may use the bot where they are."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def allow(self, interaction: discord.Interaction[Any]) -> None:
        """Raise RefusedError for those who may not use the bot, or not here."""
        await self._service.gate.check(asker_of(interaction))

    async def cog_app_command_error(self, interaction: discord.Interaction[Any], error: app_commands.AppCommandError, /) -> None:
        """Whatever a command did not foresee still gets an answer, and the log the rest."""
        await answer_failure(interaction, getattr(error, "original", error))
