"""``python -m bot``: the Discord bot, as a service: with its log on stderr."""

from __future__ import annotations

import asyncio
import logging
import sys

from bot import logs
from bot.starting import run_bot
from kernel_manager import Settings, ThreadbookError, UsageError


def main() -> int:
    """Run the bot; return the exit status: 2 for what the operator's settings have to change, 3 for a failure."""
    try:
        settings = Settings.load()
        logs.set_up(settings.log_format, settings.log_level)
        asyncio.run(run_bot(settings, logging.getLogger("bot").info))
    except ThreadbookError as exc:
        sys.stderr.write(f"threadbook: {' '.join(str(exc).split())}\n")
        return 2 if isinstance(exc, UsageError) else 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
