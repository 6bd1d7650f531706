"""What the bot counts, for Prometheus. No name of a user, server or session is in it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter as Tally
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from bot.agent.events import AgentEvent, CodeEnded, TurnEnded, TurnUsage
from kernel_manager import Session

logger = logging.getLogger(__name__)

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_LAGS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
_TICK_S = 0.5
#: Whose warnings and errors are counted.
_OURS = ("bot", "kernel_manager", "notebooks_export")


class Metrics:
    """See the module; one for each service. ``latency`` tells the seconds of a round trip to Discord."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.latency: Callable[[], float] = lambda: float("nan")
        ProcessCollector(registry=self.registry)
        self._turns = self._counter("turns", "Turns that ended, by how.", "status")
        self._turn_seconds = self._histogram("turn_seconds", "From the begin of a turn to its end.", _SECONDS)
        self._running = self._gauge("turns_running", "Turns that go on now.")
        self._cells = self._counter("cells", "Cells that ended, by how.", "status")
        self._cell_seconds = self._histogram("cell_seconds", "How long the code of cells ran.", _SECONDS)
        self._tokens = self._counter("tokens", "Tokens of the model; those that were cached are among the input.", "kind")
        self._requests = self._counter("model_requests", "Requests to the model.")
        self._reaction = self._histogram("first_reaction_seconds", "From the begin of a turn until Discord showed it.", _SECONDS)
        self._sessions = self._gauge("sessions", "Sessions that are in use, by the state of their kernel.", "state")
        self._memory = self._gauge("kernel_memory_bytes", "Memory of all their kernels, shared pages shared out.")
        self._lag = self._histogram("event_loop_lag_seconds", "How late the event loop wakes who wanted to be woken.", _LAGS)
        self._discord = self._gauge("discord_latency_seconds", "A heartbeat's way to Discord and back.")
        self._logged = self._counter("logged", "Warnings and errors in the log.", "level")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"threadbook_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"threadbook_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"threadbook_{name}", text, buckets=buckets, registry=self.registry)

    # --- what happens ---------------------------------------------------------------------------------------------

    async def turn(self, events: AsyncIterator[AgentEvent]) -> AsyncGenerator[AgentEvent]:
        """Pass a turn's events on, and count what they tell; its end is logged with what it took."""
        begun = time.monotonic()
        self._running.inc()
        try:
            async for event in events:
                if isinstance(event, CodeEnded):
                    self._cells.labels(event.result.status).inc()
                    self._cell_seconds.observe(event.result.duration_s)
                elif isinstance(event, TurnEnded):
                    self._end(event, time.monotonic() - begun)
                yield event
        finally:
            self._running.dec()

    def _end(self, ended: TurnEnded, seconds: float) -> None:
        used = ended.usage
        self._turns.labels(ended.status).inc()
        self._turn_seconds.observe(seconds)
        self._count_tokens(used)
        logger.info(
            "the turn ended",
            extra={
                "status": ended.status,
                "seconds": seconds,
                "cells": used.runs,
                "code_seconds": used.seconds,
                "requests": used.requests,
                "input_tokens": used.tokens.input,
                "output_tokens": used.tokens.output,
            },
        )

    def _count_tokens(self, used: TurnUsage) -> None:
        self._requests.inc(used.requests)
        self._tokens.labels("input").inc(used.tokens.input)
        self._tokens.labels("cached").inc(used.tokens.cached)
        self._tokens.labels("output").inc(used.tokens.output)

    def shown(self, seconds: float) -> None:
        """Discord showed the begin of a turn after so many seconds."""
        self._reaction.observe(seconds)

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch the event loop and the log as long as the context lasts."""
        handler = _Counting(self._logged)
        for name in _OURS:
            logging.getLogger(name).addHandler(handler)
        task = asyncio.create_task(self._watch_loop(), name="event loop lag")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
            for name in _OURS:
                logging.getLogger(name).removeHandler(handler)

    async def _watch_loop(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _TICK_S
            await asyncio.sleep(_TICK_S)
            self._lag.observe(max(0.0, loop.time() - due))

    # --- what is told ---------------------------------------------------------------------------------------------

    async def exposition(self, sessions: list[Session]) -> bytes:
        """Return everything in Prometheus' text format; ``sessions`` are those in use."""
        states = Tally(_state(session) for session in sessions)
        for state in ("busy", "idle", "asleep"):
            self._sessions.labels(state).set(states[state])
        pids = [pid for session in sessions if (pid := session.kernel_pid) is not None]
        self._memory.set(await asyncio.to_thread(lambda: sum(map(_memory, pids))))
        self._discord.set(self.latency())
        return generate_latest(self.registry)


class _Counting(logging.Handler):
    """Counts records instead of writing them."""

    def __init__(self, counter: Counter) -> None:
        super().__init__(logging.WARNING)
        self._counter = counter

    def emit(self, record: logging.LogRecord) -> None:
        """Count one."""
        self._counter.labels("warning" if record.levelno < logging.ERROR else "error").inc()


def _state(session: Session) -> str:
    if session.busy:
        return "busy"
    return "idle" if session.has_kernel else "asleep"


def _memory(pid: int) -> int:
    """Bytes of a process; 0 if it has gone, or is not ours to look at."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
