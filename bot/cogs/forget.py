"""``/forget``: a user's files, sessions and records are deleted, when they confirm it."""

from __future__ import annotations

import logging
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.cogs.errors import answer, deferred
from bot.cogs.offers import Offers
from bot.service import Service
from bot.views.offers import offer
from kernel_manager.errors import UsageError

logger = logging.getLogger(__name__)

QUESTION = """\
This deletes, at once and for good: your {files} files, your {places} sessions with all that was said and run in them, your \
usage, your assistant and whatever else I know of you. Threads stay in Discord, delete them there; what you said in sessions \
of others stays in those. Shall I?"""
DONE = "All of yours is deleted: {files} files, {sessions} sessions, your usage and your choices."


class Forget(commands.Cog, name="Threadbook forgetting"):
    """See the module. It is open to those whom an operator has blocked, too."""

    def __init__(self, service: Service, offers: Offers) -> None:
        self._service = service
        offers.on("forget", self._confirmed)

    @app_commands.command(name="forget", description="Delete your files, your sessions and all that is known of you")
    async def forget(self, interaction: discord.Interaction[Any]) -> None:
        """Ask first."""
        async with deferred(interaction):
            files = await self._service.interpreter.files.list(interaction.user.id)
            places = await self._service.places.of_user(interaction.user.id)
            text = QUESTION.format(files=len(files), places=sum(len(place.session_ids) for place in places))
            await answer(interaction, text, view=offer("forget", interaction.user.id))

    async def _confirmed(self, interaction: discord.Interaction[Any], about: str) -> str:
        if str(interaction.user.id) != about:
            raise UsageError("only they can do that")
        files, sessions = await forget_user(self._service, interaction.user.id)
        return DONE.format(files=files, sessions=sessions)


async def forget_user(service: Service, user_id: int) -> tuple[int, int]:
    """Delete what a user has and what is known of them; return how many files and sessions. Raises ServiceError."""
    interpreter, user = service.interpreter, str(user_id)
    for place in await service.places.of_user(user_id):
        await service.remove(place)
    sessions = [info.session_id for info in await interpreter.sessions() if info.user_id == user]
    for session_id in sessions:
        await interpreter.remove_session(user, session_id)
    files = await interpreter.files.list(user)
    for file in files:
        await interpreter.files.remove(user, file.file_id)
    await service.places.forget_user(user_id)
    await interpreter.refresh_selections()
    await (await interpreter.user_packages(user)).reset()
    await interpreter.database.reset_user_token_stats(user)
    await interpreter.database.set_user_assistant(user, None)
    logger.info("user %s was forgotten: %d files, %d sessions", user, len(files), len(sessions))
    return len(files), len(sessions)
