"""Whose session an interaction is about."""

from __future__ import annotations

from typing import Any

import discord

from bot.gate import Asker
from bot.places import Place
from bot.service import Service
from kernel_manager.errors import UsageError

DIRECT = "default"
OWNER_ONLY = "only who opened this session can do that"


async def place_of(service: Service, interaction: discord.Interaction[Any]) -> Place:
    """Return the place of an interaction, whose user may run something there.

    Raises UsageError, DatabaseError.
    """
    await service.gate.check(asker_of(interaction))
    place = await found_place(service, interaction)
    if place is None:
        raise UsageError("this is no thread of mine: mention me or use /new to open one")
    if not place.may_run(interaction.user.id):
        raise UsageError("this session is somebody else's: mention me elsewhere or use /new to have your own")
    return place


async def own_place_of(service: Service, interaction: discord.Interaction[Any]) -> Place:
    """Return the place of an interaction, which must be its user's own. Raises UsageError, DatabaseError."""
    place = await place_of(service, interaction)
    check_owner(place, interaction)
    return place


def check_owner(place: Place, interaction: discord.Interaction[Any]) -> None:
    """Raise UsageError unless the user is the place's owner."""
    if place.owner_id != interaction.user.id:
        raise UsageError(OWNER_ONLY)


def check_session(place: Place, interaction: discord.Interaction[Any], session_id: str) -> None:
    """Raise UsageError for those who are let into what goes on at a place now, and ask for what was there before."""
    if session_id != place.session_id and place.owner_id != interaction.user.id:
        raise UsageError("that is of an earlier session, which is its owner's alone")


async def found_place(service: Service, interaction: discord.Interaction[Any]) -> Place | None:
    """Return the place of an interaction, whosever it is; direct messages are always one."""
    if interaction.channel_id is None:
        raise UsageError("use this in a thread of mine or in direct messages")
    if interaction.guild_id is None:
        return await service.places.open(interaction.channel_id, interaction.user.id, DIRECT, handled=interaction.id)
    return await service.places.find(interaction.channel_id)


def asker_of(interaction: discord.Interaction[Any]) -> Asker:
    """Return who asks, and where."""
    return Asker.of(interaction.user, interaction.channel, interaction.guild)
