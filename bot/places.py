"""Places: which channel of Discord is whose session. Kept in the database, so that a restart changes nothing."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from kernel_manager.database.protocol import Database

_PREFIX = "discord_place_"


@dataclass(frozen=True, slots=True)
class Place:
    """A thread or direct messages; ``resets`` counts how often its session began anew."""

    channel_id: int
    owner_id: int
    base: str
    resets: int = 0

    @property
    def session_id(self) -> str:
        """The session that goes on here now."""
        return self.base if self.resets == 0 else f"{self.base}-{self.resets}"

    @property
    def user_id(self) -> str:
        """Whose session it is, as the interpreter knows them."""
        return str(self.owner_id)


class Places:
    """All places. Methods raise DatabaseError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[int, Place] = {}

    async def find(self, channel_id: int) -> Place | None:
        """Return a channel's place, None if it is none."""
        if channel_id not in self._known and (value := await self._database.get_config(f"{_PREFIX}{channel_id}")) is not None:
            self._known[channel_id] = _read(value)
        return self._known.get(channel_id)

    async def open(self, channel_id: int, owner_id: int, base: str) -> Place:
        """Return a channel's place; it becomes the owner's if it was nobody's. ``base`` is the first session's id."""
        wanted = Place(channel_id, owner_id, base)
        self._known[channel_id] = _read(await self._database.set_config_if_absent(f"{_PREFIX}{channel_id}", asdict(wanted)))
        return self._known[channel_id]

    async def begin_anew(self, place: Place) -> Place:
        """Give a place a new session and return it."""
        renewed = replace(place, resets=place.resets + 1)
        await self._database.set_config(f"{_PREFIX}{place.channel_id}", asdict(renewed))
        self._known[place.channel_id] = renewed
        return renewed

    async def move(self, place: Place, session_id: str) -> Place:
        """Have another session of its owner's go on at a place and return it."""
        moved = replace(place, base=session_id, resets=0)
        await self._database.set_config(f"{_PREFIX}{place.channel_id}", asdict(moved))
        self._known[place.channel_id] = moved
        return moved

    async def forget(self, channel_id: int) -> None:
        """A channel is no place any more; its sessions stay."""
        self._known.pop(channel_id, None)
        await self._database.delete_config(f"{_PREFIX}{channel_id}")


def _read(value: Any) -> Place:
    return Place(int(value["channel_id"]), int(value["owner_id"]), str(value["base"]), int(value["resets"]))
