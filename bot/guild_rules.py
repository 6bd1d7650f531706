"""What a server's own administrators have decided for it, and whom the operators have blocked. Kept in the database."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from kernel_manager.database.protocol import Database
from kernel_manager.errors import UsageError

_GUILD = "discord_guild_"
_BLOCKED = "discord_blocked_"
_MAX_IDS = 200
#: Stands for all servers and direct messages: what the operators decide by command.
EVERYWHERE = 0


@dataclass(frozen=True, slots=True)
class GuildRules:
    """Of one server. Empty ``channels`` and ``roles``: all of them. The limits are in a minute, None: the operator's.

    ``session_days`` is for how long the session of a thread is kept that nobody uses, None: as the operator has it.
    """

    channels: tuple[int, ...] = ()
    roles: tuple[int, ...] = ()
    per_user: int | None = None
    per_guild: int | None = None
    session_days: float | None = None


class Rules:
    """All rules. Methods raise DatabaseError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[int, GuildRules] = {}

    async def of(self, guild_id: int) -> GuildRules:
        """Return a server's rules."""
        self._known[guild_id] = _read(await self._database.get_config(f"{_GUILD}{guild_id}"))
        return self._known[guild_id]

    async def holding(self, guild_id: int | None) -> list[GuildRules]:
        """Return the rules that hold on a server, or in direct messages: the operators', and its own."""
        own = [] if guild_id is None else [await self.of(guild_id)]
        return [await self.of(EVERYWHERE), *own]

    def known(self, guild_id: int | None) -> list[GuildRules]:
        """Return the same as it was when it was last asked for."""
        return [self._known[number] for number in (EVERYWHERE, guild_id) if number is not None and number in self._known]

    async def change(self, guild_id: int, **changes: Any) -> GuildRules:
        """Store other values of these fields; return the rules then."""
        rules = replace(await self.of(guild_id), **changes)
        if max(len(rules.channels), len(rules.roles)) > _MAX_IDS:
            raise UsageError(f"at most {_MAX_IDS} channels and {_MAX_IDS} roles can be named; name a category instead")
        stored = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(rules).items()}
        await self._database.set_config(f"{_GUILD}{guild_id}", stored)
        self._known[guild_id] = rules
        return rules

    # --- blocked users --------------------------------------------------------------------------------------------

    async def block(self, user_id: int, reason: str) -> None:
        """Have the bot answer a user no more."""
        await self._database.set_config(f"{_BLOCKED}{user_id}", reason or "no reason given")

    async def unblock(self, user_id: int) -> bool:
        """Take that back; return whether the user was blocked."""
        return await self._database.delete_config(f"{_BLOCKED}{user_id}")

    async def is_blocked(self, user_id: int) -> bool:
        """Whether a user is blocked."""
        return await self._database.get_config(f"{_BLOCKED}{user_id}") is not None

    async def blocked(self) -> dict[int, str]:
        """Return the blocked users, and why they are."""
        found = await self._database.list_config(_BLOCKED)
        return {int(key.removeprefix(_BLOCKED)): str(reason) for key, reason in found.items()}


def _read(value: Any) -> GuildRules:
    if not isinstance(value, dict):
        return GuildRules()
    return GuildRules(
        channels=tuple(int(channel) for channel in value.get("channels") or ()),
        roles=tuple(int(role) for role in value.get("roles") or ()),
        per_user=None if value.get("per_user") is None else int(value["per_user"]),
        per_guild=None if value.get("per_guild") is None else int(value["per_guild"]),
        session_days=None if value.get("session_days") is None else float(value["session_days"]),
    )
