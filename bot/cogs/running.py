"""``/new``, ``/ask`` and ``/run``: what begins something, without a message that the bot would have to read."""

from __future__ import annotations

from typing import Any

import discord
from discord import app_commands

from bot.cogs.errors import answer, deferred
from bot.cogs.gated import Gated
from bot.cogs.places import asker_of, found_place, own_place_of
from bot.conversation import NO_MODEL, Incoming
from bot.incoming import known
from bot.markdown import harmless, head, verbatim
from bot.message_code import code_blocks
from bot.opening_threads import adopted, new_thread, title_of
from bot.places import Place
from bot.posts import MESSAGE_LIMIT
from kernel_manager.errors import UsageError

_MAX_TEXT = 4_000
Text = app_commands.Range[str, 1, _MAX_TEXT]


class Running(Gated, name="Threadbook running"):
    """See the module."""

    @app_commands.command(name="new", description="Open a thread with a session of its own")
    @app_commands.describe(name="What the thread is called", private="Only you and whom you invite see it")
    async def new(self, interaction: discord.Interaction[Any], name: str | None = None, private: bool = False) -> None:
        """Open a thread; in direct messages, begin a new session."""
        async with deferred(interaction):
            await self.allow(interaction)
            if interaction.guild_id is None:
                await self._service.reset(await own_place_of(self._service, interaction))
                await answer(interaction, "A new session begins here. `/sessions` has the one before.")
                return
            thread = await new_thread(interaction.channel, interaction.user, name=name, private=private)
            await adopted(self._service, thread, interaction.user.id, interaction.id)
            await answer(interaction, f"Your session: {thread.mention}")

    @app_commands.command(name="ask", description="Ask the model, and hand it a file if you like")
    @app_commands.describe(prompt="What you want", file="A file to work with")
    async def ask(self, interaction: discord.Interaction[Any], prompt: Text, file: discord.Attachment | None = None) -> None:
        """Ask."""
        async with deferred(interaction):
            await self.allow(interaction)
            if self._service.agent is None:
                raise UsageError(NO_MODEL)
            files = (known(file),) if file is not None else ()
            await self._begin(interaction, prompt, _incoming(interaction, prompt, files=files))

    @app_commands.command(name="run", description="Run Python, without the model")
    @app_commands.describe(code="The code of a cell", file="A .py file to run, for longer code")
    async def run(
        self, interaction: discord.Interaction[Any], code: Text | None = None, file: discord.Attachment | None = None
    ) -> None:
        """Run a cell."""
        async with deferred(interaction):
            await self.allow(interaction)
            if code is None and file is None:
                raise UsageError("give code, or a .py file")
            cells = () if code is None else code_blocks(code) or (code,)
            files = () if file is None else (known(file),)
            await self._begin(interaction, "", _incoming(interaction, "", cells, files, scripts=file is not None))

    async def _begin(self, interaction: discord.Interaction[Any], shown: str, incoming: Incoming) -> None:
        """Have something answered here, or in a new thread where there is none; what was asked is shown to all who can read."""
        place, channel = await self._here(interaction, shown)
        conversation = self._service.conversation(place, channel)
        if shown:
            text = head(f"**{verbatim(interaction.user.display_name, 80)}**: {harmless(shown)}", MESSAGE_LIMIT)
            await channel.send(text, allowed_mentions=discord.AllowedMentions.none())
        if not conversation.add(incoming):
            raise UsageError("too much is queued here; wait for the turn that runs, or stop it")
        elsewhere = place.channel_id != interaction.channel_id
        await answer(interaction, f"In <#{place.channel_id}>." if elsewhere else "Running it." if incoming.direct else "On it.")

    async def _here(self, interaction: discord.Interaction[Any], title: str) -> tuple[Place, discord.abc.Messageable]:
        await self._service.gate.check(asker_of(interaction))
        place, channel = await found_place(self._service, interaction), interaction.channel
        if place is not None:
            if not place.may_run(interaction.user.id):
                raise UsageError("this session is somebody else's: use /new to have your own")
        elif isinstance(channel, discord.Thread):
            place = await adopted(self._service, channel, interaction.user.id, interaction.id)
        else:
            channel = await new_thread(channel, interaction.user, name=title_of(title))
            place = await adopted(self._service, channel, interaction.user.id, interaction.id)
        if not isinstance(channel, discord.abc.Messageable):
            raise UsageError("nothing can run in this channel")
        return place, channel


def _incoming(
    interaction: discord.Interaction[Any],
    text: str,
    cells: tuple[str, ...] = (),
    files: tuple[dict[str, Any], ...] = (),
    *,
    scripts: bool = False,
) -> Incoming:
    user = interaction.user
    return Incoming(user.display_name, text, cells, files, interaction.created_at, scripts, user.id)
