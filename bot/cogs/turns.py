"""What people do with a turn or its session: the buttons, and the commands that do the same."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.cogs.errors import answer, explained
from bot.cogs.places import check_owner, place_of
from bot.conversation import FILE_LIMIT, Conversation, Incoming
from bot.markdown import fenced, size, verbatim
from bot.places import Place
from bot.rendering import MESSAGE_LIMIT
from bot.service import Service
from bot.views.buttons import TURNS, TurnButton
from bot.views.modals import AnswerModal
from kernel_manager.errors import UsageError
from notebooks_export import Export, ExportOptions, export_session


class Turns(commands.Cog, name=TURNS):
    """See the module."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def pressed(self, interaction: discord.Interaction[Any], button: TurnButton) -> None:
        """Carry out what a button asks for."""
        async with explained(interaction):
            place = await place_of(self._service, interaction)
            match button.name:
                case "stop":
                    await self._stop(interaction)
                case "answer":
                    await self._ask(interaction)
                case "notebook":
                    await self._notebook(interaction, place, button.session_id)
                case "reset":
                    await self._reset(interaction, place)
                case "code" | "again":
                    await self._cells(interaction, place, button)

    @app_commands.command(name="stop", description="Stop what runs here, and forget what is queued")
    async def stop_command(self, interaction: discord.Interaction[Any]) -> None:
        """Stop."""
        async with explained(interaction):
            await place_of(self._service, interaction)
            await self._stop(interaction)

    @app_commands.command(name="reset", description="Begin anew here: fresh kernel, empty context; your files stay")
    async def reset_command(self, interaction: discord.Interaction[Any]) -> None:
        """Reset."""
        async with explained(interaction):
            await self._reset(interaction, await place_of(self._service, interaction))

    @app_commands.command(name="notebook", description="Take this session away as a Jupyter notebook")
    async def notebook_command(self, interaction: discord.Interaction[Any]) -> None:
        """Export."""
        async with explained(interaction):
            place = await place_of(self._service, interaction)
            await self._notebook(interaction, place, place.session_id)

    def _conversation(self, interaction: discord.Interaction[Any]) -> Conversation | None:
        return self._service.running(interaction.channel_id) if interaction.channel_id is not None else None

    async def _stop(self, interaction: discord.Interaction[Any]) -> None:
        conversation = self._conversation(interaction)
        stopped = conversation is not None and await conversation.withdraw()
        await answer(interaction, "Stopping." if stopped else "Nothing runs here.")

    async def _ask(self, interaction: discord.Interaction[Any]) -> None:
        conversation = self._conversation(interaction)
        prompt = conversation.question if conversation is not None else None
        if conversation is None or prompt is None:
            await answer(interaction, "The code does not ask any more.")
            return

        async def submitted(submission: discord.Interaction, text: str) -> None:
            if conversation.answer(text):
                await submission.response.defer()
            else:
                await answer(submission, "The code does not ask any more.")

        await interaction.response.send_modal(AnswerModal(prompt, submitted))

    async def _notebook(self, interaction: discord.Interaction[Any], place: Place, session_id: str) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        session = await self._service.interpreter.session(place.user_id, session_id, create=False)
        limit = interaction.guild.filesize_limit if interaction.guild is not None else FILE_LIMIT
        export = await export_session(self._service.interpreter, session, ExportOptions(max_bytes=limit))
        await _send_export(interaction, "The session as a notebook.", export)
        if export.data:
            bundle = await export_session(self._service.interpreter, session, ExportOptions(bundle=True, max_bytes=limit))
            await _send_export(interaction, "The same with its data, as a bundle that runs by itself.", bundle)

    async def _reset(self, interaction: discord.Interaction[Any], place: Place) -> None:
        check_owner(place, interaction)
        await interaction.response.defer(ephemeral=True, thinking=True)
        await self._service.reset(place)
        await interaction.followup.send("Begun anew: fresh kernel, empty context. Your files are still there.", ephemeral=True)

    async def _cells(self, interaction: discord.Interaction[Any], place: Place, button: TurnButton) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        session = await self._service.interpreter.session(place.user_id, button.session_id, create=False)
        history = await asyncio.to_thread(session.read_history)
        codes = [cell.code for cell in history.cells[button.first : button.first + button.count]]
        if not codes:
            raise UsageError("the cells of this turn are not in the session's history any more")
        if button.name == "code":
            await _show_code(interaction, codes)
        elif button.session_id != place.session_id:
            raise UsageError("this turn is from before the last reset: show its code and run that")
        else:
            channel = interaction.channel
            if not isinstance(channel, discord.abc.Messageable):
                raise UsageError("nothing can run in this channel")
            taken = self._service.conversation(place, channel).add(_again(interaction, codes))
            await interaction.followup.send("Running it again." if taken else "Too much is queued here.", ephemeral=True)


def _again(interaction: discord.Interaction[Any], codes: list[str]) -> Incoming:
    user = interaction.user
    return Incoming(user.display_name, "", tuple(codes), user_id=user.id)


async def _send_export(interaction: discord.Interaction[Any], head: str, export: Export) -> None:
    name, content = export.as_one_file()
    notes = "\n".join(f"-# {verbatim(note, 300)}" for note in export.notes[:5])
    await interaction.followup.send(
        f"{head}\n{notes}"[:MESSAGE_LIMIT], file=discord.File(io.BytesIO(content), name), ephemeral=True
    )


async def _show_code(interaction: discord.Interaction[Any], codes: list[str]) -> None:
    text = "\n".join(fenced(code, "py") for code in codes)
    if size(text) <= MESSAGE_LIMIT:
        await interaction.followup.send(text, ephemeral=True)
        return
    content = "\n\n# %%\n".join(codes).encode()
    await interaction.followup.send(file=discord.File(io.BytesIO(content), "code.py"), ephemeral=True)
