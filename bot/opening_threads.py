"""Opens threads for sessions, in whatever kind of channel somebody asks."""

from __future__ import annotations

from typing import Final

import discord

from bot.places import Place, thread_session
from bot.service import Service
from kernel_manager.errors import UsageError

_ARCHIVE_MINUTES: Final = 1440
_NAME = 90
_THREAD_EXISTS = 160004


class NoThreadError(UsageError):
    """There can be no thread there."""


async def adopted(service: Service, thread: discord.Thread, owner_id: int, handled: int) -> Place:
    """Return the place that a thread is; it becomes the owner's if it was nobody's. ``handled`` is as for :meth:`Places.open`."""
    session_id, title = thread_session(thread.id), thread.name[:_NAME]
    return await service.places.open(thread.id, owner_id, session_id, handled=handled, guild_id=thread.guild.id, title=title)


async def thread_for(message: discord.Message, text: str) -> discord.Thread:
    """Return the thread that a message is in, or one that begins with it. Raises NoThreadError."""
    if isinstance(message.channel, discord.Thread):
        return message.channel
    name = title_of(text) or f"Session of {message.author.display_name}"[:_NAME]
    try:
        return await message.create_thread(name=name, auto_archive_duration=_ARCHIVE_MINUTES)
    except discord.HTTPException as exc:
        if exc.code == _THREAD_EXISTS and (thread := await _existing(message)) is not None:
            return thread
        if exc.status >= 500:
            raise
        raise NoThreadError("I cannot open a thread here. I can answer you in direct messages.") from exc
    except ValueError as exc:
        raise NoThreadError("There are no threads here. I can answer you in direct messages.") from exc


async def new_thread(channel: object, user: discord.abc.User, *, name: str | None, private: bool = False) -> discord.Thread:
    """Open a thread in a text channel, or beside a thread, or a post in a forum, for a user. Raises UsageError."""
    place = channel.parent if isinstance(channel, discord.Thread) else channel
    title = title_of(name or "") or f"Session of {user.display_name}"[:_NAME]
    try:
        if isinstance(place, discord.ForumChannel):
            made = await place.create_thread(
                name=title,
                content=f"A session of {user.mention}.",
                auto_archive_duration=_ARCHIVE_MINUTES,
                allowed_mentions=discord.AllowedMentions.none(),
            )
            return made.thread
        if not isinstance(place, discord.TextChannel):
            raise NoThreadError("threads cannot be opened here: use a text channel, or write to me directly")
        kind = discord.ChannelType.private_thread if private else discord.ChannelType.public_thread
        thread = await place.create_thread(name=title, type=kind, auto_archive_duration=_ARCHIVE_MINUTES)
        await thread.add_user(user)
    except discord.Forbidden as exc:
        raise NoThreadError("I may not open threads here: ask for the permission, or write to me directly") from exc
    return thread


def title_of(text: str) -> str:
    """Return the name of a thread for what is asked in it; empty for nothing."""
    return text.split("\n")[0][:_NAME].strip(" `*_#")


async def _existing(message: discord.Message) -> discord.Thread | None:
    """The thread that begins with a message: it has the message's id."""
    assert message.guild is not None
    thread = message.guild.get_thread(message.id)
    if thread is not None:
        return thread
    found = await message.guild.fetch_channel(message.id)
    return found if isinstance(found, discord.Thread) else None
