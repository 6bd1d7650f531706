"""The real bot in a process of its own, on a small Discord: it can be killed, or told to end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from kernel_manager import Settings
from tests.bot.discord_server import TOKEN, DiscordServer
from tests.integration.support import PATIENCE

ROOT = Path(__file__).parents[2]
_START = """
import discord, sys
from yarl import URL
discord.http.Route.BASE, discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = sys.argv[1], URL(sys.argv[2])
from bot.__main__ import main
sys.exit(main())
"""


class BotProcess:
    """See the module. ``log`` is what it has written so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.log = ""
        self._reading = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        return self._process.pid

    async def _read(self) -> None:
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            self.log += line.decode()

    async def kill(self) -> None:
        """End it as a crash would."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        await self._reading

    async def end(self) -> int:
        """Tell it to end; return its exit status."""
        self._process.send_signal(signal.SIGTERM)
        return await self.ended()

    async def ended(self) -> int:
        """Wait until it has ended by itself; return its exit status."""
        async with asyncio.timeout(PATIENCE):
            status = await self._process.wait()
        await self._reading
        return status


@contextlib.asynccontextmanager
async def bot_process(server: DiscordServer, settings: Settings, **environ: str) -> AsyncIterator[BotProcess]:
    """Run the bot with these settings as long as the context lasts, and no longer than it wants."""
    variables = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "DISCORD_TOKEN": TOKEN,
        "DATA_DIR": str(settings.data_dir),
        "RUNTIME_DIR": str(settings.runtime_dir),
        "ENVIRONMENTS_DIR": str(settings.environments_path),
        "ALLOW_UNSANDBOXED": "1",
        **environ,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _START, server.base, server.gateway_url),
        env=variables,
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    running = BotProcess(process)
    try:
        yield running
    finally:
        await running.kill()
