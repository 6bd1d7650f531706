"""A small Discord on this machine: REST, gateway and CDN, on which the real discord.py runs.

For what a simulation inside the library cannot show: connections that break off, sessions that are resumed or forgotten, 429 and
5xx on the wire, a bot in another process that is killed. What a route that is not here is asked is listed in ``unknown``.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from multidict import MultiDictProxy

from tests.bot.discord_gateway import Gateway, Session

TOKEN = "MTAw.token.of-a-test"
EVERYTHING = str((1 << 53) - 1)
TEXT, DIRECT, PUBLIC_THREAD, PRIVATE_THREAD = 0, 1, 11, 12
_THREADS = frozenset({PUBLIC_THREAD, PRIVATE_THREAD})
_EPOCH = 1_420_070_400_000
_FILES = re.compile(r"files\[(\d+)\]")

Json = dict[str, Any]


@dataclass
class Fault:
    """An answer that goes wrong, ``times`` times. ``carried_out``: what was asked is done all the same."""

    method: str
    path: re.Pattern[str]
    status: int
    times: int
    carried_out: bool
    retry_after: float


@dataclass
class Asked:
    """An interaction: what the bot answered to it, and the modal that it opened."""

    interaction_id: str
    token: str
    answers: list[Json] = field(default_factory=list)
    deferred: bool = False
    modal: Json | None = None

    @property
    def said(self) -> str:
        return "\n".join(str(answer.get("content", "")) for answer in self.answers)


class DiscordServer:
    """See the module. Ids grow with time, as Discord's do; :attr:`now` may be moved."""

    def __init__(self) -> None:
        self.port = 0
        self.gateway = Gateway(self._ready)
        self.shards = 1
        self.requests: list[tuple[str, str]] = []
        self.unknown: list[str] = []
        self.faults: list[Fault] = []
        self.users: dict[str, Json] = {}
        self.guilds: dict[str, Json] = {}
        self.channels: dict[str, Json] = {}
        self.messages: dict[str, list[Json]] = {}
        self.commands: list[Json] = []
        self.syncs = 0
        self.asked: dict[str, Asked] = {}
        self.files: dict[str, bytes] = {}
        #: Called with every message that the bot posts or edits, as soon as that is so.
        self.on_post: Callable[[Json], None] = lambda _message: None
        #: Called with every thread that the bot opens.
        self.on_thread: Callable[[Json], None] = lambda _thread: None
        self._numbers = itertools.count(1)
        self.bot = self.add_user("Threadbook", bot=True)

    # --- what there is --------------------------------------------------------------------------------------------

    def new_id(self) -> str:
        milliseconds = int(datetime.now(UTC).timestamp() * 1000) - _EPOCH
        return str((milliseconds << 22) | (next(self._numbers) & 0x3FFFFF))

    def add_user(self, name: str, *, bot: bool = False) -> Json:
        user: Json = {
            "id": self.new_id(),
            "username": name,
            "discriminator": "0",
            "avatar": None,
            "global_name": name,
            "bot": bot,
        }
        self.users[user["id"]] = user
        return user

    def add_guild(self, name: str = "Lab", permissions: str = EVERYTHING, shard: int = 0) -> Json:
        number = int(self.new_id())
        while (number >> 22) % max(self.shards, 1) != shard:
            number += 1 << 22
        guild_id = str(number)
        everyone = {"id": guild_id, "name": "@everyone", "permissions": permissions, **_ROLE}
        guild = {
            **_GUILD,
            "id": guild_id,
            "name": name,
            "owner_id": "1",
            "roles": [everyone],
            "members": [self._member(self.bot)],
            "member_count": 2,
            "channels": [],
            "threads": [],
        }
        self.guilds[guild_id] = guild
        return guild

    def add_channel(self, guild: Json, name: str = "general") -> Json:
        channel = self._channel(TEXT, name=name, guild_id=guild["id"], position=0, permission_overwrites=[])
        guild["channels"].append(channel)
        return channel

    def direct(self, user: Json) -> Json:
        found = (one for one in self.channels.values() if one["type"] == DIRECT and one["recipients"][0]["id"] == user["id"])
        return next(found, None) or self._channel(DIRECT, recipients=[user])

    def threads(self, channel: Json) -> list[Json]:
        return [thread for thread in self.channels.values() if thread.get("parent_id") == channel["id"]]

    def _channel(self, kind: int, **more: Any) -> Json:
        channel = {"id": self.new_id(), "type": kind, "last_message_id": None, **more}
        self.channels[channel["id"]] = channel
        self.messages[channel["id"]] = []
        return channel

    def _thread(self, parent: Json, channel_id: str, name: str, kind: int) -> Json:
        stamp = _now()
        thread = {
            "id": channel_id,
            "type": kind,
            "name": name,
            "guild_id": parent["guild_id"],
            "parent_id": parent["id"],
            "owner_id": self.bot["id"],
            "message_count": 0,
            "member_count": 1,
            "rate_limit_per_user": 0,
            "last_message_id": None,
            "thread_metadata": {
                "archived": False,
                "auto_archive_duration": 1440,
                "archive_timestamp": stamp,
                "locked": False,
                "create_timestamp": stamp,
            },
            "member": {"id": channel_id, "user_id": self.bot["id"], "join_timestamp": stamp, "flags": 0},
        }
        self.channels[channel_id] = thread
        self.messages.setdefault(channel_id, [])
        self.guilds[parent["guild_id"]]["threads"].append(thread)
        return thread

    def _member(self, user: Json) -> Json:
        return {"user": user, "roles": [], "joined_at": _now(), "deaf": False, "mute": False, "flags": 0, "nick": None}

    # --- what people do -------------------------------------------------------------------------------------------

    async def say(
        self, user: Json, channel: Json, text: str, files: Sequence[tuple[str, bytes]] = (), *, reply_to: Json | None = None
    ) -> Json:
        """Send a message as a person does."""
        attachments = [self._attach(name, content) for name, content in files]
        payload: Json = {"content": text}
        if reply_to is not None:
            payload["message_reference"] = {"message_id": reply_to["id"], "channel_id": channel["id"]}
        message = self._message(channel, user, payload, attachments)
        await self._tell("MESSAGE_CREATE", self._with_member(message, user), channel)
        return message

    async def ask(self, user: Json, channel: Json, text: str, files: Sequence[tuple[str, bytes]] = ()) -> Json:
        """Mention the bot in a channel; return the thread that it opens."""
        known = len(self.threads(channel))
        await self.say(user, channel, f"<@{self.bot['id']}> {text}", files)
        async with asyncio.timeout(60):
            while len(self.threads(channel)) == known:
                await asyncio.sleep(0.01)
        return self.threads(channel)[-1]

    async def slash(self, user: Json, channel: Json, path: str, **values: Any) -> Asked:
        """Use a slash command: ``files list``, with its options."""
        name, *below = path.split()
        options: list[Json] = [{"name": key, "type": _option_type(value), "value": value} for key, value in values.items()]
        for depth, part in enumerate(reversed(below)):
            options = [{"name": part, "type": 1 if depth == 0 else 2, "options": options}]
        command = next(command for command in self.commands if command["name"] == name)
        data = {"id": command["id"], "name": name, "type": 1, "options": options}
        return await self._interact(user, channel, 2, data)

    async def press(self, user: Json, message: Json, label: str) -> Asked:
        """Press a button by its label."""
        buttons = [part for row in message["components"] for part in row.get("components", []) if part["type"] == 2]
        button = next(button for button in buttons if button.get("label") == label)
        data = {"custom_id": button["custom_id"], "component_type": 2}
        return await self._interact(user, self.channels[message["channel_id"]], 3, data, message=message)

    async def _interact(self, user: Json, channel: Json, kind: int, data: Json, **more: Any) -> Asked:
        asked = Asked(self.new_id(), f"interaction{next(self._numbers)}")
        self.asked[asked.token] = asked
        guild_id = channel.get("guild_id")
        who = {"member": {**self._member(user), "permissions": EVERYTHING}, "guild_id": guild_id} if guild_id else {"user": user}
        interaction = {
            "id": asked.interaction_id,
            "application_id": self.bot["id"],
            "type": kind,
            "token": asked.token,
            "version": 1,
            "data": data,
            "channel": channel,
            "channel_id": channel["id"],
            "app_permissions": EVERYTHING,
            "locale": "en-GB",
            "entitlements": [],
            "authorizing_integration_owners": {},
            "context": 0 if guild_id else 1,
            "attachment_size_limit": 10 * 2**20,
            **who,
            **more,
        }
        await self._tell("INTERACTION_CREATE", interaction, channel)
        return asked

    async def _tell(self, name: str, data: Json, channel: Json) -> None:
        await self.gateway.dispatch(name, data, channel.get("guild_id"))

    def _with_member(self, message: Json, user: Json) -> Json:
        return message if "guild_id" not in message else {**message, "member": self._member(user)}

    # --- messages -------------------------------------------------------------------------------------------------

    def _attach(self, name: str, content: bytes) -> Json:
        file_id = self.new_id()
        path = f"attachments/{file_id}/{name}"
        self.files[path] = content
        url = f"http://127.0.0.1:{self.port}/{path}"
        return {"id": file_id, "filename": name, "size": len(content), "url": url, "proxy_url": url}

    def _message(self, channel: Json, author: Json, payload: Json, attachments: list[Json]) -> Json:
        text = payload.get("content") or ""
        message = {
            **_MESSAGE,
            "id": self.new_id(),
            "channel_id": channel["id"],
            "author": author,
            "content": text,
            "timestamp": _now(),
            "mentions": [user for user in self.users.values() if f"<@{user['id']}>" in text],
            "attachments": attachments,
            "embeds": payload.get("embeds") or [],
            "components": payload.get("components") or [],
            "flags": payload.get("flags") or 0,
            "nonce": payload.get("nonce"),
            "type": 19 if payload.get("message_reference") else 0,
        }
        if payload.get("message_reference"):
            message["message_reference"] = payload["message_reference"]
        if "guild_id" in channel:
            message["guild_id"] = channel["guild_id"]
        self.messages[channel["id"]].append(message)
        channel["last_message_id"] = message["id"]
        return message

    def text(self, channel: Json) -> str:
        """Everything that the channel shows as text."""
        return "\n".join(line for message in self.messages[channel["id"]] for line in text_of(message))

    def figures(self, channel: Json) -> list[str]:
        return [file["filename"] for message in self.messages[channel["id"]] for file in message["attachments"]]

    def fail(
        self, method: str, path: str, status: int, times: int = 1, *, carried_out: bool = False, retry_after: float = 0.05
    ) -> Fault:
        """Have requests to a path (a regular expression) go wrong."""
        fault = Fault(method, re.compile(path), status, times, carried_out, retry_after)
        self.faults.append(fault)
        return fault

    # --- serving --------------------------------------------------------------------------------------------------

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v10"

    @property
    def gateway_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/gateway"

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[DiscordServer]:
        application = web.Application(client_max_size=64 * 2**20)
        application.router.add_get("/gateway", self.gateway.connect)
        application.router.add_get("/attachments/{path:.*}", self._file)
        application.router.add_route("*", "/api/v10/{path:.*}", self._rest)
        runner = web.AppRunner(application, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await self.gateway.break_off(1001)
            await runner.cleanup()

    async def _file(self, request: web.Request) -> web.Response:
        return web.Response(body=self.files[request.path.removeprefix("/")])

    async def _rest(self, request: web.Request) -> web.Response:
        path = "/" + request.match_info["path"]
        self.requests.append((request.method, path))
        payload, files = await _read(request)
        fault = self._fault(request.method, path)
        if fault is not None and not fault.carried_out:
            return _failure(fault)
        if request.headers.get("Authorization") != f"Bot {TOKEN}" and not path.startswith(("/interactions", "/webhooks")):
            return _answer({"message": "401: Unauthorized", "code": 0}, 401)
        answer = await self._route(request, path, payload, files)
        return _failure(fault) if fault is not None else answer

    def _fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and fault.method == method and fault.path.fullmatch(path):
                fault.times -= 1
                return fault
        return None

    async def _route(self, request: web.Request, path: str, payload: Any, files: list[tuple[str, bytes]]) -> web.Response:
        for method, pattern, function in _ROUTES:
            if method == request.method and (match := pattern.fullmatch(path)) is not None:
                result = await function(self, payload=payload, files=files, query=request.query, **match.groupdict())
                answer = result if isinstance(result, web.Response) else _answer(result)
                # without these, discord.py sends one request after the other
                answer.headers.update({**_ROOM, "X-Ratelimit-Bucket": function.__name__})
                return answer
        self.unknown.append(f"{request.method} {path}")
        return _answer({"message": "404: Not Found", "code": 0}, 404)

    # --- the gateway's first events -------------------------------------------------------------------------------

    def _ready(self, session: Session) -> list[tuple[str, Json]]:
        guilds = [guild for guild in self.guilds.values() if session.owns(guild["id"])]
        ready = {
            "v": 10,
            "user": self.bot,
            "session_id": session.session_id,
            "resume_gateway_url": self.gateway_url,
            "shard": [session.shard, session.shards],
            "guilds": [{"id": guild["id"], "unavailable": True} for guild in guilds],
            "application": {"id": self.bot["id"], "flags": 0},
        }
        return [("READY", ready), *(("GUILD_CREATE", guild) for guild in guilds)]


Route = Callable[..., Any]
_ROUTES: list[tuple[str, re.Pattern[str], Route]] = []


def _route(method: str, path: str) -> Callable[[Route], Route]:
    pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))

    def note(function: Route) -> Route:
        _ROUTES.append((method, pattern, function))
        return function

    return note


@_route("GET", "/users/@me")
async def _me(server: DiscordServer, **_: Any) -> Json:
    return server.bot


@_route("GET", "/users/{user}")
async def _user(server: DiscordServer, user: str, **_: Any) -> Json:
    return server.users[user]


@_route("GET", "/gateway/bot")
async def _gateway(server: DiscordServer, **_: Any) -> Json:
    limits = {"total": 1000, "remaining": 1000, "reset_after": 1000, "max_concurrency": 16}
    return {"url": server.gateway_url, "shards": server.shards, "session_start_limit": limits}


@_route("GET", "/oauth2/applications/@me")
async def _application(server: DiscordServer, **_: Any) -> Json:
    owner = {"id": "1", "username": "op", "discriminator": "0", "avatar": None}
    about = {"id": server.bot["id"], "name": "Threadbook", "description": "", "icon": None, "owner": owner, "team": None}
    return {**about, "bot_public": True, "bot_require_code_grant": False, "verify_key": "", "flags": 0}


@_route("PUT", "/applications/{application}/commands")
async def _sync(server: DiscordServer, payload: list[Json], application: str, **_: Any) -> Any:
    server.syncs += 1
    known = {"application_id": application, "version": "1", "default_member_permissions": None, "dm_permission": True}
    server.commands = [{**known, "description": "", **command, "id": server.new_id()} for command in payload]
    return server.commands


@_route("GET", "/channels/{channel}")
async def _get_channel(server: DiscordServer, channel: str, **_: Any) -> Any:
    return server.channels.get(channel) or _answer({"message": "Unknown Channel", "code": 10003}, 404)


@_route("PATCH", "/channels/{channel}")
async def _edit_channel(server: DiscordServer, channel: str, payload: Json, **_: Any) -> Json:
    found = server.channels[channel]
    for key in ("archived", "locked"):
        if key in payload:
            found["thread_metadata"][key] = payload.pop(key)
    found.update(payload)
    return found


@_route("POST", "/users/@me/channels")
async def _open_direct(server: DiscordServer, payload: Json, **_: Any) -> Json:
    return server.direct(server.users[str(payload["recipient_id"])])


@_route("POST", "/channels/{channel}/typing")
async def _typing(server: DiscordServer, **_: Any) -> web.Response:
    return web.Response(status=204)


@_route("GET", "/channels/{channel}/messages")
async def _history(server: DiscordServer, channel: str, query: MultiDictProxy[str], **_: Any) -> Any:
    after, before = int(query.get("after", 0)), int(query.get("before", 1 << 63))
    found = [message for message in server.messages[channel] if after < int(message["id"]) < before]
    limit = int(query.get("limit", 50))
    chosen = found[:limit] if "after" in query else found[-limit:]
    return chosen[::-1]


@_route("POST", "/channels/{channel}/messages")
async def _post(server: DiscordServer, channel: str, payload: Json, files: list[tuple[str, bytes]], **_: Any) -> Any:
    if channel not in server.channels:
        return _answer({"message": "Unknown Channel", "code": 10003}, 404)
    nonce = payload.get("nonce")
    same = (one for one in server.messages[channel] if nonce and payload.get("enforce_nonce") and one["nonce"] == nonce)
    if (known := next(same, None)) is not None:
        return known
    attachments = [server._attach(name, content) for name, content in files]
    message = server._message(server.channels[channel], server.bot, payload, attachments)
    server.on_post(message)
    await server._tell("MESSAGE_CREATE", message, server.channels[channel])
    return message


@_route("GET", "/channels/{channel}/messages/{message}")
async def _get_message(server: DiscordServer, channel: str, message: str, **_: Any) -> Any:
    found = (one for one in server.messages[channel] if one["id"] == message)
    return next(found, None) or _answer({"message": "Unknown Message", "code": 10008}, 404)


@_route("PATCH", "/channels/{channel}/messages/{message}")
async def _edit(server: DiscordServer, channel: str, message: str, payload: Json, **_: Any) -> Any:
    found = next((one for one in server.messages[channel] if one["id"] == message), None)
    if found is None:
        return _answer({"message": "Unknown Message", "code": 10008}, 404)
    found.update({key: payload[key] for key in ("content", "components", "embeds", "flags") if payload.get(key) is not None})
    found["edited_timestamp"] = _now()
    server.on_post(found)
    await server._tell("MESSAGE_UPDATE", found, server.channels[channel])
    return found


@_route("DELETE", "/channels/{channel}/messages/{message}")
async def _delete(server: DiscordServer, channel: str, message: str, **_: Any) -> web.Response:
    server.messages[channel] = [one for one in server.messages[channel] if one["id"] != message]
    return web.Response(status=204)


@_route("PUT", "/channels/{channel}/messages/{message}/reactions/{emoji}/@me")
async def _react(server: DiscordServer, **_: Any) -> web.Response:
    return web.Response(status=204)


@_route("POST", "/channels/{channel}/messages/{message}/threads")
async def _thread_of(server: DiscordServer, channel: str, message: str, payload: Json, **_: Any) -> Json:
    return await _open_thread(server, channel, message, payload, PUBLIC_THREAD)


@_route("POST", "/channels/{channel}/threads")
async def _thread_in(server: DiscordServer, channel: str, payload: Json, **_: Any) -> Json:
    return await _open_thread(server, channel, server.new_id(), payload, payload.get("type", PRIVATE_THREAD))


async def _open_thread(server: DiscordServer, channel: str, thread_id: str, payload: Json, kind: int) -> Json:
    parent = server.channels[channel]
    thread = server._thread(parent, thread_id, payload["name"], kind)
    server.on_thread(thread)
    await server._tell("THREAD_CREATE", {**thread, "newly_created": True}, parent)
    return thread


@_route("PUT", "/channels/{channel}/thread-members/{user}")
async def _join(server: DiscordServer, **_: Any) -> web.Response:
    return web.Response(status=204)


@_route("GET", "/guilds/{guild}/members/{user}")
async def _get_member(server: DiscordServer, user: str, **_: Any) -> Json:
    return server._member(server.users[user])


@_route("POST", "/interactions/{interaction}/{token}/callback")
async def _callback(server: DiscordServer, token: str, payload: Json, **_: Any) -> Json:
    asked = server.asked[token]
    kind, data = payload["type"], payload.get("data") or {}
    resource: Json = {"type": kind}
    if kind == 9:
        asked.modal = data
    elif kind in (5, 6):
        asked.deferred = True
    else:
        asked.answers.append(data)
    if kind in (4, 5, 7):
        resource["message"] = {**_MESSAGE, "id": server.new_id(), **_webhook_message(server, data)}
    return {"interaction": {"id": asked.interaction_id, "type": 2, "channel_id": "0"}, "resource": resource}


@_route("POST", "/webhooks/{application}/{token}")
async def _follow_up(server: DiscordServer, token: str, payload: Json, files: list[tuple[str, bytes]], **_: Any) -> Json:
    answer = {**payload, "attachments": [server._attach(name, content) for name, content in files]}
    server.asked[token].answers.append(answer)
    return {**_MESSAGE, "id": server.new_id(), **_webhook_message(server, answer)}


@_route("PATCH", "/webhooks/{application}/{token}/messages/@original")
async def _edit_original(server: DiscordServer, token: str, payload: Json, **_: Any) -> Json:
    server.asked[token].answers.append(payload)
    return {**_MESSAGE, "id": server.new_id(), **_webhook_message(server, payload)}


def _webhook_message(server: DiscordServer, data: Json) -> Json:
    shown = {key: data[key] for key in ("content", "components", "attachments") if data.get(key) is not None}
    return {"channel_id": "0", "author": server.bot, "timestamp": _now(), "webhook_id": server.bot["id"], **shown}


async def _read(request: web.Request) -> tuple[Any, list[tuple[str, bytes]]]:
    if request.content_type != "multipart/form-data":
        return (await request.json() if request.can_read_body else {}), []
    form = await request.post()
    files = [(part.filename, part.file.read()) for name, part in form.items() if _FILES.match(name)]  # type: ignore[union-attr]
    return json.loads(str(form["payload_json"])), files


def _answer(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    # discord.py compares the whole header: with a charset in it, it would hand out a string
    known = {"Content-Type": "application/json", **(headers or {})}
    return web.Response(body=json.dumps(data).encode(), status=status, headers=known)


def _failure(fault: Fault) -> web.Response:
    if fault.status == 429:
        body = {"message": "You are being rate limited.", "retry_after": fault.retry_after, "global": False}
        return _answer(body, 429, {"Via": "1.1 google", "Retry-After": str(fault.retry_after)})
    return _answer({"message": f"{fault.status}: trouble", "code": 50013 if fault.status == 403 else 0}, fault.status)


def _option_type(value: Any) -> int:
    return 5 if isinstance(value, bool) else 4 if isinstance(value, int) else 3


def _now() -> str:
    return datetime.now(UTC).isoformat()


def text_of(message: Json) -> list[str]:
    """What a message shows as text, line for line."""
    return "\n".join([message["content"], *_texts(message["components"])]).split("\n")


def _texts(components: Sequence[Json]) -> list[str]:
    own = [part["content"] for part in components if part["type"] == 10]
    return own + [text for part in components for text in _texts(part.get("components", []))]


def labels(message: Json) -> list[str]:
    return [part["label"] for row in message["components"] for part in row.get("components", []) if part["type"] == 2]


#: What stands in the answers of a Discord that nobody has asked for too much.
_ROOM = {"X-Ratelimit-Limit": "50", "X-Ratelimit-Remaining": "49", "X-Ratelimit-Reset-After": "1"}
_ROLE: Json = {
    "color": 0,
    "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
    "hoist": False,
    "position": 0,
    "managed": False,
    "mentionable": False,
    "flags": 0,
}
_GUILD: Json = {
    "icon": None,
    "splash": None,
    "discovery_splash": None,
    "afk_channel_id": None,
    "afk_timeout": 300,
    "verification_level": 0,
    "default_message_notifications": 0,
    "explicit_content_filter": 0,
    "emojis": [],
    "stickers": [],
    "features": [],
    "mfa_level": 0,
    "application_id": None,
    "system_channel_id": None,
    "system_channel_flags": 0,
    "rules_channel_id": None,
    "vanity_url_code": None,
    "description": None,
    "banner": None,
    "premium_tier": 0,
    "premium_subscription_count": 0,
    "preferred_locale": "en-US",
    "public_updates_channel_id": None,
    "nsfw_level": 0,
    "premium_progress_bar_enabled": False,
    "joined_at": "2026-01-01T00:00:00+00:00",
    "large": False,
    "voice_states": [],
    "presences": [],
    "stage_instances": [],
    "guild_scheduled_events": [],
    "soundboard_sounds": [],
}
_MESSAGE: Json = {
    "content": "",
    "edited_timestamp": None,
    "tts": False,
    "mention_everyone": False,
    "mentions": [],
    "mention_roles": [],
    "attachments": [],
    "embeds": [],
    "components": [],
    "pinned": False,
    "type": 0,
    "flags": 0,
}
