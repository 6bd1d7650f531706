"""Archived threads: messages in them cannot be edited, so they are reopened first."""

from __future__ import annotations

import logging

import discord

logger = logging.getLogger(__name__)


async def reopened(channel: discord.abc.Messageable) -> discord.abc.Messageable:
    """Return a channel that can be written to: an archived thread is reopened, if the bot may do that."""
    if not isinstance(channel, discord.Thread):
        return channel
    # the one that is held may be of the time before it was archived; those that are open are all known
    known = channel.guild.get_thread(channel.id)
    if known is not None and not known.archived:
        return known
    try:
        return await channel.edit(archived=False)
    except discord.HTTPException as exc:
        logger.warning("thread %s could not be reopened: %s", channel.id, exc)
        return channel
