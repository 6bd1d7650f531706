"""The real bot over real connections to a small Discord: what breaks off, is refused or comes twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import discord
import pytest
from yarl import URL

from bot.agent.models.scripted import Reply, ScriptedClient
from bot.attachments import Source, download_attachments_batch
from bot.client import ThreadbookBot
from bot.service import Service, open_service
from kernel_manager import open_interpreter
from kernel_manager.packages.environments import Environment
from tests.bot.discord_server import TOKEN, DiscordServer, Json, labels
from tests.integration.conftest import make_settings
from tests.integration.support import until

pytestmark = pytest.mark.slow

PLOT = "import matplotlib.pyplot as plt\nload_file('d.csv').plot()\nplt.show()"


@dataclass
class Wire:
    """A small Discord, and the bot on it."""

    discord: DiscordServer
    service: Service
    bot: ThreadbookBot
    model: ScriptedClient
    user: Json
    channel: Json

    async def ended(self, channel: Json, turns: int = 1) -> None:
        await until(lambda: self.discord.text(channel).count("-# done") >= turns)


OpenWire = Callable[..., AbstractAsyncContextManager[Wire]]


@pytest.fixture
def open_wire(
    shared_folder: Path, kernel_environment: Environment, own_settings: None, monkeypatch: pytest.MonkeyPatch
) -> OpenWire:
    @asynccontextmanager
    async def opened(script: Any = None, *, shards: int = 1) -> AsyncIterator[Wire]:
        server, model = DiscordServer(), ScriptedClient(script or ())
        server.shards = shards
        guild = server.add_guild()
        user, channel = server.add_user("ada"), server.add_channel(guild)
        local = Source(hosts=frozenset({"127.0.0.1"}), schemes=frozenset({"http"}), own=frozenset({"127.0.0.1"}))
        settings = make_settings(shared_folder, kernel_environment)
        async with (
            server.serving(),
            open_interpreter(settings, housekeeping=False) as interpreter,
            open_service(
                interpreter,
                model=None if script is None else model,
                download=partial(download_attachments_batch, source=local),
                edit_interval=0.02,
            ) as service,
        ):
            reach(server, monkeypatch)
            async with ThreadbookBot(service, shards=0, guild_ready_timeout=0.05) as bot:
                running = asyncio.create_task(bot.start(TOKEN))
                await until(lambda: bot.is_ready() or running.done())
                yield Wire(server, service, bot, model, user, channel)
                await bot.close()
                await running
        assert server.unknown == []

    return opened


def reach(server: DiscordServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have discord.py speak to this server."""
    monkeypatch.setattr(discord.http.Route, "BASE", server.base)
    monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", URL(server.gateway_url))


async def test_from_an_attachment_over_http_to_a_figure_and_its_buttons(open_wire: OpenWire) -> None:
    async with open_wire([Reply("I plot it.", [PLOT]), Reply("Here it is.")]) as wire:
        thread = await wire.discord.ask(wire.user, wire.channel, "plot", [("d.csv", b"a,b\n1,2\n3,4\n")])
        await wire.ended(thread)
        assert wire.discord.figures(thread) == ["figure-1.png"]
        last = wire.discord.messages[thread["id"]][-1]
        assert "Here it is." in wire.discord.text(thread)
        asked = await wire.discord.press(wire.user, last, "Show code")
        await until(lambda: "load_file" in asked.said)
        assert "Notebook" in labels(last)


async def test_direct_messages_and_commands(open_wire: OpenWire) -> None:
    async with open_wire() as wire:
        direct = wire.discord.direct(wire.user)
        await wire.discord.say(wire.user, direct, "```py\nx = 41\n```")
        await wire.ended(direct)
        asked = await wire.discord.slash(wire.user, direct, "run", code="x + 1")
        await wire.ended(direct, turns=2)
        assert asked.said == "Running it."
        assert "\n42\n" in wire.discord.text(direct)
        listed = await wire.discord.slash(wire.user, wire.channel, "files list")
        await until(lambda: listed.answers)
        assert listed.answers[0]["flags"] == 64


async def test_what_is_said_while_the_connection_is_gone_is_answered_after_it_resumes(open_wire: OpenWire) -> None:
    async with open_wire() as wire:
        thread = await wire.discord.ask(wire.user, wire.channel, "!run x = 20 + 1")
        await wire.ended(thread)
        wire.discord.gateway.refusing = True
        await wire.discord.gateway.break_off()
        await wire.discord.say(wire.user, thread, "!run print(2 * x)")
        wire.discord.gateway.refusing = False
        await wire.ended(thread, turns=2)
        assert "\n42\n" in wire.discord.text(thread)
        assert (wire.discord.gateway.identified, wire.discord.gateway.resumed) == (1, 1)


async def test_a_turn_goes_on_while_discord_deploys_and_forgets_the_session(open_wire: OpenWire) -> None:
    async with open_wire() as wire:
        thread = await wire.discord.ask(wire.user, wire.channel, "!run name = input('Who? ')\nprint('hello', name)")
        await until(lambda: "asks: Who?" in wire.discord.text(thread))
        await wire.discord.gateway.ask_to_reconnect()
        await until(lambda: wire.discord.gateway.resumed == 1)
        await wire.discord.gateway.break_off(forget=True)
        await until(lambda: wire.discord.gateway.identified == 2)
        question = wire.discord.messages[thread["id"]][-1]
        await wire.discord.say(wire.user, thread, "Ada", reply_to=question)
        await wire.ended(thread)
        assert "\nhello Ada\n" in wire.discord.text(thread)


async def test_a_rate_limit_is_waited_for_and_nothing_is_lost(open_wire: OpenWire) -> None:
    async with open_wire([Reply("I plot it.", [PLOT]), Reply("Here it is.")]) as wire:
        wire.discord.fail("POST", r"/channels/\d+/messages", 429, times=3)
        wire.discord.fail("PATCH", r"/channels/\d+/messages/\d+", 429, times=3)
        thread = await wire.discord.ask(wire.user, wire.channel, "plot", [("d.csv", b"a,b\n1,2\n")])
        await wire.ended(thread)
        assert wire.discord.figures(thread) == ["figure-1.png"]
        assert wire.discord.text(thread).count("Here it is.") == 1


@pytest.mark.parametrize("status", [502, 503])
async def test_an_error_after_which_nobody_knows_whether_it_was_posted_posts_nothing_twice(
    open_wire: OpenWire, status: int
) -> None:
    async with open_wire([Reply("I plot it.", [PLOT]), Reply("Here it is.")]) as wire:
        faults = [
            wire.discord.fail("POST", r"/channels/\d+/messages", status, carried_out=True),
            wire.discord.fail("PATCH", r"/channels/\d+/messages/\d+", status),
        ]
        thread = await wire.discord.ask(wire.user, wire.channel, "plot", [("d.csv", b"a,b\n1,2\n")])
        await wire.ended(thread)
        assert [fault.times for fault in faults] == [0, 0]
        assert wire.discord.figures(thread) == ["figure-1.png"]
        assert wire.discord.text(thread).count("Here it is.") == 1
        assert len(wire.discord.messages[thread["id"]]) == len({one["nonce"] for one in wire.discord.messages[thread["id"]]})


async def test_an_outage_that_outlasts_the_turn_loses_nothing_of_it(open_wire: OpenWire) -> None:
    async with open_wire() as wire:
        thread = await wire.discord.ask(wire.user, wire.channel, "!run input('go? ')\nprint(6 * 7)")
        await until(lambda: "asks: go?" in wire.discord.text(thread))
        outage = wire.discord.fail("PATCH", r"/channels/\d+/messages/\d+", 503, times=8)
        question = wire.discord.messages[thread["id"]][-1]
        await wire.discord.say(wire.user, thread, "yes", reply_to=question)
        await wire.ended(thread)
        assert outage.times == 0
        assert "\n42\n" in wire.discord.text(thread)


async def test_every_shard_is_served(open_wire: OpenWire) -> None:
    async with open_wire(shards=2) as wire:
        assert sorted(session.shard for session in wire.discord.gateway.sessions.values()) == [0, 1]
        guild = wire.discord.add_guild("second", shard=1)
        other = wire.discord.add_channel(guild)
        await wire.discord.gateway.dispatch("GUILD_CREATE", guild, guild["id"])
        for channel in (wire.channel, other):
            thread = await wire.discord.ask(wire.user, channel, "!run print(6 * 7)")
            await wire.ended(thread)
            assert "\n42\n" in wire.discord.text(thread)


async def test_what_discord_did_not_take_before_the_end_is_left_for_the_next_process(
    open_wire: OpenWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.service._PATIENCE_S", 0.2)
    async with open_wire() as wire:
        thread = await wire.discord.ask(wire.user, wire.channel, "!run print('begun', flush=True)\nwhile True: pass")
        await until(lambda: wire.discord.text(thread).count("begun") == 2 or "\nbegun\n" in wire.discord.text(thread))
        wire.discord.fail("PATCH", r"/channels/\d+/messages/\d+", 503, times=1_000)
        await wire.service.aclose()
        (left,) = wire.service.journal.left()
        assert left.channel_id == int(thread["id"])
        wire.service.journal.strike(left.channel_id)
