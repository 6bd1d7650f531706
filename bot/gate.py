"""Who may use the bot, where, and how often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import discord

from bot.guild_rules import GuildRules, Rules
from bot.rates import Rates
from kernel_manager.config import Settings
from kernel_manager.database.protocol import Database
from kernel_manager.errors import UsageError

BLOCKED = "you may not use me any more; ask whoever runs me. `/forget` still deletes what is yours"


class RefusedError(UsageError):
    """Somebody may not use the bot, or not here."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, and where: ``channels`` are the channel, its parent and its category.

    ``guild_id`` is None for direct messages.
    """

    user_id: int
    guild_id: int | None = None
    channels: frozenset[int] = frozenset()
    roles: frozenset[int] = frozenset()

    @classmethod
    def of(cls, user: discord.abc.User, channel: Any, guild: discord.Guild | None) -> Asker:
        """Return who says something in a channel."""
        if guild is None:
            return cls(user.id)
        parent = getattr(channel, "parent", None)
        around = [channel, parent]
        ids = {one.id for one in around if one is not None} | {getattr(one, "category_id", None) for one in around}
        ids.add(getattr(channel, "parent_id", None))
        roles = frozenset(role.id for role in getattr(user, "roles", ()))
        return cls(user.id, guild.id, frozenset(number for number in ids if number is not None), roles)


class Gate:
    """See the module. ``clock`` gives seconds that only grow. Methods raise DatabaseError."""

    def __init__(self, settings: Settings, database: Database, clock: Callable[[], float]) -> None:
        self.rules = Rules(database)
        self._settings = settings
        self._rates = Rates(clock)

    async def check(self, asker: Asker) -> None:
        """Raise RefusedError if somebody may not use the bot there."""
        if await self.rules.is_blocked(asker.user_id):
            raise RefusedError(BLOCKED)
        rules = (await self.rules.holding(asker.guild_id))[-1]
        if (reason := refusal(asker, rules, self._settings)) is not None:
            raise RefusedError(reason)

    def count(self, user_id: int, guild_id: int | None) -> None:
        """Count something that runs; raises LimitError, which says when it may be tried again."""
        limits = [(user_id, self.user_limit(guild_id))]
        if guild_id is not None:
            limits.append((-guild_id, self.guild_limit(guild_id)))
        self._rates.take(limits)

    def user_limit(self, guild_id: int | None) -> int:
        """How much of one user may run in a minute; 0: as much as they like."""
        return _lowest(self._settings.rate_limit_per_user, *(rules.per_user for rules in self.rules.known(guild_id)))

    def guild_limit(self, guild_id: int) -> int:
        """The same of all users of a server."""
        return _lowest(self._settings.rate_limit_per_guild, *(rules.per_guild for rules in self.rules.known(guild_id)))


def refusal(asker: Asker, rules: GuildRules, settings: Settings) -> str | None:
    """Return why somebody may not use the bot there, None if they may.

    What the operator set and the server's own rules both hold.
    """
    if asker.guild_id is None:
        return None if settings.discord_direct_messages else "I do not answer direct messages: use me on a server"
    for channels in (settings.discord_channels, rules.channels):
        if channels and asker.channels.isdisjoint(channels):
            return "I may not be used in this channel; ask whoever runs this server in which ones I may"
    for roles in (settings.discord_roles, rules.roles):
        if roles and asker.roles.isdisjoint(roles):
            return "you need a certain role to use me here: ask whoever runs this server"
    return None


def _lowest(*limits: int | None) -> int:
    """The limit that holds: nobody may do more than the operator's settings say. 0 is none."""
    return min((limit for limit in limits if limit), default=0)
