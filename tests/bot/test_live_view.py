"""Keeping a turn's messages up to date: one request at a time, not too often, the newest state wins, files go once."""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import discord
import pytest

from bot.agent.events import AgentEvent, CodeEnded, CodeStarted, FigureShown, TextDelta, TextEnded
from bot.live_view import LiveView
from bot.rendering import TurnRendering
from tests.bot.looks import MIB, ended, result

FIGURE = {"image/png": base64.b64encode(b"picture").decode()}


def http_error(kind: type[discord.HTTPException], status: int, code: int = 0) -> discord.HTTPException:
    return kind(cast("Any", SimpleNamespace(status=status, reason="")), {"code": code, "message": "no"})


@dataclass
class Request:
    kind: str
    at: float
    text: str
    files: list[str]
    nonce: str | None = None
    mentions: dict[str, Any] | None = None


@dataclass
class Channel:
    """A channel that notes what is asked of it; ``gate`` holds requests back, ``errors`` come instead of the first answers."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    errors: list[discord.HTTPException | None] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    deleted: int = 0

    async def send(self, *, view: Any = None, files: Any = (), nonce: str, allowed_mentions: Any) -> Any:
        names = [file.filename for file in files]
        await self._request(Request("send", 0, text_of(view), names, nonce, allowed_mentions.to_dict()))
        return SimpleNamespace(id=len(self.requests), edit=self.edit, delete=self.delete)

    async def edit(self, *, view: Any, allowed_mentions: Any) -> None:
        await self._request(Request("edit", 0, text_of(view), [], None, allowed_mentions.to_dict()))

    async def delete(self) -> None:
        self.deleted += 1

    async def _request(self, request: Request) -> None:
        request.at = asyncio.get_running_loop().time()
        self.requests.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self.gate.wait()
            error = self.errors.pop(0) if self.errors else None
            if error is not None:
                raise error
        finally:
            self.in_flight -= 1


def text_of(view: Any) -> str:
    items = view.children if view is not None else ()
    return "\n".join(item.content for item in items if isinstance(item, discord.ui.TextDisplay))


def view_of(channel: Channel, interval: float = 0.0) -> LiveView:
    return LiveView(cast("Any", channel), TurnRendering(10 * MIB), lambda _: [], Path("/nowhere"), 10 * MIB, interval)


async def played(*events: AgentEvent | asyncio.Event) -> AsyncIterator[AgentEvent]:
    for event in events:
        if isinstance(event, asyncio.Event):
            await event.wait()
        else:
            yield event


async def test_one_request_is_under_way_at_a_time_and_the_newest_state_wins() -> None:
    channel, over = Channel(), asyncio.Event()
    following = asyncio.create_task(view_of(channel).follow(played(*(TextDelta(f"{n} ") for n in range(100)), over, ended())))
    while not channel.requests:
        await asyncio.sleep(0)
    for _ in range(500):
        await asyncio.sleep(0)
    assert len(channel.requests) == 1
    channel.gate.set()
    over.set()
    await following
    assert channel.most_in_flight == 1
    assert len(channel.requests) <= 3
    assert channel.requests[-1].text.endswith("98 99 \n-# done · no code")


async def test_requests_keep_their_distance() -> None:
    channel = Channel()
    channel.gate.set()
    events = [event for n in range(200) for event in (TextDelta(f"{n} "), CodeStarted(n, ""), CodeEnded(n, result()))]
    await view_of(channel, 0.03).follow(played(*events, ended()))
    edits = [request.at for request in channel.requests if request.kind == "edit"]
    assert all(later - earlier >= 0.029 for earlier, later in itertools.pairwise(edits))


async def test_files_are_sent_once_whatever_is_edited_after_them() -> None:
    channel = Channel()
    channel.gate.set()
    figure = (CodeStarted(1, ""), FigureShown(FIGURE, ""), CodeEnded(1, result()))
    await view_of(channel).follow(played(*figure, *(TextDelta(f"{n}") for n in range(50)), TextEnded("done"), ended()))
    assert [request.files for request in channel.requests if request.files] == [["figure-1.png"]]
    assert channel.deleted == 0


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_what_failed_is_sent_again_with_the_same_nonce(status: int) -> None:
    channel = Channel(errors=[http_error(discord.DiscordServerError, status)] * 2)
    channel.gate.set()
    await view_of(channel).follow(played(ended()))
    sent = [request for request in channel.requests if request.kind == "send"]
    assert len(sent) == 3
    assert len({request.nonce for request in sent}) == 1
    # the first may have arrived all the same, with an older text
    assert channel.requests[-1].kind == "edit"


async def test_each_message_has_a_nonce_of_its_own_that_discord_takes() -> None:
    channel = Channel()
    channel.gate.set()
    await view_of(channel).follow(played(CodeStarted(1, ""), FigureShown(FIGURE, ""), CodeEnded(1, result()), ended()))
    nonces = [request.nonce for request in channel.requests if request.nonce is not None]
    assert len(set(nonces)) == len(nonces) == 3
    assert max(map(len, nonces)) <= 25


async def test_a_turn_goes_on_when_its_channel_is_gone() -> None:
    channel = Channel(errors=[http_error(discord.NotFound, 404)])
    channel.gate.set()
    await view_of(channel).follow(played(TextDelta("x"), ended()))
    assert len(channel.requests) == 1


async def test_discord_is_given_up_after_some_tries() -> None:
    channel = Channel(errors=[http_error(discord.DiscordServerError, 500)] * 1_000)
    channel.gate.set()
    await view_of(channel).follow(played(ended()))
    assert len(channel.requests) <= 50


async def test_nothing_mentions_anybody() -> None:
    channel = Channel()
    channel.gate.set()
    await view_of(channel).follow(played(TextEnded("@everyone"), CodeStarted(1, ""), CodeEnded(1, result()), ended()))
    assert all(request.mentions is not None and request.mentions["parse"] == [] for request in channel.requests)


async def test_a_message_that_somebody_deleted_is_sent_anew() -> None:
    channel = Channel(errors=[None, http_error(discord.NotFound, 404, 10008)])
    channel.gate.set()
    more = asyncio.Event()
    following = asyncio.create_task(view_of(channel).follow(played(TextDelta("x"), more, TextEnded("the answer"), ended())))
    while not channel.requests:
        await asyncio.sleep(0)
    more.set()
    await following
    assert [request.kind for request in channel.requests[:3]] == ["send", "edit", "send"]
    nonces = [request.nonce for request in channel.requests if request.kind == "send"]
    assert len(set(nonces)) == len(nonces)
    assert "the answer" in channel.requests[-1].text


async def test_without_the_permission_to_attach_files_the_rest_is_shown() -> None:
    channel = Channel(errors=[None, http_error(discord.Forbidden, 403)])
    channel.gate.set()
    await view_of(channel).follow(played(CodeStarted(1, ""), FigureShown(FIGURE, ""), CodeEnded(1, result()), ended()))
    assert "I need the permission to attach files here" in channel.requests[-1].text
    assert "done · 1 cell" in channel.requests[-1].text
