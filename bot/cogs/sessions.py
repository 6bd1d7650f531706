"""``/sessions``: what a user has, in threads that are there and in those that are gone, to be taken away as notebooks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import discord
from discord import app_commands

from bot.cogs.errors import answer, deferred
from bot.cogs.gated import Gated
from bot.cogs.takeaway import exported
from bot.markdown import head, verbatim
from bot.places import Place
from bot.posts import MESSAGE_LIMIT
from kernel_manager.errors import UsageError

_MAX_CHOICES = 25
_MAX_LISTED = 20


class Sessions(Gated, name="Threadbook sessions"):
    """See the module."""

    @app_commands.command(name="sessions", description="Your sessions; those of deleted threads, too, for a while")
    @app_commands.describe(export="Take this one away", form="As what: a notebook if you do not say")
    async def sessions(
        self,
        interaction: discord.Interaction[Any],
        export: str | None = None,
        form: Literal["notebook", "html", "bundle"] = "notebook",
    ) -> None:
        """List, or export."""
        async with deferred(interaction):
            await self.allow(interaction)
            places = await self._service.places.of_user(interaction.user.id)
            if export is None:
                days = timedelta(days=self._service.settings.ended_session_days)
                await answer(interaction, listing(places, days))
                return
            if not any(export in place.session_ids for place in places):
                raise UsageError("you have no such session; `/sessions` lists them")
            text, file = await exported(interaction, self._service, str(interaction.user.id), export, form)
            await answer(interaction, text, file=file)

    @sessions.autocomplete("export")
    async def _choices(self, interaction: discord.Interaction[Any], current: str) -> list[app_commands.Choice[str]]:
        found = [
            app_commands.Choice(name=head(f"{_title(place)} · {session_id}", 100), value=session_id)
            for place in await self._service.places.of_user(interaction.user.id)
            for session_id in reversed(place.session_ids)
        ]
        return [choice for choice in found if current.casefold() in choice.name.casefold()][:_MAX_CHOICES]


def listing(places: list[Place], kept: timedelta) -> str:
    """Return a line for each place, the latest first."""
    lines = [_line(place, kept) for place in places[:_MAX_LISTED]]
    lines += [f"and {len(places) - _MAX_LISTED} older ones"] if len(places) > _MAX_LISTED else []
    return head("\n".join(lines) or "You have no sessions yet: mention me, or use /new.", MESSAGE_LIMIT)


def _line(place: Place, kept: timedelta) -> str:
    if place.ended_at is not None:
        until = int((place.ended_at + kept).timestamp())
        return f"🗑️ {verbatim(_title(place), 90)} · deleted, kept until <t:{until}:d> · `{place.session_id}`"
    where = "direct messages" if place.guild_id is None else f"<#{place.channel_id}>"
    return f"💬 {where} · `{place.session_id}`"


def _title(place: Place) -> str:
    return place.title or ("direct messages" if place.guild_id is None else f"thread {place.channel_id}")
