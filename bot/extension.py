"""``await host.load_extension("bot.extension")``: all of Threadbook in somebody else's discord.py bot.

:func:`bot.embedding.configure` says with which settings and database. All commands are below ``/threadbook``; the host syncs them
to Discord as it does its own. Unloading leaves nothing behind but what is on disk and in the database.
"""

from __future__ import annotations

import logging

from discord.ext import commands

from bot import embedding

logger = logging.getLogger(__name__)


async def setup(host: commands.Bot | commands.AutoShardedBot) -> None:
    """Called by discord.py when the extension is loaded."""
    await embedding.enter(host)


async def teardown(host: commands.Bot | commands.AutoShardedBot) -> None:
    """Called by discord.py when the extension is unloaded, and when the host is closed."""
    try:
        await embedding.leave(host)
    except Exception:  # discord.py would drop it without a word
        logger.exception("Threadbook did not leave in good order")
