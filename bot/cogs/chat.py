"""Conversations: what is said at a place of ours is a turn; a mention opens a thread with a session, or adopts one."""

from __future__ import annotations

import contextlib
import logging
from datetime import timedelta
from typing import Any

import discord
from discord.ext import commands

from bot.cogs.gated import Gated
from bot.cogs.offers import Offers
from bot.cogs.places import DIRECT
from bot.conversation import FULL, Conversation, Incoming
from bot.failures import failure_line, noted_failure
from bot.gate import Asker
from bot.incoming import incoming_of, is_speech, mentions, words_of
from bot.markdown import verbatim
from bot.opening_threads import NoThreadError, adopted, thread_for
from bot.places import Place
from bot.service import Service
from bot.views.offers import offer
from kernel_manager.errors import ThreadbookError, UsageError

logger = logging.getLogger(__name__)

NOT_YOURS = "This session is somebody else's: its owner can `/share` it. Mention me in a channel to have one of your own."
ASKED_IN_PRIVATE = "That is a secret: delete your message, press **Answer** and enter it there. I did not take it."
#: An edit that is older is one of Discord's own, such as a preview of a link that was added.
_JUST_NOW = timedelta(minutes=1)


class Chat(Gated, name="Threadbook chat"):
    """See the module."""

    def __init__(self, bot: commands.Bot | commands.AutoShardedBot, service: Service, offers: Offers) -> None:
        super().__init__(service)
        self._bot = bot
        offers.on("edited", self._again)
        offers.on("direct", self._go_direct)
        offers.on("late", self._answer_late)

    @commands.Cog.listener()
    async def on_message(self, message: discord.Message) -> None:
        """Answer what is said at a place of ours, or to the bot."""
        if not is_speech(message) or (await self._bot.get_context(message)).valid:
            return  # what is a command of the bot that we are a guest of is none of our business
        await self.hear(message)

    async def hear(self, message: discord.Message) -> None:
        """Take a message in; whoever wrote it learns what is wrong with it."""
        try:
            await self._hear(message)
        except UsageError as exc:
            await _reply(message, verbatim(str(exc), 1_500))
        except Exception as exc:  # noqa: BLE001  (whoever wrote gets an answer, whatever went wrong)
            await _reply(message, failure_line(exc, noted_failure(exc, f"a message of user {message.author.id}")))

    async def _hear(self, message: discord.Message) -> None:
        place = await self._place_of(message)
        if place is None:
            if self._is_meant(message):
                await self._service.gate.check(await asker_of(message))
                await self._begin(message)
        elif not place.may_run(message.author.id):
            if self._is_meant(message):
                await _reply(message, NOT_YOURS)
        else:
            await self.take(place, message)

    async def _place_of(self, message: discord.Message) -> Place | None:
        places = self._service.places
        if message.guild is None:
            return await places.open(message.channel.id, message.author.id, DIRECT, handled=message.id - 1)
        place = await places.find(message.channel.id)
        if place is not None and place.ended_at is not None:
            place = await places.change(place, ended_at=None)  # it was not deleted after all
        return place

    def _is_meant(self, message: discord.Message) -> bool:
        return self._bot.user is not None and mentions(message, self._bot.user.id)

    async def _begin(self, message: discord.Message) -> None:
        assert self._bot.user is not None
        text = words_of(message, self._bot.user.id)
        try:
            thread = await thread_for(message, text)
        except NoThreadError as exc:
            await message.reply(str(exc), view=offer("direct", message.id), allowed_mentions=discord.AllowedMentions.none())
            return
        place = await adopted(self._service, thread, message.author.id, message.id - 1)
        if not text and not message.attachments and message.reference is None:
            await thread.send("Go on: ask, send code, or attach a file.")
            return
        await self.take(place, message, thread)

    async def take(
        self, place: Place, message: discord.Message, channel: discord.abc.Messageable | None = None, *, again: bool = False
    ) -> None:
        """Have a message at a place answered; ``channel`` is where, if not where it was said.

        One that was taken in already is taken in only if that is asked for. Raises UsageError.
        """
        conversation = self._service.conversation(place, channel or message.channel)
        if not conversation.claim(message.id) and not again:
            return
        try:
            await self._service.gate.check(await asker_of(message))
            if await self._is_answer(conversation, message):
                return
            incoming = await self._incoming(message)
            if incoming is None:
                return
            taken = conversation.add(incoming)
        except UsageError:
            await self._service.places.note_handled(place, [message.id])  # it has its answer: the refusal
            raise
        if not taken:
            raise UsageError(FULL)

    async def _is_answer(self, conversation: Conversation, message: discord.Message) -> bool:
        """Whether a message was the answer to a question of the code's."""
        assert self._bot.user is not None
        asked = message.reference.message_id if message.reference is not None else None
        if asked is None or not conversation.is_question(asked):
            return False
        if conversation.question is not None and conversation.question.password:
            await _reply(message, ASKED_IN_PRIVATE)
            answered = True
        else:
            answered = conversation.answer(words_of(message, self._bot.user.id))
        if answered:
            await self._service.places.note_handled(conversation.place, [message.id])
        return answered

    async def _incoming(self, message: discord.Message) -> Incoming | None:
        assert self._bot.user is not None
        return await incoming_of(message, self._bot.user.id, model=self._service.agent is not None)

    # --- edited messages ------------------------------------------------------------------------------------------

    @commands.Cog.listener()
    async def on_raw_message_edit(self, payload: discord.RawMessageUpdateEvent) -> None:
        """Offer to run an edited message again; one that still waits is answered as it is now."""
        message, before = payload.message, payload.cached_message
        if not is_speech(message) or not message.content or message.edited_at is None:
            return
        if before is not None and before.content == message.content:
            return
        now = self._service.clock()
        if now - message.edited_at > _JUST_NOW or now - message.created_at > self._service.fresh_for:
            return
        try:
            await self._offer_edited(message)
        except UsageError:  # it asks for nothing that could be done
            return
        except (ThreadbookError, discord.HTTPException) as exc:
            logger.warning("an edited message of user %s was left alone: %s", message.author.id, exc)

    async def _offer_edited(self, message: discord.Message) -> None:
        place = await self._service.places.find(message.channel.id)
        if place is None or not place.may_run(message.author.id):
            return
        await self._service.gate.check(await asker_of(message))
        conversation = self._service.running(place.channel_id)
        incoming = await self._incoming(message)
        if incoming is None or (conversation is not None and conversation.replace(incoming)):
            return
        await message.reply("You edited this.", view=offer("edited", message.id), allowed_mentions=discord.AllowedMentions.none())

    async def _again(self, interaction: discord.Interaction[Any], about: str) -> str:
        message = await _own_message(interaction, about, "only who wrote the message can run it again")
        place = await self._service.places.find(message.channel.id)
        if place is None or not place.may_run(interaction.user.id):
            raise UsageError("this is no session of yours any more")
        await self.take(place, message, again=True)
        return "Running it again."

    async def _answer_late(self, interaction: discord.Interaction[Any], about: str) -> str:
        """Answer a mention that came while the bot was away."""
        message = await _own_message(interaction, about, "only who wrote the message can have it answered")
        await self._hear(message)
        return "I answer it now."

    async def _go_direct(self, interaction: discord.Interaction[Any], about: str) -> str:
        """Answer a message from a channel without threads in direct messages."""
        message = await _own_message(interaction, about, "write to me directly to have a session of your own")
        direct = await message.author.create_dm()
        place = await self._service.places.open(direct.id, message.author.id, DIRECT, handled=interaction.id)
        try:
            await direct.send("Here I am: go on here.")
        except discord.Forbidden as exc:
            raise UsageError("I cannot write to you: allow direct messages from members of this server") from exc
        await self.take(place, message, direct)
        return "I answer in direct messages."


async def _own_message(interaction: discord.Interaction[Any], message_id: str, refusal: str) -> discord.Message:
    """Return the message that an offer is about; raises UsageError with ``refusal`` for anybody but who wrote it."""
    channel = interaction.channel
    assert isinstance(channel, discord.abc.Messageable)
    message = await fetched(channel, int(message_id))
    if message.author.id != interaction.user.id:
        raise UsageError(refusal)
    return message


async def fetched(channel: discord.abc.Messageable, message_id: int) -> discord.Message:
    """Return a message; raises UsageError if it is gone."""
    try:
        return await channel.fetch_message(message_id)
    except discord.NotFound as exc:
        raise UsageError("the message is gone; send it again") from exc


async def asker_of(message: discord.Message) -> Asker:
    """Return who wrote a message; of one that was fetched, Discord does not tell the author's roles."""
    author: discord.abc.User = message.author
    if message.guild is not None and not isinstance(author, discord.Member):
        with contextlib.suppress(discord.HTTPException):  # who has left the server has no roles there
            author = await message.guild.fetch_member(author.id)
    return Asker.of(author, message.channel, message.guild)


async def _reply(message: discord.Message, text: str) -> None:
    try:
        await message.reply(text, allowed_mentions=discord.AllowedMentions.none())
    except discord.HTTPException as exc:
        logger.warning("user %s could not be answered: %s", message.author.id, exc)
