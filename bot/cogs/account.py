"""What a user may want to know or choose: status, assistant, usage, help."""

from __future__ import annotations

from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.agent.opening import OpenAgent
from bot.cogs.errors import answer, explained
from bot.cogs.places import place_of
from bot.conversation import NO_MODEL
from bot.markdown import head, verbatim
from bot.rendering import MESSAGE_LIMIT
from bot.service import Service
from kernel_manager.database.protocol import UsageRecord
from kernel_manager.errors import UsageError

_MAX_CHOICES = 25
_DAYS = 14
HELP = """\
**Mention me** in a channel, or use `/new`: I open a thread with a session of your own.
What you write there is a turn; your variables stay.
**Attach** files to a message: `load_file("name")` opens them in your code.
**Code** runs directly behind `!run`, with `/run`, or in a ```py block where there is no model.
**Below a turn**: run its cells again, see its code, take the session as a notebook, begin anew.
`/new` `/run` `/stop` `/reset` `/notebook` · this session
`/files list` `delete` `extend` `keep` · your files
`/assistant` · who answers you    `/usage` · what you used    `/status` · how I am"""


class Account(commands.Cog, name="Threadbook account"):
    """See the module."""

    def __init__(self, service: Service) -> None:
        self._service = service

    @app_commands.command(description="What I do, and how to ask for it")
    async def help(self, interaction: discord.Interaction[Any]) -> None:
        """Explain."""
        async with explained(interaction):
            await answer(interaction, HELP)

    @app_commands.command(description="Your session here, and how the service is")
    async def status(self, interaction: discord.Interaction[Any]) -> None:
        """Tell."""
        async with explained(interaction):
            await interaction.response.defer(ephemeral=True, thinking=True)
            await answer(interaction, "\n".join([*await self._here(interaction), *await self._everywhere(interaction)]))

    async def _here(self, interaction: discord.Interaction[Any]) -> list[str]:
        try:
            place = await place_of(self._service, interaction)
        except UsageError as exc:
            return [f"Here: {verbatim(str(exc))}"]
        info = await (await self._service.session_of(place)).info()
        conversation = self._service.running(place.channel_id)
        running = " · a turn runs" if conversation is not None and conversation.busy else ""
        return [f"Session `{info.session_id}`: kernel {info.state}, {info.cells} cells{running}"]

    async def _everywhere(self, interaction: discord.Interaction[Any]) -> list[str]:
        files = await self._service.interpreter.files.list(interaction.user.id)
        state = await self._service.interpreter.status()
        return [
            f"Your files: {len(files)}, {sum(file.size for file in files) / 2**20:.1f} MB",
            f"Packages: {state['package_count']} · live kernels: {state['kernels']} · sandbox: {state['sandbox']}",
            "Model: ready" if self._service.agent is not None else "Model: none; code runs",
        ]

    @app_commands.command(description="Who answers you; without a choice: who there is")
    @app_commands.describe(assistant="Who shall answer you from now on")
    async def assistant(self, interaction: discord.Interaction[Any], assistant: str | None = None) -> None:
        """Choose."""
        async with explained(interaction):
            assistants = self._agent.assistants
            user = str(interaction.user.id)
            if assistant is not None:
                chosen = await assistants.choose(user, assistant)
                await answer(interaction, f"{verbatim(chosen.name)} answers you from now on.")
                return
            now = (await assistants.of_user(user)).assistant_id
            lines = [
                f"{'➡️' if one.assistant_id == now else '▫️'} `{one.assistant_id}` {verbatim(one.name, 100)}"
                for one in await assistants.all()
            ]
            await answer(interaction, head("\n".join(lines), MESSAGE_LIMIT))

    @assistant.autocomplete("assistant")
    async def _assistants(self, _: discord.Interaction[Any], current: str) -> list[app_commands.Choice[str]]:
        if self._service.agent is None:
            return []
        found = [one for one in await self._service.agent.assistants.all() if current.casefold() in one.name.casefold()]
        return [app_commands.Choice(name=head(one.name, 100), value=one.assistant_id) for one in found[:_MAX_CHOICES]]

    @app_commands.command(description="What you used: tokens, runs, seconds of code")
    async def usage(self, interaction: discord.Interaction[Any]) -> None:
        """Tell."""
        async with explained(interaction):
            await answer(interaction, usage_lines(await self._agent.usage.get(str(interaction.user.id))))

    @property
    def _agent(self) -> OpenAgent:
        if self._service.agent is None:
            raise UsageError(NO_MODEL)
        return self._service.agent


def usage_lines(records: list[UsageRecord]) -> str:
    """Return what was used, a line a day and assistant, of the last days."""
    lines = [
        f"{record['day']} · {verbatim(record['assistant_id'], 60)} · {record['input_tokens']:,} tokens in, "
        f"{record['output_tokens']:,} out · {record['runs']} runs · {record['seconds']:.1f} s"
        for record in records[-_DAYS:]
    ]
    return head("\n".join(lines) or "Nothing yet.", MESSAGE_LIMIT)
