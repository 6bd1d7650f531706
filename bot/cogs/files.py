"""``/files``: a user's files, wherever they are asked for."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.agent.pictures import MIMES
from bot.cogs.errors import answer, deferred
from bot.cogs.gated import Gated
from bot.cogs.places import place_of
from bot.conversation import file_limit
from bot.markdown import head, size, verbatim
from bot.posts import MESSAGE_LIMIT
from bot.preview import previews
from bot.upload_reply import expiry
from kernel_manager import UserFile
from kernel_manager.errors import UsageError
from kernel_manager.execution.artifacts import ArtifactLimits, changed, unseen

_MAX_CHOICES = 25
_MAX_CHOICE = 100
_MAX_WRITTEN = 500
_MAX_BYTES = 1 << 40
_NOT_NOW = "I cannot look into it now, because kernels of yours are busy: try again in a while."
Name = app_commands.Range[str, 1, 250]


class FilesCog(Gated, commands.GroupCog, group_name="files", group_description="Your files", name="Threadbook files"):
    """See the module."""

    @app_commands.command(name="list", description="List your files, the newest first")
    async def list_files(self, interaction: discord.Interaction[Any]) -> None:
        """List."""
        async with deferred(interaction):
            await self.allow(interaction)
            files = await self._service.interpreter.files.list(interaction.user.id)
            await answer(interaction, listing(files))

    @app_commands.command(description="Look into a file")
    @app_commands.describe(file="Its name or id")
    async def preview(self, interaction: discord.Interaction[Any], file: Name) -> None:
        """Show how it begins, or the picture that it is."""
        async with deferred(interaction):
            await self.allow(interaction)
            found = await self._service.interpreter.files.find(interaction.user.id, file)
            limit = file_limit(interaction.guild)
            text = (await previews(self._service.interpreter, found.user_id, [found.file_id])).get(found.file_id, _NOT_NOW)
            more: dict[str, Any] = {}
            if found.file_type in MIMES and found.size <= limit:
                content = await asyncio.to_thread(found.path.read_bytes)
                more = {"file": discord.File(io.BytesIO(content), found.filename)}
            await answer(interaction, head(f"{_line(found)}\n{text}", MESSAGE_LIMIT), **more)

    @app_commands.command(description="Delete a file")
    @app_commands.describe(file="Its name or id")
    async def delete(self, interaction: discord.Interaction[Any], file: Name) -> None:
        """Delete."""
        async with deferred(interaction):
            await self.allow(interaction)
            removed = await self._service.interpreter.files.remove(interaction.user.id, file)
            await self._service.interpreter.refresh_selections()  # sessions that others share with the user have it no more
            await answer(interaction, f"{verbatim(removed.filename)} is deleted.")

    @app_commands.command(description="Keep a file longer")
    @app_commands.describe(file="Its name or id")
    async def extend(self, interaction: discord.Interaction[Any], file: Name) -> None:
        """Extend."""
        async with deferred(interaction):
            await self.allow(interaction)
            extended = await self._service.interpreter.files.extend(interaction.user.id, file)
            await answer(interaction, f"{verbatim(extended.filename)} {expiry(extended)}.")

    @app_commands.command(description="Make a file that the code of this session wrote a file of yours")
    @app_commands.describe(file="Its name, as the code wrote it")
    async def keep(self, interaction: discord.Interaction[Any], file: Name) -> None:
        """Keep."""
        async with deferred(interaction):
            await self.allow(interaction)
            place = await place_of(self._service, interaction)
            files = self._service.interpreter.files
            added = await files.keep(place.user_id, place.session_id, file, owner=interaction.user.id)
            gone = "".join(f"\n-# {verbatim(old.filename)} went to make room" for old in added.removed[:10])
            await answer(interaction, f"{verbatim(added.file.filename)} is yours: it {expiry(added.file)}.{gone}"[:MESSAGE_LIMIT])

    @keep.autocomplete("file")
    async def _written(self, interaction: discord.Interaction[Any], current: str) -> list[app_commands.Choice[str]]:
        """What the code of this session wrote."""
        try:
            place = await place_of(self._service, interaction)
            session = await self._service.interpreter.session(place.user_id, place.session_id, create=False)
        except UsageError:
            return []
        names = await asyncio.to_thread(written_files, session.workspace)
        found = [name for name in names if current.casefold() in name.casefold() and len(name) <= _MAX_CHOICE]
        return [app_commands.Choice(name=name, value=name) for name in found[:_MAX_CHOICES]]

    @preview.autocomplete("file")
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
        line = _line(file)
        if size("\n".join([*lines, line])) > MESSAGE_LIMIT - 40:
            return "\n".join([*lines, f"and {len(files) - number} older ones"])
        lines.append(line)
    return "\n".join(lines)


def written_files(workspace: Path) -> list[str]:
    """Return the names of the files in a session's working folder, as results name them."""
    return [file.filename for file in changed(unseen(0, ArtifactLimits(_MAX_WRITTEN, _MAX_BYTES)), workspace).files]


def _line(file: UserFile) -> str:
    kind = verbatim(file.file_type, 60)
    return f"`{file.file_id}` {verbatim(file.filename, 100)} · {kind} · {file.size:,} bytes · {expiry(file)}"
