"""The bot in a process of its own that is killed or told to end in the middle of a turn, and comes again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from kernel_manager import Settings
from kernel_manager.packages.environments import Environment
from tests.bot.bot_process import bot_process
from tests.bot.discord_server import DiscordServer, Json, labels
from tests.integration.conftest import folder_for_kernels, make_settings
from tests.integration.support import until
from tests.mongo_server import free_port

pytestmark = pytest.mark.slow

WORK = """import os, matplotlib.pyplot as plt
print('begun', flush=True)
plt.plot([1, 2]); plt.show()
while not os.path.exists('go'): pass
open('made.txt', 'w').write('made')
print('and ended')"""


@pytest.fixture
def settings(kernel_environment: Environment, own_settings: None) -> Iterator[Settings]:
    with folder_for_kernels(kernel_environment) as folder:
        yield make_settings(folder, kernel_environment)


@asynccontextmanager
async def small_discord() -> AsyncIterator[tuple[DiscordServer, Json, Json]]:
    server = DiscordServer()
    channel = server.add_channel(server.add_guild())
    async with server.serving():
        yield server, server.add_user("ada"), channel
    assert server.unknown == []


def let_go(settings: Settings) -> None:
    (workspace,) = settings.data_dir.glob("sessions/*/*/workspace")
    (workspace / "go").touch()


async def test_a_turn_that_a_kill_interrupted_is_told_and_shown_whole_by_the_next_process(settings: Settings) -> None:
    async with small_discord() as (server, ada, channel):
        async with bot_process(server, settings) as bot:
            await until(lambda: server.gateway.connected)
            thread = await server.ask(ada, channel, "!run x = 41")
            await until(lambda: "-# done" in server.text(thread))
            await server.say(ada, thread, f"!run {WORK}")
            await until(lambda: server.text(thread).count("begun") == 2)
            await bot.kill()
        assert "Stop" in labels(server.messages[thread["id"]][-1])
        await server.say(ada, thread, "!run print(x + 1)")
        port = free_port()
        async with bot_process(server, settings, METRICS_PORT=str(port), LOG_FORMAT="json") as bot:
            await until(lambda: "restarted in the middle of this turn" in server.text(thread))
            let_go(settings)
            await until(lambda: server.text(thread).count("-# done") == 2)
            await until(lambda: not list((settings.data_dir / "bot" / "turns").iterdir()))
            text = server.text(thread)
            assert text.count("begun") == 2  # what Ada wrote, and what it printed
            assert text.index("and ended\n") < text.index("\n42\n")
            assert "ask again for what is missing" in text
            assert server.figures(thread) == ["figure-1.png", "go", "made.txt"]
            assert all("Stop" not in labels(message) for message in server.messages[thread["id"]])
            async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}/metrics") as response:
                counted = await response.text()
            assert 'threadbook_turns_total{status="failed"} 1.0' in counted
            assert 'threadbook_sessions{state="idle"} 1.0' in counted
            assert "threadbook_kernel_memory_bytes 0.0" not in counted
            assert await bot.end() == 0
        lines = [json.loads(line) for line in bot.log.splitlines()]
        ended = [line for line in lines if line["message"] == "the turn ended"]
        assert [(line["user"], line["status"], line["cells"]) for line in ended] == [
            (ada["id"], "failed", 1),
            (ada["id"], "completed", 1),
        ]
        assert ended[0]["turn"] != ended[1]["turn"]


async def test_who_is_told_to_end_stops_the_turn_says_so_and_knows_the_session_again(settings: Settings) -> None:
    async with small_discord() as (server, ada, channel):
        async with bot_process(server, settings) as bot:
            await until(lambda: server.gateway.connected)
            thread = await server.ask(ada, channel, "!run x = 41")
            await until(lambda: "-# done" in server.text(thread))
            await server.say(ada, thread, "!run print('begun', flush=True)\nwhile True: pass")
            await until(lambda: server.text(thread).count("begun") == 2)
            assert await bot.end() == 0
            assert "-# stopped" in server.text(thread)
            assert labels(server.messages[thread["id"]][-1]) != ["Stop"]
        async with bot_process(server, settings):
            await until(lambda: server.gateway.connected)
            await server.say(ada, thread, "!run print(x + 1)")
            await until(lambda: "\n42\n" in server.text(thread))


async def test_what_discord_refuses_is_named_and_only_a_token_that_is_none_ends_the_bot(settings: Settings) -> None:
    async with small_discord() as (server, ada, channel):
        server.gateway.privileged = False
        server.guilds[channel["guild_id"]]["roles"][0]["permissions"] = str(1 << 10 | 1 << 11 | 1 << 16)
        async with bot_process(server, settings) as bot:
            await until(lambda: server.gateway.connected)
            await until(lambda: "lacks" in bot.log)
            assert "Message Content intent is off" in bot.log
            assert "lacks Attach Files, Create Public Threads, Create Private Threads, Send Messages in Threads: allow" in bot.log
            thread = await server.ask(ada, channel, "!run print(6 * 7)")
            await until(lambda: "\n42\n" in server.text(thread))
            await server.gateway.break_off(4004)
            assert await bot.ended() == 2
            assert "does not accept DISCORD_TOKEN any more" in bot.log
