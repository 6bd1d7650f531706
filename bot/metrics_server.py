"""The port on which Prometheus asks; see :mod:`bot.metrics`."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from kernel_manager.errors import SettingsError


@contextlib.asynccontextmanager
async def serving(exposition: Callable[[], Awaitable[bytes]], host: str, port: int) -> AsyncIterator[int]:
    """Answer ``GET /metrics`` as long as the context lasts; yield the port. Raises SettingsError if it cannot be had."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=await exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.router.add_get("/metrics", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as exc:
            raise SettingsError(f"METRICS_PORT={port} cannot be used on {host} ({exc.strerror}); choose another one") from exc
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
