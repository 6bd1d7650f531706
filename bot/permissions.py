"""What the bot needs of Discord, and what of it is missing. Pure."""

from __future__ import annotations

import discord

#: For which of the permissions of a server something does not work without, in the order of the README.
NEEDED = discord.Permissions(
    view_channel=True,
    send_messages=True,
    send_messages_in_threads=True,
    create_public_threads=True,
    create_private_threads=True,
    attach_files=True,
    read_message_history=True,
)
MESSAGE_CONTENT_OFF = (
    "the Message Content intent is off: messages without a mention cannot be read, so in threads the bot must be mentioned; "
    "turn it on under Bot → Privileged Gateway Intents in the Developer Portal and start again"
)
#: Names as Discord's settings show them, where they are not those of the API.
_SHOWN = {"read_messages": "View Channels"}


def missing_permissions(guild: discord.Guild) -> str:
    """Name what the bot may not do in a server, as its settings call it; empty if nothing is missing."""
    held = guild.me.guild_permissions
    if held.administrator:
        return ""
    return ", ".join(
        _SHOWN.get(name, name.replace("_", " ").title().replace(" In ", " in "))
        for name, needed in NEEDED
        if needed and not getattr(held, name)
    )


def invitation(application_id: int) -> str:
    """Return the link that invites the bot with what it needs."""
    return discord.utils.oauth_url(application_id, permissions=NEEDED, scopes=("bot", "applications.commands"))
