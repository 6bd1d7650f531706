"""``python -m benchmarks.measured_bot REST GATEWAY``: the bot on a small Discord, with its event loop's callbacks timed.

At its end it prints one JSON object: how long callbacks took (seconds, the longest ones by what they were), and its memory.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import os
import sys
import time
from typing import Any

import discord
from yarl import URL

from benchmarks.processes import Memory
from bot.__main__ import main

_KEPT = 200


class Callbacks:
    """How long each callback of the event loop took, once :meth:`watch` was called."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.longest: list[tuple[float, str]] = []

    def watch(self) -> None:
        handles: Any = asyncio.Handle
        run = handles._run

        def timed(handle: Any) -> None:
            began = time.perf_counter()
            run(handle)
            took = time.perf_counter() - began
            self.seconds.append(took)
            if len(self.longest) < _KEPT:
                heapq.heappush(self.longest, (took, _name(handle)))
            elif took > self.longest[0][0]:
                heapq.heapreplace(self.longest, (took, _name(handle)))

        handles._run = timed


def _name(handle: Any) -> str:
    """What a callback was: of a task's step, the coroutine. Nothing is asked for its text, which may have effects."""
    callback = handle._callback
    task = getattr(callback, "__self__", None)
    if isinstance(task, asyncio.Task):
        return f"{task.get_name()}: {getattr(task.get_coro(), '__qualname__', '?')}"
    return str(getattr(callback, "__qualname__", type(callback).__name__))


if __name__ == "__main__":
    discord.http.Route.BASE, discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = sys.argv[1], URL(sys.argv[2])
    callbacks = Callbacks()
    callbacks.watch()
    status = main()
    longest = sorted(callbacks.longest, reverse=True)
    print(json.dumps({"seconds": callbacks.seconds, "longest": longest[:20], "resident": Memory.of(os.getpid()).resident}))
    sys.exit(status)
