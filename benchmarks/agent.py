"""What the agent adds to a model and a kernel: a round of its loop, and the way of the first text."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, cast

from benchmarks.arena import Arena
from benchmarks.row import Row
from bot.agent.agent import Agent, AgentOptions, Message
from bot.agent.assistant import Assistant
from bot.agent.events import CodeEnded, TextDelta
from bot.agent.models.chat_completions import ChatCompletionsClient
from bot.agent.models.endpoint import Endpoint as Address
from bot.agent.models.protocol import ModelRequest
from bot.agent.models.scripted import Reply, ScriptedClient
from kernel_manager import Event, Session
from tools import endpoint as wire
from tools.endpoint import Endpoint, Play, Request

_ASSISTANT = Assistant("bench", "Bench", "Answer.")
_CELL = "print('x ' * 500)"


async def agent(arena: Arena) -> list[Row]:
    """What the agent adds: to the kernel's time in one round, and to a bare socket's until a consumer has the first text."""
    kernel = await arena.ours.kernel()
    session = await kernel.session()
    try:
        await session.execute(_CELL)
        rounds = [await _round(session) for _ in range(arena.plan.agent_rounds)]
        texts = [await _first_text(session) for _ in range(arena.plan.agent_rounds)]
    finally:
        await kernel.stop()
    return [
        _row("agent: a round without the model (plain: the kernel alone)", rounds, most=0.030),
        _row("agent: first streamed text (plain: a bare socket)", texts, most=0.020),
    ]


def _row(name: str, pairs: Sequence[tuple[float, float]], most: float) -> Row:
    return Row(name, "ms", [ours for ours, _ in pairs], [plain for _, plain in pairs], most=most)


class _Timed:
    """A session that counts how long its cells are waited for."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    async def run(self, code: str, **options: Any) -> AsyncGenerator[Event]:
        """Run a cell, with the options of :meth:`Session.run`."""
        async with aclosing(self._session.run(code, **options)) as events:
            while True:
                began = time.perf_counter()
                event = await anext(events, None)
                self.seconds += time.perf_counter() - began
                if event is None:
                    return
                yield event


async def _round(session: Session) -> tuple[float, float]:
    """From the end of the model's reply to its next request; and how long the kernel was waited for in it."""
    asked: list[float] = []

    def first(_: ModelRequest) -> Reply:
        asked.append(time.perf_counter())
        return Reply("", [_CELL])

    def second(_: ModelRequest) -> Reply:
        asked.append(time.perf_counter())
        return Reply("done")

    timed = _Timed(session)
    turn = Agent(ScriptedClient([first, second]), AgentOptions("m")).turn(cast("Session", timed), Message("go"), _ASSISTANT)
    async with aclosing(turn.events()) as events:
        assert any([isinstance(event, CodeEnded) async for event in events])
    return asked[1] - asked[0], timed.seconds


async def _first_text(session: Session) -> tuple[float, float]:
    """From the moment in which the endpoint writes the first text until who listens has it: to a turn, and to a socket."""
    sent: list[float] = []

    def answer(_: Request) -> Play:
        first, *rest = wire.chat_chunks(wire.Reply("Hello.", prompt_tokens=5_000, size=100))[1:]
        return Play([lambda: sent.append(time.perf_counter()), first, *rest])

    async with Endpoint(answer).serving() as endpoint:
        arrived = await _by_a_turn(session, endpoint.url), await _by_a_socket(endpoint.port)
    return arrived[0] - sent[0], arrived[1] - sent[1]


async def _by_a_turn(session: Session, url: str) -> float:
    client = ChatCompletionsClient(Address(url))
    turn = Agent(client, AgentOptions("m")).turn(session, Message("hello"), _ASSISTANT)
    try:
        async with aclosing(turn.events()) as events:
            moments = [time.perf_counter() async for event in events if isinstance(event, TextDelta)]
    finally:
        await client.aclose()
    return moments[0]


async def _by_a_socket(port: int) -> float:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        await reader.readuntil(b"Hello.")
        return time.perf_counter()
    finally:
        writer.close()
        await writer.wait_closed()
