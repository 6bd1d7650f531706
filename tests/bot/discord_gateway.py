"""The gateway of :mod:`tests.bot.discord_server`: sessions that connect, break off, resume, or are invalidated."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

DISPATCH, HEARTBEAT, IDENTIFY, RESUME, RECONNECT, REQUEST_MEMBERS = 0, 1, 2, 6, 7, 8
INVALID_SESSION, HELLO, HEARTBEAT_ACK = 9, 10, 11
MESSAGE_CONTENT = 1 << 15
#: Close codes: what was asked for is privileged and not granted; and whatever Discord closes for, after which one resumes.
DISALLOWED_INTENTS = 4014
UNKNOWN_ERROR = 4000

Event = dict[str, Any]


@dataclass(eq=False)
class Session:
    """A session of the gateway; without a ``socket`` it waits to be resumed. ``sent`` are its events, the first is READY."""

    session_id: str
    shard: int
    shards: int
    intents: int
    sent: list[Event] = field(default_factory=list)
    socket: web.WebSocketResponse | None = None

    def owns(self, guild_id: str | None) -> bool:
        return self.shard == (0 if guild_id is None else (int(guild_id) >> 22) % self.shards)


class Gateway:
    """See the module. ``ready`` makes the first events of a new session."""

    def __init__(self, ready: Callable[[Session], list[tuple[str, dict[str, Any]]]]) -> None:
        self._ready = ready
        self.sessions: dict[str, Session] = {}
        self.privileged = True
        self.identified = 0
        self.resumed = 0
        self.refusing = False
        self._numbers = itertools.count(1)

    @property
    def connected(self) -> int:
        return sum(session.socket is not None for session in self.sessions.values())

    async def dispatch(self, name: str, data: dict[str, Any], guild_id: str | None) -> None:
        """Send an event to whom it concerns; who is away gets it when the session is resumed."""
        for session in list(self.sessions.values()):
            if session.owns(guild_id):
                await self._send(session, name, data)

    async def _send(self, session: Session, name: str, data: dict[str, Any]) -> None:
        shown = data if name != "MESSAGE_CREATE" or session.intents & MESSAGE_CONTENT else _without_content(data)
        event = {"op": DISPATCH, "t": name, "s": len(session.sent) + 1, "d": shown}
        session.sent.append(event)
        if session.socket is not None:
            await _put(session.socket, event)

    # --- trouble --------------------------------------------------------------------------------------------------

    async def break_off(self, code: int = UNKNOWN_ERROR, *, forget: bool = False) -> None:
        """Close every connection. The sessions can be resumed, unless they are forgotten."""
        there = list(self.sessions.values())
        if forget:
            self.sessions.clear()
        for session in there:
            if (socket := session.socket) is not None:
                session.socket = None
                await socket.close(code=code)

    async def ask_to_reconnect(self) -> None:
        """What Discord does when it deploys."""
        for session in self.sessions.values():
            if session.socket is not None:
                await _put(session.socket, {"op": RECONNECT, "d": None})

    # --- connections ----------------------------------------------------------------------------------------------

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection to its end."""
        if self.refusing:
            raise web.HTTPServiceUnavailable
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await _put(socket, {"op": HELLO, "d": {"heartbeat_interval": 41_250}})
        session: Session | None = None
        async for frame in socket:
            if frame.type is not WSMsgType.TEXT:
                continue
            message = json.loads(frame.data)
            match message["op"]:
                case 1:
                    await _put(socket, {"op": HEARTBEAT_ACK})
                case 2:
                    session = await self._identify(socket, message["d"])
                case 6:
                    session = await self._resume(socket, message["d"])
                case 8:
                    await self._members(session, message["d"])
        if session is not None and session.socket is socket:
            session.socket = None
        return socket

    async def _identify(self, socket: web.WebSocketResponse, data: dict[str, Any]) -> Session | None:
        self.identified += 1
        if data["intents"] & MESSAGE_CONTENT and not self.privileged:
            await socket.close(code=DISALLOWED_INTENTS)
            return None
        shard, shards = data.get("shard") or (0, 1)
        session = Session(f"session{next(self._numbers)}", shard, shards, data["intents"], socket=socket)
        self.sessions[session.session_id] = session
        for name, event in self._ready(session):
            await self._send(session, name, event)
        return session

    async def _resume(self, socket: web.WebSocketResponse, data: dict[str, Any]) -> Session | None:
        session = self.sessions.get(data["session_id"])
        if session is None:
            await _put(socket, {"op": INVALID_SESSION, "d": False})
            return None
        self.resumed += 1
        for event in session.sent[data["seq"] :]:
            await _put(socket, event)
        session.socket = socket
        await self._send(session, "RESUMED", {})
        return session

    async def _members(self, session: Session | None, data: dict[str, Any]) -> None:
        assert session is not None
        chunk = {"guild_id": data["guild_id"], "members": [], "chunk_index": 0, "chunk_count": 1, "nonce": data.get("nonce")}
        await self._send(session, "GUILD_MEMBERS_CHUNK", chunk)


async def _put(socket: web.WebSocketResponse, message: Event) -> None:
    with contextlib.suppress(ConnectionError):  # who has gone resumes
        await socket.send_str(json.dumps(message))


def _without_content(message: dict[str, Any]) -> dict[str, Any]:
    """What a bot without the privileged intent gets of messages that neither mention it nor are direct."""
    if message.get("guild_id") is None or any(user.get("bot") for user in message["mentions"]):
        return message
    return {**message, "content": "", "attachments": [], "embeds": [], "components": []}
