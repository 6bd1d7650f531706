"""The command group that all of ours are below inside somebody else's bot, and how commands are called there."""

from __future__ import annotations

import re
from typing import Any

import discord
from discord import app_commands

GROUP = "threadbook"


def as_called(text: str, client: discord.Client) -> str:
    """Return a text of ours with its commands as the users of this bot call them: ``/threadbook new`` for ``/new``."""
    tree: app_commands.CommandTree[Any] | None = getattr(client, "tree", None)
    group = tree.get_command(GROUP) if tree is not None else None
    if not isinstance(group, app_commands.Group):
        return text
    names = "|".join(re.escape(command.name) for command in group.commands)
    return re.sub(rf"(?<![\w/.])/(?=(?:{names})\b(?![/.]))", f"/{GROUP} ", text)
