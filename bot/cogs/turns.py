"""What people do with a turn or its session: the buttons, and the commands that do the same."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import discord
from discord import app_commands
from discord.ext import commands

from bot.cogs import uploads
from bot.cogs.errors import answer, deferred, explained
from bot.cogs.places import asker_of, check_owner, check_session, own_place_of, place_of
from bot.cogs.takeaway import SEPARATOR, cells_of, keep, offer_to_keep, send_notebook, show_code, written_by
from bot.conversation import Conversation, Incoming
from bot.direct_turn import DirectCell
from bot.markdown import size
from bot.places import Place
from bot.service import Service
from bot.views.buttons import KeepSelect, TurnButton, row_of
from bot.views.file_buttons import FileButton
from bot.views.modals import MAX_FIELD, AnswerModal, CodeModal
from bot.views.naming import TURNS
from kernel_manager.errors import UsageError

_DIVIDER = re.compile(r"^# ?%%.*$", re.MULTILINE)
_LOSES = "This forgets all variables and what was said here; your files stay, and the session can still be taken as a notebook."
_BEGUN = "Begun anew: fresh kernel, empty context. Your files are still there."


class Turns(commands.Cog, name=TURNS):
    """See the module."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def pressed(self, interaction: discord.Interaction[Any], button: TurnButton) -> None:
        """Carry out what a button asks for."""
        async with explained(interaction):
            place = await place_of(self._service, interaction)
            check_session(place, interaction, button.session_id)
            match button.name:
                case "stop":
                    await self._stop(interaction)
                case "answer":
                    await self._ask(interaction)
                case "notebook" | "html" | "bundle":
                    await send_notebook(interaction, self._service, place, button.session_id, button.name)
                case "reset":
                    check_owner(place, interaction)
                    await self._ask_to_reset(interaction, place)
                case "resetting":
                    check_owner(place, interaction)
                    await interaction.response.defer()
                    await self._service.reset(place)
                    await interaction.edit_original_response(content=_BEGUN, view=None)
                case "keep":
                    await offer_to_keep(interaction, self._service, place, button)
                case "code" | "again" | "edit":
                    await self._cells(interaction, place, button)

    async def chosen(self, interaction: discord.Interaction[Any], select: KeepSelect, numbers: Sequence[int]) -> None:
        """Keep the files that were chosen."""
        async with explained(interaction):
            place = await place_of(self._service, interaction)
            check_session(place, interaction, select.session_id)
            await interaction.response.defer(ephemeral=True, thinking=True)
            files = written_by(await cells_of(self._service, place, select.session_id, select.first, select.count))
            wanted = [files[number] for number in numbers if number < len(files)]
            await keep(interaction, self._service, place, select.session_id, wanted)

    async def file_pressed(self, interaction: discord.Interaction[Any], button: FileButton) -> None:
        """Carry out what a button below a file asks for."""
        async with explained(interaction):
            await self._service.gate.check(asker_of(interaction))
            await uploads.file_pressed(interaction, self._service, button)

    async def run_notebook(self, interaction: discord.Interaction[Any], session_id: str, up_to: int | None) -> None:
        """Run cells of an opened notebook."""
        async with explained(interaction):
            await uploads.run_notebook(interaction, self._service, session_id, up_to)

    @app_commands.command(name="stop", description="Stop what runs here, and forget what is queued")
    async def stop_command(self, interaction: discord.Interaction[Any]) -> None:
        """Stop."""
        async with deferred(interaction):
            await place_of(self._service, interaction)
            await self._stop(interaction)

    @app_commands.command(name="reset", description="Begin anew here: fresh kernel, empty context; your files stay")
    async def reset_command(self, interaction: discord.Interaction[Any]) -> None:
        """Reset, without asking: whoever types this means it."""
        async with deferred(interaction):
            place = await own_place_of(self._service, interaction)
            await self._service.reset(place)
            await answer(interaction, _BEGUN)

    @app_commands.command(name="notebook", description="Take this session away as a Jupyter notebook")
    @app_commands.describe(form="As what", verify="Run it again in a fresh kernel first, and say which cells reproduce")
    async def notebook_command(
        self,
        interaction: discord.Interaction[Any],
        form: Literal["notebook", "html", "bundle"] = "notebook",
        verify: bool = False,
    ) -> None:
        """Export."""
        async with explained(interaction):
            place = await place_of(self._service, interaction)
            await send_notebook(interaction, self._service, place, place.session_id, form, verify=verify)

    def _conversation(self, interaction: discord.Interaction[Any]) -> Conversation | None:
        return self._service.running(interaction.channel_id) if interaction.channel_id is not None else None

    async def _stop(self, interaction: discord.Interaction[Any]) -> None:
        conversation = self._conversation(interaction)
        stopped = conversation is not None and await conversation.withdraw()
        await answer(interaction, "Stopping." if stopped else "Nothing runs here.")

    async def _ask(self, interaction: discord.Interaction[Any]) -> None:
        conversation = self._conversation(interaction)
        question = conversation.question if conversation is not None else None
        if conversation is None or question is None:
            await answer(interaction, "The code does not ask any more.")
            return

        async def submitted(submission: discord.Interaction, text: str) -> None:
            if conversation.answer(text, question):
                await submission.response.defer()
            else:
                await answer(submission, "The code does not ask that any more.")

        await interaction.response.send_modal(AnswerModal(question.prompt, submitted, secret=question.password))

    async def _ask_to_reset(self, interaction: discord.Interaction[Any], place: Place) -> None:
        """A button is pressed by mistake sooner than a command is typed: ask where something would be lost."""
        await interaction.response.defer(ephemeral=True, thinking=True)
        if (await (await self._service.session_of(place)).info()).cells:
            await answer(interaction, _LOSES, view=row_of(TurnButton("resetting", place.session_id)))
        else:
            await self._service.reset(place)
            await answer(interaction, _BEGUN)

    async def _cells(self, interaction: discord.Interaction[Any], place: Place, button: TurnButton) -> None:
        if button.name != "edit":  # a form can only be the first answer
            await interaction.response.defer(ephemeral=True, thinking=True)
        cells = await cells_of(self._service, place, button.session_id, button.first, button.count)
        codes = [cell.code for cell in cells]
        match button.name:
            case "code":
                await show_code(interaction, codes)
            case "edit":
                await self._edit(interaction, place, codes)
            case _ if button.session_id != place.session_id:
                raise UsageError("this turn is from before the last reset: show its code and run that")
            case _:
                await self._run(interaction, place, codes)

    async def _edit(self, interaction: discord.Interaction[Any], place: Place, codes: Sequence[str]) -> None:
        code = SEPARATOR.join(codes)
        if size(code) > MAX_FIELD:
            advice = f"A form takes {MAX_FIELD:,} characters, the code has {len(code):,}: edit this file and send it with `!run`."
            await show_code(interaction, codes, advice)
            return

        async def submitted(submission: discord.Interaction, text: str) -> None:
            async with explained(submission):
                cells = [cell.strip("\n") for cell in _DIVIDER.split(text) if cell.strip()]
                if not cells:
                    raise UsageError("there is no code to run")
                await self._run(submission, place, cells)

        await interaction.response.send_modal(CodeModal(code, submitted))

    async def _run(self, interaction: discord.Interaction[Any], place: Place, codes: Sequence[str]) -> None:
        incoming = Incoming(interaction.user.display_name, "", tuple(map(DirectCell, codes)))
        await uploads.queue(interaction, self._service, place, incoming)
