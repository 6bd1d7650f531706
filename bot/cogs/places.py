"""Whose session an interaction is about."""

from __future__ import annotations

from typing import Any

import discord

from bot.places import Place
from bot.service import Service
from kernel_manager.errors import UsageError

DIRECT = "default"


async def place_of(service: Service, interaction: discord.Interaction[Any]) -> Place:
    """Return the place of an interaction, which must be its user's own. Raises UsageError, DatabaseError."""
    channel_id = interaction.channel_id
    if channel_id is None:
        raise UsageError("use this in a thread of mine or in direct messages")
    if interaction.guild_id is None:
        return await service.places.open(channel_id, interaction.user.id, DIRECT)
    place = await service.places.find(channel_id)
    if place is None:
        raise UsageError("this is no thread of mine: mention me or use /new to open one")
    if place.owner_id != interaction.user.id:
        raise UsageError("this session is somebody else's: mention me elsewhere or use /new to have your own")
    return place


def thread_session(channel_id: int) -> str:
    """Return the id of a thread's first session."""
    return f"discord-{channel_id}"
