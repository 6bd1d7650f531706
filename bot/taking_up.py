"""After a kill: threads whose turn was interrupted are told what happened, and what became of it."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import discord

from bot.journal import LeftTurn
from bot.service import Service
from kernel_manager.errors import ThreadbookError

logger = logging.getLogger(__name__)

#: The clocks of Discord and of this machine may differ by this much.
_SKEW = timedelta(seconds=3)
_MAX_MESSAGES = 300
_BUTTON = re.compile(r"^threadbook:\w+:(\d+)-\d+:(.+)$")


async def take_up_left_turns(client: discord.Client, service: Service) -> None:
    """Show what came of the turns that an earlier process was killed in; those of channels that are gone are forgotten."""
    for left in service.take_left_turns():
        try:
            await _take_up(client, service, left)
        except (discord.NotFound, discord.Forbidden) as exc:
            logger.warning("the turn that was interrupted in channel %d cannot be shown: %s", left.channel_id, exc)
            service.journal.strike(left.channel_id)
        except (discord.HTTPException, ThreadbookError, OSError) as exc:
            logger.warning("the turn that was interrupted in channel %d is shown after the next start: %s", left.channel_id, exc)


async def _take_up(client: discord.Client, service: Service, left: LeftTurn) -> None:
    channel = client.get_channel(left.channel_id) or await client.fetch_channel(left.channel_id)
    place = await service.places.find(left.channel_id)
    if place is None or place.session_id != left.session_id or not isinstance(channel, discord.abc.Messageable):
        service.journal.strike(left.channel_id)
        return
    logger.warning("the turn of user %s in session %s was interrupted by a restart", left.user_id, left.session_id)
    await _withdraw_shown(client, channel, left)
    service.conversation(place, channel).take_up(left)


async def _withdraw_shown(client: discord.Client, channel: discord.abc.Messageable, left: LeftTurn) -> None:
    """Delete what the turn had shown: it is shown again whole, and nobody would bring it up to date any more."""
    messages = channel.history(limit=_MAX_MESSAGES, after=left.moment - _SKEW, oldest_first=True)
    for message in shown_of([message async for message in messages if message.author == client.user], left):
        try:
            await message.delete()
        except discord.HTTPException as exc:
            logger.warning("a message of an interrupted turn stays: %s", exc)


def shown_of(own: Sequence[discord.Message], left: LeftTurn) -> list[discord.Message]:
    """Which of the bot's own messages, the oldest first, show the turn.

    Panels and files have no text of their own; the last panel of the turn before has other buttons, and what is older than it
    belongs to that turn, too.
    """
    found: list[discord.Message] = []
    for message in own:
        if message.content:
            continue
        ids = _custom_ids(message)
        turns = {(int(match[1]), match[2]) for match in map(_BUTTON.match, ids) if match is not None}
        if ids and (left.cells, left.session_id) not in turns:
            found.clear()
        else:
            found.append(message)
    return found


def _custom_ids(message: discord.Message) -> list[str]:
    rows: list[Any] = [row for row in message.components if isinstance(row, discord.ActionRow)]
    return [child.custom_id for row in rows for child in row.children if getattr(child, "custom_id", None)]
