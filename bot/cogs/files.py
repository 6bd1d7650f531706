"""``/files``: a user's files, wherever they are asked for."""

from __future__ import annotations

from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.cogs.errors import answer, explained
from bot.cogs.places import place_of
from bot.markdown import head, size, verbatim
from bot.rendering import MESSAGE_LIMIT
from bot.service import Service
from kernel_manager import UserFile

_MAX_CHOICES = 25
_MAX_CHOICE = 100
Name = app_commands.Range[str, 1, 250]


class FilesCog(commands.GroupCog, group_name="files", group_description="Your files", name="Threadbook files"):
    """See the module."""

    def __init__(self, service: Service) -> None:
        self._service = service

    @app_commands.command(name="list", description="List your files, the newest first")
    async def list_files(self, interaction: discord.Interaction[Any]) -> None:
        """List."""
        async with explained(interaction):
            files = await self._service.interpreter.files.list(interaction.user.id)
            await answer(interaction, listing(files))

    @app_commands.command(description="Delete a file")
    @app_commands.describe(file="Its name or id")
    async def delete(self, interaction: discord.Interaction[Any], file: Name) -> None:
        """Delete."""
        async with explained(interaction):
            removed = await self._service.interpreter.files.remove(interaction.user.id, file)
            await answer(interaction, f"{verbatim(removed.filename)} is deleted.")

    @app_commands.command(description="Keep a file longer")
    @app_commands.describe(file="Its name or id")
    async def extend(self, interaction: discord.Interaction[Any], file: Name) -> None:
        """Extend."""
        async with explained(interaction):
            extended = await self._service.interpreter.files.extend(interaction.user.id, file)
            await answer(interaction, f"{verbatim(extended.filename)} {_expiry(extended)}.")

    @app_commands.command(description="Make a file that the code of this session wrote a file of yours")
    @app_commands.describe(file="Its name, as the code wrote it")
    async def keep(self, interaction: discord.Interaction[Any], file: Name) -> None:
        """Keep."""
        async with explained(interaction):
            place = await place_of(self._service, interaction)
            added = await self._service.interpreter.files.keep(place.user_id, place.session_id, file)
            gone = "".join(f"\n-# {verbatim(old.filename)} went to make room" for old in added.removed[:10])
            await answer(
                interaction, f"{verbatim(added.file.filename)} is yours: it {_expiry(added.file)}.{gone}"[:MESSAGE_LIMIT]
            )

    @delete.autocomplete("file")
    @extend.autocomplete("file")
    async def _names(self, interaction: discord.Interaction[Any], current: str) -> list[app_commands.Choice[str]]:
        files = await self._service.interpreter.files.list(interaction.user.id)
        found = [file for file in files if current.casefold() in file.filename.casefold() or current == file.file_id]
        return [app_commands.Choice(name=head(file.filename, _MAX_CHOICE), value=file.file_id) for file in found[:_MAX_CHOICES]]


def listing(files: list[UserFile]) -> str:
    """Return the lines of a list of files that fit into one message; the last says how many do not."""
    if not files:
        return "You have no files: attach one to a message."
    lines: list[str] = []
    for number, file in enumerate(files):
        kind = verbatim(file.file_type, 60)
        line = f"`{file.file_id}` {verbatim(file.filename, 100)} · {kind} · {file.size:,} bytes · {_expiry(file)}"
        if size("\n".join([*lines, line])) > MESSAGE_LIMIT - 40:
            return "\n".join([*lines, f"and {len(files) - number} older ones"])
        lines.append(line)
    return "\n".join(lines)


def _expiry(file: UserFile) -> str:
    return "never expires" if file.expires_at is None else f"expires <t:{int(file.expires_at.timestamp())}:R>"
