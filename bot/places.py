"""Places: which channel of Discord is whose session. Kept in the database, so that a restart changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from kernel_manager.database.protocol import Database
from kernel_manager.files.selection import MAX_FILES, FileRef

_PREFIX = "discord_place_"


@dataclass(frozen=True, slots=True)
class TakenFile:
    """A file that came in at a place: whose it is, and the attachment of Discord's that it was."""

    user_id: str
    file_id: str
    attachment_id: int = 0

    @property
    def ref(self) -> FileRef:
        """The file as the interpreter knows it."""
        return FileRef(self.user_id, self.file_id)


@dataclass(frozen=True, slots=True)
class Place:
    """A thread or direct messages; ``resets`` counts how often its session began anew, ``earlier`` are sessions before that.

    ``guild_id`` is None for direct messages. ``everyone`` and ``members`` are who may run here besides the owner, ``files``
    what came in here. ``handled`` is the last message that a turn was begun for. ``ended_at`` is when the thread was found to
    be deleted.
    """

    channel_id: int
    owner_id: int
    base: str
    resets: int = 0
    earlier: tuple[str, ...] = ()
    guild_id: int | None = None
    title: str = ""
    everyone: bool = False
    members: tuple[int, ...] = ()
    files: tuple[TakenFile, ...] = ()
    handled: int = 0
    ended_at: datetime | None = None

    @property
    def session_id(self) -> str:
        """The session that goes on here now."""
        return self.session_ids[-1]

    @property
    def session_ids(self) -> list[str]:
        """All sessions that went on here, the first one first."""
        return [*self.earlier, *(f"{self.base}-{number}" if number else self.base for number in range(self.resets + 1))]

    @property
    def user_id(self) -> str:
        """Whose session it is, as the interpreter knows them."""
        return str(self.owner_id)

    @property
    def shared(self) -> bool:
        """Whether others than the owner may run here."""
        return self.everyone or bool(self.members)

    def may_run(self, user_id: int) -> bool:
        """Whether a user may run something here."""
        return user_id == self.owner_id or self.everyone or user_id in self.members


class Places:
    """All places; one process at a time has them. Methods raise DatabaseError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[int, Place] = {}
        self._all_known = False
        self._writing = asyncio.Lock()

    async def find(self, channel_id: int) -> Place | None:
        """Return a channel's place, None if it is none."""
        if channel_id not in self._known and (value := await self._database.get_config(_key(channel_id))) is not None:
            self._known.setdefault(channel_id, _read(value))
        return self._known.get(channel_id)

    async def open(
        self, channel_id: int, owner_id: int, base: str, *, handled: int = 0, guild_id: int | None = None, title: str = ""
    ) -> Place:
        """Return a channel's place; it becomes the owner's if it was nobody's.

        ``base`` is the first session's id; what was said up to the message or interaction ``handled`` is none of its business.
        """
        if (known := await self.find(channel_id)) is not None:
            return known
        wanted = Place(channel_id, owner_id, base, guild_id=guild_id, title=title, handled=handled)
        stored = await self._database.set_config_if_absent(_key(channel_id), _written(wanted))
        return self._known.setdefault(channel_id, _read(stored))

    def current(self, place: Place) -> Place:
        """Return a place as it is now."""
        return self._known.get(place.channel_id, place)

    async def change(self, place: Place, **changes: Any) -> Place:
        """Store other values of these fields and return the place as it is then."""
        return await self.update(place, lambda current: replace(current, **changes))

    async def update(self, place: Place, changed: Callable[[Place], Place]) -> Place:
        """Store what ``changed`` makes of the place as it is now, and return it."""
        current = self.current(place)
        wanted = changed(current)
        if wanted != current or place.channel_id not in self._known:
            self._known[place.channel_id] = wanted
            async with self._writing:
                # of two that write at once, the later one must not bring back what the earlier one knew
                await self._database.set_config(_key(place.channel_id), _written(self._known.get(place.channel_id, wanted)))
        return self.current(wanted)

    async def begin_anew(self, place: Place) -> Place:
        """Give a place a new session and return it."""
        return await self.update(place, lambda current: replace(current, resets=current.resets + 1))

    async def note_files(self, place: Place, files: list[TakenFile]) -> Place:
        """Remember what came in; of very many, the earliest are forgotten."""
        return await self.update(place, lambda current: replace(current, files=(*current.files, *files)[-MAX_FILES:]))

    async def note_handled(self, place: Place, message_ids: Iterable[int]) -> Place:
        """Remember that a turn was begun for these messages, or that they need none."""
        return await self.change(place, handled=max([self.current(place).handled, *message_ids]))

    async def all(self) -> list[Place]:
        """Return all places, the ended ones, too."""
        if not self._all_known:
            for key, value in (await self._database.list_config(_PREFIX)).items():
                self._known.setdefault(int(key.removeprefix(_PREFIX)), _read(value))
            self._all_known = True
        return sorted(self._known.values(), key=lambda place: place.channel_id)

    async def of_user(self, user_id: int) -> list[Place]:
        """Return the places that a user owns, the latest first."""
        return [place for place in reversed(await self.all()) if place.owner_id == user_id]

    async def forget_user(self, user_id: int) -> None:
        """Remember nothing any more of who may run where, and of whose files came in where, as far as it is this user."""
        for place in await self.all():
            files = tuple(file for file in place.files if file.user_id != str(user_id))
            members = tuple(member for member in place.members if member != user_id)
            await self.change(place, files=files, members=members)

    async def move(self, place: Place, session_id: str) -> Place:
        """Have another session of its owner's go on at a place and return it."""

        def moved(current: Place) -> Place:
            return replace(current, base=session_id, resets=0, earlier=tuple(current.session_ids))

        return await self.update(place, moved)

    async def forget(self, channel_id: int) -> None:
        """A channel is no place any more; its sessions stay."""
        self._known.pop(channel_id, None)
        async with self._writing:
            await self._database.delete_config(_key(channel_id))


def thread_session(channel_id: int) -> str:
    """Return the id of a thread's first session."""
    return f"discord-{channel_id}"


def _key(channel_id: int) -> str:
    return f"{_PREFIX}{channel_id}"


def _written(place: Place) -> dict[str, Any]:
    ended = None if place.ended_at is None else place.ended_at.isoformat()
    files = [[file.user_id, file.file_id, file.attachment_id] for file in place.files]
    return {**asdict(place), "members": list(place.members), "earlier": list(place.earlier), "files": files, "ended_at": ended}


def _read(value: Any) -> Place:
    ended, guild = value.get("ended_at"), value.get("guild_id")
    return Place(
        channel_id=int(value["channel_id"]),
        owner_id=int(value["owner_id"]),
        base=str(value["base"]),
        resets=int(value["resets"]),
        earlier=tuple(str(session) for session in value.get("earlier") or ()),
        guild_id=None if guild is None else int(guild),
        title=str(value.get("title") or ""),
        everyone=bool(value.get("everyone")),
        members=tuple(int(member) for member in value.get("members") or ()),
        files=tuple(TakenFile(str(user), str(file), int(source)) for user, file, source in value.get("files") or ()),
        handled=int(value.get("handled") or 0),
        ended_at=None if ended is None else datetime.fromisoformat(str(ended)),
    )
