"""``threadbook bot``: the Discord bot, until it is told to end."""

from __future__ import annotations

import argparse
import logging

from bot.starting import run_bot
from kernel_manager import Settings
from threadbook import app


async def bot(_: argparse.Namespace) -> int:
    """Run the bot."""
    logging.getLogger("bot").setLevel(logging.INFO)
    await run_bot(Settings.load(), app.report)
    return app.OK
