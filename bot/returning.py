"""What the bot does when it comes back: which threads are gone, and what was said meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

import discord

from bot.incoming import is_speech, mentions
from bot.places import Place
from bot.service import Service
from bot.views.offers import offer
from kernel_manager.errors import ThreadbookError

logger = logging.getLogger(__name__)

#: Messages of one place that are looked at.
MAX_MISSED = 50
#: For how long mentions in other channels are looked for, in how many channels of one server, and since when.
_MENTIONS_FOR = timedelta(hours=24)
_MAX_CHANNELS = 50
_HEARD = "discord_heard"
#: The clocks of Discord and of this machine may differ by this much; what is found a second time is known.
_SKEW = timedelta(seconds=30)
#: For how long after the last message somebody's direct messages are looked after.
_DIRECT_FOR = timedelta(days=7)
_MISSED = "I was away when this came."
_SEVERAL = "I was away when {count} messages came, this one first."


class Hears(Protocol):
    """Takes a message in, and tells its author what is wrong with it."""

    async def hear(self, message: discord.Message) -> None:
        """See the class."""


class Returning:
    """See the module. ``chat`` takes in what is fresh enough to be answered without asking."""

    def __init__(self, client: discord.Client, service: Service, chat: Hears) -> None:
        self._client = client
        self._service = service
        self._chat = chat
        self.busy = False
        self._wanted = False

    async def go(self) -> None:
        """Look after every place, one after the other; one that fails does not keep the others waiting."""
        self._wanted = True
        if self.busy:
            return  # who is at it begins anew
        self.busy = True
        try:
            while self._wanted:
                self._wanted = False
                await self._go_round()
        except (ThreadbookError, discord.HTTPException) as exc:
            logger.warning("what was missed is not known: %s", exc)
        finally:
            self.busy = False

    async def _go_round(self) -> None:
        for place in await self._service.places.all():
            if place.ended_at is None:
                await self._look_after(place)
        await self._find_mentions()
        await self.note_alive()

    async def reconcile(self, places: Sequence[Place]) -> int:
        """End the sessions of threads that are gone; return how many these were."""
        gone = [place for place in places if place.ended_at is None and await self._is_gone(place)]
        for place in gone:
            await self._service.end(place.channel_id)
        return len(gone)

    async def _is_gone(self, place: Place) -> bool:
        try:
            await self._channel(place)
        except discord.NotFound:
            return place.guild_id is not None
        except discord.HTTPException:
            return False
        return False

    # --- mentions elsewhere ---------------------------------------------------------------------------------------

    async def note_alive(self) -> None:
        """Remember up to when messages were heard. Raises DatabaseError."""
        heard = discord.utils.time_snowflake(self._service.clock() - _SKEW)
        await self._service.interpreter.database.set_config(_HEARD, heard)

    async def _find_mentions(self) -> None:
        """Look for mentions in channels that are no places, since the last time that messages were heard for certain."""
        heard = int(str(await self._service.interpreter.database.get_config(_HEARD) or 0))
        earliest = discord.utils.time_snowflake(self._service.clock() - _MENTIONS_FOR)
        if not heard:
            return
        since = discord.Object(max(heard, earliest))
        for guild in self._client.guilds:
            channels: list[discord.TextChannel | discord.Thread] = [*guild.text_channels, *guild.threads]
            found = [one for one in channels if (one.last_message_id or 0) > since.id]
            for channel in sorted(found, key=lambda one: one.last_message_id or 0, reverse=True)[:_MAX_CHANNELS]:
                await self._find_mentions_in(channel, since)

    async def _find_mentions_in(self, channel: discord.TextChannel | discord.Thread, since: discord.Object) -> None:
        if self._client.user is None or await self._service.places.find(channel.id) is not None:
            return
        try:
            missed = [message async for message in channel.history(limit=MAX_MISSED, after=since, oldest_first=True)]
        except discord.HTTPException as exc:
            logger.warning("channel %s was not looked after: %s", channel.id, exc)
            return
        for message in missed:
            if not is_speech(message) or not mentions(message, self._client.user.id):
                continue
            if await self._service.places.find(message.id) is not None:
                continue  # a thread that begins with a message has its id
            if message.created_at >= self._service.clock() - self._service.fresh_for:
                await self._chat.hear(message)
            else:
                nobody = discord.AllowedMentions.none()
                await message.reply(_MISSED, view=offer("late", message.id), allowed_mentions=nobody)

    # --- places ---------------------------------------------------------------------------------------------------

    async def _look_after(self, place: Place) -> None:
        try:
            channel = await self._channel(place)
            if channel is not None:
                await self._catch_up(place, channel)
        except discord.NotFound:
            if place.guild_id is not None:
                logger.info("thread %s was deleted meanwhile", place.channel_id)
                await self._service.end(place.channel_id)
        except (discord.HTTPException, ThreadbookError) as exc:
            logger.warning("place %s was not looked after: %s", place.channel_id, exc)

    async def _channel(self, place: Place) -> discord.Thread | discord.DMChannel | None:
        """The channel of a place; None where the bot is no more. Raises NotFound for one that was deleted."""
        if place.guild_id is None:
            if not place.handled or self._service.clock() - discord.utils.snowflake_time(place.handled) > _DIRECT_FOR:
                return None  # to ask Discord about everybody who ever wrote would take hours
            user = self._client.get_user(place.owner_id) or await self._client.fetch_user(place.owner_id)
            return await user.create_dm()
        guild = self._client.get_guild(place.guild_id)
        if guild is None or guild.unavailable:
            return None
        found = guild.get_thread(place.channel_id) or await guild.fetch_channel(place.channel_id)
        return found if isinstance(found, discord.Thread) else None

    async def _catch_up(self, place: Place, channel: discord.Thread | discord.DMChannel) -> None:
        if not place.handled or (isinstance(channel, discord.Thread) and (channel.last_message_id or 0) <= place.handled):
            return
        conversation = self._service.running(place.channel_id)
        after = discord.Object(place.handled)
        missed = [
            message
            async for message in channel.history(limit=MAX_MISSED, after=after, oldest_first=True)
            if is_speech(message)
            and place.may_run(message.author.id)
            and not (conversation is not None and conversation.has_seen(message.id))
        ]
        limit = self._service.clock() - self._service.fresh_for
        stale = [message for message in missed if message.created_at < limit]
        if stale:
            text = _MISSED if len(stale) == 1 else _SEVERAL.format(count=len(stale))
            await self._offer(channel, [message.id for message in stale], text)
            await self._service.places.note_handled(place, [message.id for message in stale])
        for message in missed[len(stale) :]:
            await self._chat.hear(message)

    async def _offer(self, channel: discord.Thread | discord.DMChannel, messages: Sequence[int], text: str) -> None:
        first, last = min(messages), max(messages)
        reference = channel.get_partial_message(first).to_reference(fail_if_not_exists=False)
        await channel.send(
            text,
            view=offer("missed", f"{first}-{last}"),
            reference=reference,
            mention_author=False,
            allowed_mentions=discord.AllowedMentions.none(),
        )
