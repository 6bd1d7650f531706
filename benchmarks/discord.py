"""The Discord bot when many people come at once: each opens a thread, asks, and gets a figure."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import cells
from benchmarks.arena import Arena
from benchmarks.contestant import CellFailedError, make_folder
from benchmarks.processes import Memory, ancestors_in, memory_of_all
from benchmarks.row import Row
from bot.agent.tools import EXECUTE
from kernel_manager import Settings
from kernel_manager.interpreter import open_interpreter
from tests.bot.discord_server import TOKEN, DiscordServer, Json
from tools.endpoint import Endpoint, Play, Reply, Request, models, play

_PATIENCE_S = 300
#: What has to hold: all have their answer, somebody sees something, and no callback holds others up, in seconds.
ALL_ANSWERED_S = 60.0
FIRST_REACTION_S = 1.0
CALLBACK_S = 0.05
#: Bytes that the machine has for all of it.
MACHINE = 2 * 2**30
_ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Rush:
    """When people asked (by their thread), when it was open, had a first message, had the answer. In seconds."""

    asked: dict[str, float] = field(default_factory=dict)
    opened: dict[str, float] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    answered: dict[str, float] = field(default_factory=dict)

    def note_thread(self, thread: Json) -> None:
        """The bot opened a thread."""
        self.opened[thread["id"]] = time.perf_counter()

    def note(self, message: Json) -> None:
        """The bot posted or edited a message."""
        thread = message["channel_id"]
        if thread not in self.asked:
            return
        self.seen.setdefault(thread, time.perf_counter())
        if any("-# done" in text for text in _texts(message)):
            self.answered.setdefault(thread, time.perf_counter())


async def rush(arena: Arena) -> list[Row]:
    """So many people at once, each with a turn of the model that draws a figure."""
    folder = make_folder(arena.folder / "bot")
    settings = Settings(
        data_dir=folder / "d",
        runtime_dir=folder / "r",
        environments_dir=arena.environment.root.parent,
        max_kernels=2 * arena.plan.threads_at_once,
        metrics_port=None,
    )
    server = DiscordServer()
    channel = server.add_channel(server.add_guild())
    async with Endpoint(_answer).serving() as endpoint, server.serving(), _bot(server, settings, endpoint.url) as bot:
        await _until(lambda: server.gateway.connected > 0, bot)
        # the zygote's start belongs to another measure
        await _crowd(server, channel, 1, bot)
        crowd = await _crowd(server, channel, arena.plan.threads_at_once, bot)
        memory = Memory.of(bot.pid).private
        bot.send_signal(signal.SIGTERM)
        output, _ = await bot.communicate()
    async with open_interpreter(settings, housekeeping=False) as interpreter:
        kernels = [info.kernel_pid for info in await interpreter.sessions() if info.kernel_pid is not None]
        memory += memory_of_all(_families(kernels)).private
        await interpreter.stop_all()
    told = json.loads(output)
    if os.environ.get("THREADBOOK_BENCH_CALLBACKS"):
        for seconds, name in told["longest"]:
            print(f"{seconds * 1000:8.1f} ms  {name[:160]}", file=sys.stderr)
    callbacks = sorted(told["seconds"])
    count = arena.plan.threads_at_once
    return [
        Row(f"bot: {count} threads at once: the last answer", "ms", [max(crowd.answered.values())], limit=ALL_ANSWERED_S),
        Row(f"bot: {count} threads at once: the last thread is open", "ms", [max(crowd.opened.values())], limit=FIRST_REACTION_S),
        Row(f"bot: {count} threads at once: first message in it", "ms", list(crowd.seen.values())),
        Row(f"bot: {count} threads at once: the last first message", "ms", [max(crowd.seen.values())]),
        Row("bot: 99 % of its event loop's callbacks", "ms", [callbacks[int(len(callbacks) * 0.99)]], limit=CALLBACK_S),
        Row(f"bot: its private memory and that of {len(kernels)} kernels", "MB", [float(memory)], limit=MACHINE),
    ]


async def _crowd(server: DiscordServer, channel: Json, count: int, bot: asyncio.subprocess.Process) -> Rush:
    """Have so many new people ask at once; return what they saw after how many seconds."""
    crowd = Rush()
    server.on_post = crowd.note
    server.on_thread = crowd.note_thread
    people = [server.add_user(f"user{number}") for number in range(count)]

    async def one(person: Json) -> None:
        began = time.perf_counter()
        # a thread of a message has the message's id
        message = await server.say(person, channel, f"<@{server.bot['id']}> draw three points")
        crowd.asked[message["id"]] = began

    await asyncio.gather(*map(one, people))
    await _until(lambda: len(crowd.answered) == count, bot)
    for thread in crowd.asked:
        if not server.figures(server.channels[thread]):
            raise CellFailedError(f"a turn of the bot has no figure: {server.text(server.channels[thread])[-300:]}")
    return Rush(crowd.asked, *(_since(crowd.asked, moments) for moments in (crowd.opened, crowd.seen, crowd.answered)))


def _since(asked: dict[str, float], moments: dict[str, float]) -> dict[str, float]:
    return {thread: moment - asked[thread] for thread, moment in moments.items()}


def _answer(request: Request) -> Play:
    """The model: a cell with a figure, then a word about it."""
    if not isinstance(request.json, dict):
        return models("bench")
    if any(message.get("role") == "tool" for message in request.json["messages"]):
        return play(request, Reply("Three points."))
    return play(request, Reply("I draw them.", [(EXECUTE.name, json.dumps({"code": cells.FIGURE}))]))


@contextlib.asynccontextmanager
async def _bot(server: DiscordServer, settings: Settings, model: str) -> AsyncIterator[asyncio.subprocess.Process]:
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(_ROOT),
        "PYTHONWARNINGS": "ignore",
        "DISCORD_TOKEN": TOKEN,
        "DATA_DIR": str(settings.data_dir),
        "RUNTIME_DIR": str(settings.runtime_dir),
        "ENVIRONMENTS_DIR": str(settings.environments_path),
        "MAX_KERNELS": str(settings.max_kernels),
        "OPENAI_BASE_URL": model,
        "OPENAI_MODEL": "bench",
        "ALLOW_UNSANDBOXED": "1",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.measured_bot", server.base, server.gateway_url),
        env=environ,
        cwd=settings.data_dir.parent,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=None if os.environ.get("THREADBOOK_BENCH_CALLBACKS") else asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _families(kernels: list[int]) -> list[int]:
    """Kernels with their supervisors and the zygote."""
    return list({pid for kernel in kernels for pid in (kernel, *ancestors_in(kernel, "kernelside"))})


async def _until(condition: Callable[[], bool], bot: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while not condition():
            if bot.returncode is not None:
                raise CellFailedError(f"the bot ended with status {bot.returncode}")
            await asyncio.sleep(0.01)


def _texts(message: Json) -> list[str]:
    own = [part.get("content", "") for part in message["components"]]
    return [message["content"], *own]
