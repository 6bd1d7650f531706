"""Keeps places and threads together: threads that are deleted, what was said while the bot was away, what has had its time."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import discord
from discord.ext import commands

from bot.cogs.chat import Chat
from bot.cogs.offers import Offers
from bot.incoming import is_speech
from bot.returning import MAX_MISSED, Returning
from bot.service import Service
from bot.sweeping import sweep
from kernel_manager.errors import ThreadbookError, UsageError

logger = logging.getLogger(__name__)

_SWEEP_S: Final = 3600.0
_ALIVE_S: Final = 60.0


class Keeping(commands.Cog, name="Threadbook keeping"):
    """See the module."""

    def __init__(self, bot: commands.Bot | commands.AutoShardedBot, service: Service, chat: Chat, offers: Offers) -> None:
        self._bot = bot
        self._service = service
        self._chat = chat
        self.returning = Returning(bot, service, chat)
        self._returning: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._living: asyncio.Task[None] | None = None
        offers.on("missed", self._run_missed)

    @commands.Cog.listener()
    async def on_ready(self) -> None:
        """Connected, or connected anew after a resume that failed: whatever happened meanwhile was not told."""
        self._returning = self._service.start(self.returning.go(), "looking after places", idle=True)
        if self._living is None or self._living.done():
            self._living = self._service.start(self._live(), "noting that messages are heard", idle=True)
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = self._service.start(self._sweep_for_ever(), "sweeping places", idle=True)

    async def cog_unload(self) -> None:
        """Leave nothing behind."""
        for task in (self._returning, self._sweeping, self._living):
            if task is not None:
                task.cancel()

    @commands.Cog.listener()
    async def on_raw_thread_delete(self, payload: discord.RawThreadDeleteEvent) -> None:
        """A thread that is gone needs no kernel."""
        try:
            await self._service.end(payload.thread_id)
        except ThreadbookError as exc:
            logger.warning("the session of thread %s was not ended: %s", payload.thread_id, exc)

    @commands.Cog.listener()
    async def on_guild_channel_delete(self, channel: discord.abc.GuildChannel) -> None:
        """With a channel go its threads, and Discord does not name them."""
        try:
            here = [place for place in await self._service.places.all() if place.guild_id == channel.guild.id]
            await self.returning.reconcile(here)
        except ThreadbookError as exc:
            logger.warning("the threads of channel %s were not looked after: %s", channel.id, exc)

    async def _live(self) -> None:
        """Note from time to time that messages are heard; not while it is not so, nor before what was missed was found."""
        while True:
            await asyncio.sleep(_ALIVE_S)
            if self._bot.is_closed() or not self._bot.is_ready() or self.returning.busy:
                continue
            try:
                await self.returning.note_alive()
            except ThreadbookError as exc:
                logger.warning("it was not noted that messages are heard: %s", exc)

    async def _sweep_for_ever(self) -> None:
        while True:
            try:
                await sweep(self._service)
            except (ThreadbookError, OSError) as exc:
                logger.warning("places were not swept, it is tried again: %s", exc)
            await asyncio.sleep(_SWEEP_S)

    async def _run_missed(self, interaction: discord.Interaction[Any], about: str) -> str:
        """Run what came while the bot was away: messages from the first to the last, of whoever may run here."""
        channel = interaction.channel
        place = await self._service.places.find(interaction.channel_id or 0)
        if place is None or not place.may_run(interaction.user.id):
            raise UsageError("this is no session of yours")
        assert isinstance(channel, discord.abc.Messageable)
        first, last = (int(number) for number in about.split("-"))
        bounds = {"after": discord.Object(first - 1), "before": discord.Object(last + 1)}
        found = [message async for message in channel.history(limit=MAX_MISSED, oldest_first=True, **bounds)]
        wanted = [one for one in found if is_speech(one) and place.may_run(one.author.id)]
        if not wanted:
            raise UsageError("what was said then is gone; say it again")
        for message in wanted:
            await self._chat.take(place, message, again=True)
        return f"Running {'it' if len(wanted) == 1 else 'them'} now."
