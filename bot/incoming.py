"""From a message of Discord's to what a conversation takes in: its words, its code, and every file that counts as attached."""

from __future__ import annotations

import contextlib
import re
from typing import Any

import discord

from bot.conversation import Incoming
from bot.hand_in import described
from bot.message_code import code_to_run, is_run
from kernel_manager.errors import UsageError

#: Attachments of one message, those of a message that it forwards or answers included.
_MAX_ATTACHMENTS = 20
_SPOKEN = (discord.MessageType.default, discord.MessageType.reply)
NO_CODE = "send the code behind `!run`, in a code block or as a .py file"


def is_speech(message: discord.Message) -> bool:
    """Whether a person said it: no bot, and it is none of Discord's own notices."""
    return not message.author.bot and message.type in _SPOKEN


def words_of(message: discord.Message, bot_id: int) -> str:
    """Return the text of a message without the mention of the bot, and that of a message that it forwards."""
    own = re.sub(rf"<@!?{bot_id}>", "", message.content).strip()
    forwarded = [snapshot.content.strip() for snapshot in message.message_snapshots if snapshot.content.strip()]
    return "\n\n".join([*([own] if own else []), *(f"Forwarded message:\n{text}" for text in forwarded)])


def mentions(message: discord.Message, bot_id: int) -> bool:
    """Whether a message mentions the bot itself: neither everybody, nor by a mere reply."""
    return re.search(rf"<@!?{bot_id}>", message.content) is not None


async def attachments_of(message: discord.Message) -> list[dict[str, Any]]:
    """Return the attachments of a message, and of messages that it forwards or answers, each once."""
    found = [*message.attachments, *(file for snapshot in message.message_snapshots for file in snapshot.attachments)]
    answered = await _answered(message)
    found += answered.attachments if answered is not None else []
    return [known(file) for file in {file.id: file for file in found}.values()][:_MAX_ATTACHMENTS]


def known(file: discord.Attachment) -> dict[str, Any]:
    """Return an attachment as downloads know it, and by its id: one that came in before is not taken a second time."""
    return {**described(file), "id": file.id}


async def incoming_of(message: discord.Message, bot_id: int, *, model: bool) -> Incoming | None:
    """Return what a message says and brings along; None if that is nothing. Raises UsageError for `!run` without code."""
    text = words_of(message, bot_id)
    files = await attachments_of(message)
    cells = code_to_run(text, model=model)
    scripts = is_run(text) and not cells
    if scripts and not files:
        raise UsageError(NO_CODE)
    if not text and not files:
        return None
    author = message.author
    return Incoming(author.display_name, text, cells, tuple(files), message.created_at, scripts, author.id, message.id)


async def _answered(message: discord.Message) -> discord.Message | None:
    """The message that one replies to."""
    reference = message.reference
    if reference is None or reference.message_id is None or message.type is not discord.MessageType.reply:
        return None
    if isinstance(reference.resolved, discord.Message):
        return reference.resolved
    with contextlib.suppress(discord.HTTPException):
        return await message.channel.fetch_message(reference.message_id)
    return None
