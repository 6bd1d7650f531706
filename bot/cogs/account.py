"""What a user may want to know or choose: status, assistant, usage, help."""

from __future__ import annotations

from typing import Any

import discord
from discord import app_commands

from bot.agent.opening import OpenAgent
from bot.cogs.errors import answer, deferred
from bot.cogs.gated import Gated
from bot.cogs.places import place_of
from bot.conversation import NO_MODEL
from bot.markdown import head, verbatim
from bot.posts import MESSAGE_LIMIT
from kernel_manager.database.protocol import UsageRecord
from kernel_manager.errors import UsageError

_MAX_CHOICES = 25
_LINES = 14
HELP = """\
**Mention me** in a channel, or use `/new`: I open a thread with a session of your own. In a thread, a mention makes it yours.
What you write there is a turn; your variables stay. Edit a message, and I offer to run it again.
**Attach** files, or forward or answer a message that has some: `load_file("name")` opens them in your code.
**Code** runs directly behind `!run`, with `/run`, or in a ```py block where there is no model; longer code comes as a .py file.
**Below a turn**: run its cells again, see its code, take the session as a notebook, begin anew.
`/new` `/ask` `/run` `/stop` `/reset` `/notebook` `/share` `/unshare` · this session
`/sessions` · all of yours    `/files list` `preview` `delete` `extend` `keep` · your files
`/assistant` · who answers you    `/usage` · what you used    `/status` · how I am
`/forget` · delete all that is yours    `/admin` · for who runs the server or me"""


class Account(Gated, name="Threadbook account"):
    """See the module."""

    @app_commands.command(description="What I do, and how to ask for it")
    async def help(self, interaction: discord.Interaction[Any]) -> None:
        """Explain."""
        async with deferred(interaction):
            await self.allow(interaction)
            await answer(interaction, HELP)

    @app_commands.command(description="Your session here, and how the service is")
    async def status(self, interaction: discord.Interaction[Any]) -> None:
        """Tell."""
        async with deferred(interaction):
            await self.allow(interaction)
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
        async with deferred(interaction):
            await self.allow(interaction)
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
        async with deferred(interaction):
            await self.allow(interaction)
            user = str(interaction.user.id)
            text = usage_lines(await self._service.usage.get(user))
            refusal = await self._service.usage.refusal(user)
            await answer(interaction, f"{text}\n{refusal}" if refusal else text)

    @property
    def _agent(self) -> OpenAgent:
        if self._service.agent is None:
            raise UsageError(NO_MODEL)
        return self._service.agent


def usage_lines(records: list[UsageRecord]) -> str:
    """Return what was used, a line a day and assistant, of the last days; the latest first."""
    totals: dict[tuple[str, str], list[float]] = {}
    for record in records:
        total = totals.setdefault((record["day"], record["assistant_id"]), [0, 0, 0, 0])
        used = record["input_tokens"], record["output_tokens"], record["runs"], record["seconds"]
        totals[record["day"], record["assistant_id"]] = [one + more for one, more in zip(total, used, strict=True)]
    lines = [f"{day} · {_used(assistant, *total)}" for (day, assistant), total in sorted(totals.items(), reverse=True)[:_LINES]]
    return head("\n".join(lines) or "Nothing yet.", MESSAGE_LIMIT - 200)


def _used(assistant: str, tokens_in: float, tokens_out: float, runs: float, seconds: float) -> str:
    ran = f"{int(runs)} runs · {seconds:.1f} s"
    return (
        f"{verbatim(assistant, 60)} · {int(tokens_in):,} tokens in, {int(tokens_out):,} out · {ran}"
        if assistant
        else f"code · {ran}"
    )
