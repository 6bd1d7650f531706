"""Conversations: a mention or ``/new`` opens a thread with a session of its own; direct messages are the default session."""

from __future__ import annotations

import logging
import re
from typing import Any, Final

import discord
from discord import app_commands
from discord.ext import commands

from bot.cogs.errors import answer, explained
from bot.cogs.places import DIRECT, place_of, thread_session
from bot.conversation import Incoming
from bot.hand_in import described
from bot.message_code import PREFIX, code_blocks, code_to_run
from bot.places import Place
from bot.service import Service
from kernel_manager.errors import ThreadbookError, UsageError

logger = logging.getLogger(__name__)

_ARCHIVE_MINUTES: Final = 1440
_NAME = 90
_SPOKEN = (discord.MessageType.default, discord.MessageType.reply)


class Chat(commands.Cog, name="Threadbook chat"):
    """See the module."""

    def __init__(self, bot: commands.Bot | commands.AutoShardedBot, service: Service) -> None:
        self._bot = bot
        self._service = service

    @commands.Cog.listener()
    async def on_message(self, message: discord.Message) -> None:
        """Answer what is said at a place of ours, or to the bot."""
        if message.author.bot or message.type not in _SPOKEN or (await self._bot.get_context(message)).valid:
            return  # what is a command of the bot that we are a guest of is none of our business
        try:
            await self._hear(message)
        except ThreadbookError as exc:
            logger.warning("a message of user %s was not handled: %s", message.author.id, exc)
            await message.reply(str(exc)[:1_500], allowed_mentions=discord.AllowedMentions.none())

    @commands.Cog.listener()
    async def on_raw_thread_delete(self, payload: discord.RawThreadDeleteEvent) -> None:
        """A thread that is gone needs no kernel."""
        await self._service.end(payload.thread_id)

    async def _hear(self, message: discord.Message) -> None:
        if message.guild is None:
            place = await self._service.places.open(message.channel.id, message.author.id, DIRECT)
            await self._take(place, message.channel, message)
            return
        place_or_none = await self._service.places.find(message.channel.id)
        if place_or_none is not None:
            if place_or_none.owner_id == message.author.id:
                await self._take(place_or_none, message.channel, message)
            elif self._is_meant(message):
                await _reply(message, "This session is somebody else's. Mention me in a channel to have one of your own.")
        elif self._is_meant(message):
            await self._begin(message)

    def _is_meant(self, message: discord.Message) -> bool:
        """Whether the bot itself is mentioned: neither everybody, nor by a mere reply."""
        user = self._bot.user
        return user is not None and re.search(rf"<@!?{user.id}>", message.content) is not None

    async def _begin(self, message: discord.Message) -> None:
        channel: discord.abc.Messageable = message.channel
        if not isinstance(channel, discord.Thread):
            name = (
                self._text(message).split("\n")[0][:_NAME].strip(" `*_#") or f"Session of {message.author.display_name}"[:_NAME]
            )
            try:
                channel = await message.create_thread(name=name, auto_archive_duration=_ARCHIVE_MINUTES)
            except (discord.Forbidden, ValueError):
                await _reply(message, "I cannot open a thread here. Write to me in direct messages instead.")
                return
        assert isinstance(channel, discord.Thread)
        place = await self._service.places.open(channel.id, message.author.id, thread_session(channel.id))
        if not self._text(message) and not message.attachments:
            await channel.send("Go on: ask, send code, or attach a file.")
            return
        await self._take(place, channel, message)

    def _text(self, message: discord.Message) -> str:
        user = self._bot.user
        return re.sub(rf"<@!?{user.id}>", "", message.content).strip() if user is not None else message.content

    async def _take(self, place: Place, channel: discord.abc.Messageable, message: discord.Message) -> None:
        text = self._text(message)
        conversation = self._service.conversation(place, channel)
        reference = message.reference.message_id if message.reference is not None else None
        if reference is not None and conversation.is_question(reference):
            if conversation.question is not None and conversation.question.password:
                await _reply(
                    message, "That is a secret: delete your message, press **Answer** and enter it there. I did not take it."
                )
                return
            if conversation.answer(text):
                return
        cells = code_to_run(text, model=self._service.agent is not None)
        files = tuple(described(attachment) for attachment in message.attachments)
        if not text and not files:
            return
        scripts = text == PREFIX and bool(files)
        incoming = Incoming(message.author.display_name, text, cells, files, message.created_at, scripts)
        if not conversation.add(incoming):
            await _reply(message, "Too much is queued here; wait for the turn that runs, or stop it.")

    # --- commands -------------------------------------------------------------------------------------------------

    @app_commands.command(name="new", description="Open a thread with a session of its own")
    @app_commands.describe(name="What the thread is called", private="Only you and whom you invite see it")
    @app_commands.guild_only()
    async def new(self, interaction: discord.Interaction[Any], name: str | None = None, private: bool = False) -> None:
        """Open a thread."""
        async with explained(interaction):
            channel = interaction.channel
            if isinstance(channel, discord.Thread):
                channel = channel.parent
            if not isinstance(channel, discord.TextChannel):
                raise UsageError("threads cannot be opened here: use this in a text channel, or write to me directly")
            await interaction.response.defer(ephemeral=True, thinking=True)
            kind = discord.ChannelType.private_thread if private else discord.ChannelType.public_thread
            title = (name or f"Session of {interaction.user.display_name}")[:_NAME]
            try:
                thread = await channel.create_thread(name=title, type=kind, auto_archive_duration=_ARCHIVE_MINUTES)
                await thread.add_user(interaction.user)
            except discord.Forbidden as exc:
                raise UsageError("I may not open threads here: ask for the permission, or write to me directly") from exc
            await self._service.places.open(thread.id, interaction.user.id, thread_session(thread.id))
            await answer(interaction, f"Your session: {thread.mention}")

    @app_commands.command(name="run", description="Run Python here, without the model")
    @app_commands.describe(code="The code of a cell")
    async def run(self, interaction: discord.Interaction[Any], code: app_commands.Range[str, 1, 4_000]) -> None:
        """Run a cell."""
        async with explained(interaction):
            place = await place_of(self._service, interaction)
            channel = interaction.channel
            if not isinstance(channel, discord.abc.Messageable):
                raise UsageError("nothing can run in this channel")
            cells = code_blocks(code) or (code,)
            taken = self._service.conversation(place, channel).add(Incoming(interaction.user.display_name, "", cells))
            await answer(interaction, "Running it." if taken else "Too much is queued here.")


async def _reply(message: discord.Message, text: str) -> None:
    await message.reply(text, allowed_mentions=discord.AllowedMentions.none())
