"""``/admin``: what those who run the service see and decide everywhere, and those who run a server for that server."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.admin_lines import access_lines, environment_lines, limit_lines, place_line, usage_table
from bot.cogs.errors import answer, deferred
from bot.gate import RefusedError
from bot.guild_rules import EVERYWHERE
from bot.markdown import head, verbatim
from bot.places import Place
from bot.posts import MESSAGE_LIMIT
from bot.returning import Returning
from bot.service import Service
from bot.sweeping import sweep
from kernel_manager.errors import UsageError

_MAX_CHOICES = 25
_MAX_LISTED = 15
Days = app_commands.Range[int, 1, 366]
PerMinute = app_commands.Range[int, 0, 10_000]


@app_commands.default_permissions(manage_guild=True)
class Admin(commands.GroupCog, group_name="admin", group_description="For who runs the server or me", name="Threadbook admin"):
    """See the module."""

    def __init__(self, bot: commands.Bot | commands.AutoShardedBot, service: Service, returning: Returning) -> None:
        self._bot = bot
        self._service = service
        self._returning = returning

    # --- who may --------------------------------------------------------------------------------------------------

    async def _is_operator(self, user: discord.abc.User) -> bool:
        operators = self._service.settings.discord_operators
        return user.id in operators if operators else await self._bot.is_owner(user)

    async def _operator(self, interaction: discord.Interaction[Any]) -> None:
        if not await self._is_operator(interaction.user):
            raise RefusedError("only those who run me can do that")

    async def _scope(self, interaction: discord.Interaction[Any], *, everywhere: bool = False) -> int | None:
        """Return the server that is looked at; None for an operator, who sees all of them. Raises RefusedError."""
        operator = await self._is_operator(interaction.user)
        if interaction.guild_id is None or everywhere:
            if not operator:
                raise RefusedError("only those who run me can do that; use it on your server for what is there")
            return None
        if not operator and not interaction.permissions.manage_guild:
            raise RefusedError("you need the permission to manage this server for that")
        return interaction.guild_id

    async def _places(self, scope: int | None) -> list[Place]:
        return [place for place in reversed(await self._service.places.all()) if scope in (None, place.guild_id)]

    # --- looking --------------------------------------------------------------------------------------------------

    @app_commands.command(name="sessions", description="The sessions here, the latest first")
    @app_commands.describe(end="End this one's kernel; it begins anew with its next message", everywhere="On all servers")
    async def sessions(self, interaction: discord.Interaction[Any], end: str | None = None, everywhere: bool = False) -> None:
        """List, or end one."""
        async with deferred(interaction):
            places = await self._places(await self._scope(interaction, everywhere=everywhere))
            if end is not None:
                await answer(interaction, await self._end(places, end))
                return
            alive = [place for place in places if place.ended_at is None]
            lines = [f"{len(alive)} sessions, and {len(places) - len(alive)} of deleted threads"]
            for place in alive[:_MAX_LISTED]:
                info = await (await self._service.interpreter.session(place.user_id, place.session_id)).info()
                lines.append(place_line(place, info))
            await answer(interaction, head("\n".join(lines), MESSAGE_LIMIT))

    @sessions.autocomplete("end")
    async def _choices(self, interaction: discord.Interaction[Any], current: str) -> list[app_commands.Choice[str]]:
        try:
            places = await self._places(await self._scope(interaction))
        except RefusedError:
            return []
        found = [place for place in places if place.ended_at is None and current in f"{place.channel_id} {place.owner_id}"]
        return [
            app_commands.Choice(name=f"{place.channel_id} of user {place.owner_id}", value=str(place.channel_id))
            for place in found[:_MAX_CHOICES]
        ]

    async def _end(self, places: list[Place], channel: str) -> str:
        place = next((place for place in places if str(place.channel_id) == channel), None)
        if place is None:
            raise UsageError("there is no such session; choose one from the list")
        conversation = self._service.running(place.channel_id)
        if conversation is not None:
            await conversation.withdraw()
        await (await self._service.interpreter.session(place.user_id, place.session_id)).stop()
        return f"The kernel of <#{place.channel_id}> is ended."

    @app_commands.command(name="usage", description="What was used here, by user")
    @app_commands.describe(days="Of so many days", everywhere="On all servers", reset="Forget what this user used")
    async def usage(
        self,
        interaction: discord.Interaction[Any],
        days: Days = 30,
        everywhere: bool = False,
        reset: discord.User | None = None,
    ) -> None:
        """Tell, or reset one user's."""
        async with deferred(interaction):
            if reset is not None:
                await self._operator(interaction)
                await self._service.usage.reset_user_token_stats(str(reset.id))
                await answer(interaction, f"What <@{reset.id}> used is forgotten; the day begins anew for them.")
                return
            scope = await self._scope(interaction, everywhere=everywhere)
            since = (self._service.clock() - timedelta(days=days)).date()
            records = await self._service.interpreter.database.get_token_stats(since)
            here = [record for record in records if scope is None or record["kind"].endswith(f"@{scope}")]
            await answer(interaction, usage_table(here, days))

    @app_commands.command(name="env", description="What kernels run in, and how the service is")
    async def env(self, interaction: discord.Interaction[Any]) -> None:
        """Tell."""
        async with deferred(interaction):
            scope = await self._scope(interaction)
            state = await self._service.interpreter.status()
            everything = scope is None or await self._is_operator(interaction.user)
            await answer(interaction, "\n".join(environment_lines(state, everything=everything)))

    # --- deciding -------------------------------------------------------------------------------------------------

    @app_commands.command(name="limits", description="How much may be asked for here, and how long sessions are kept")
    @app_commands.describe(
        per_user="Messages of one user in a minute; 0: as the service has it",
        per_server="The same of everybody here together; 0: as the service has it",
        session_days="Sessions that nobody uses for so many days are removed; 0: as the service has it",
    )
    async def limits(
        self,
        interaction: discord.Interaction[Any],
        per_user: PerMinute | None = None,
        per_server: PerMinute | None = None,
        session_days: app_commands.Range[int, 0, 3_650] | None = None,
    ) -> None:
        """Show or change; in direct messages with an operator, for all servers."""
        async with deferred(interaction):
            guild = await self._scope(interaction) or EVERYWHERE
            changes = {"per_user": per_user, "per_guild": per_server, "session_days": session_days}
            given = {name: value or None for name, value in changes.items() if value is not None}
            if given:
                await self._service.gate.rules.change(guild, **given)
            rules = await self._service.gate.rules.holding(guild or None)
            await answer(interaction, "\n".join(limit_lines(rules, self._service.settings)))

    @app_commands.command(name="access", description="In which channels I may be used on this server, and by which roles")
    @app_commands.describe(
        channel="A channel or a category where I may be used", role="A role that may use me", remove="Take it off the list"
    )
    @app_commands.guild_only()
    async def access(
        self,
        interaction: discord.Interaction[Any],
        channel: discord.abc.GuildChannel | None = None,
        role: discord.Role | None = None,
        remove: bool = False,
    ) -> None:
        """Show or change."""
        async with deferred(interaction):
            guild = await self._scope(interaction)
            assert guild is not None
            rules = await self._service.gate.rules.of(guild)
            channels = _changed(rules.channels, channel, remove=remove)
            roles = _changed(rules.roles, role, remove=remove)
            if (channels, roles) != (rules.channels, rules.roles):
                rules = await self._service.gate.rules.change(guild, channels=channels, roles=roles)
            await answer(interaction, head("\n".join(access_lines(rules, self._service.settings)), MESSAGE_LIMIT))

    @app_commands.command(
        name="block", description="Have me answer a user no more, on any server; without a user: who is blocked"
    )
    @app_commands.describe(user="Whom", reason="Why, for those who run me")
    async def block(
        self,
        interaction: discord.Interaction[Any],
        user: discord.User | None = None,
        reason: app_commands.Range[str, 1, 200] | None = None,
    ) -> None:
        """Block, and end what the user runs."""
        async with deferred(interaction):
            await self._operator(interaction)
            if user is None:
                blocked = await self._service.gate.rules.blocked()
                lines = [f"<@{number}>: {verbatim(why, 200)}" for number, why in blocked.items()]
                await answer(interaction, head("\n".join(lines) or "Nobody is blocked.", MESSAGE_LIMIT))
                return
            if await self._is_operator(user):
                raise UsageError("those who run me cannot be blocked")
            await self._service.gate.rules.block(user.id, reason or "")
            for place in await self._service.places.of_user(user.id):
                if (conversation := self._service.running(place.channel_id)) is not None:
                    await conversation.withdraw()
            await answer(interaction, f"<@{user.id}> is blocked.")

    @app_commands.command(name="unblock", description="Have me answer a user again")
    async def unblock(self, interaction: discord.Interaction[Any], user: discord.User) -> None:
        """Unblock."""
        async with deferred(interaction):
            await self._operator(interaction)
            was = await self._service.gate.rules.unblock(user.id)
            await answer(interaction, f"<@{user.id}> is {'blocked no more' if was else 'not blocked'}.")

    @app_commands.command(name="cleanup", description="Remove now what has had its time")
    async def cleanup(self, interaction: discord.Interaction[Any]) -> None:
        """Clean up: on a server what belongs to its threads; for an operator in direct messages everything."""
        async with deferred(interaction):
            scope = await self._scope(interaction)
            gone = await self._returning.reconcile(await self._places(scope))
            removed = await sweep(self._service, scope)
            lines = [f"{gone} threads were deleted: their sessions ended", f"{len(removed)} places had had their time"]
            if scope is None:
                lines.append(str(await self._service.interpreter.cleanup()))
            await answer(interaction, "\n".join(lines))


def _changed(ids: tuple[int, ...], one: Any, *, remove: bool) -> tuple[int, ...]:
    if one is None:
        return ids
    without = tuple(number for number in ids if number != one.id)
    return without if remove else (*without, one.id)
