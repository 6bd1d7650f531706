"""``threadbook bot``: the Discord bot, until it is told to end."""

from __future__ import annotations

import argparse
import logging

from bot import logs
from bot.starting import run_bot
from kernel_manager import Settings
from threadbook import app


async def bot(_: argparse.Namespace) -> int:
    """Run the bot."""
    settings = Settings.load()
    logs.set_up(settings.log_format, settings.log_level)
    await run_bot(settings, logging.getLogger("bot").info)
    return app.OK
