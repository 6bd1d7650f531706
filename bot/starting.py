"""From the settings to a running bot: what has to hold first, what is opened, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import discord

from bot.client import ThreadbookBot, make_intents
from bot.service import Service, open_service
from kernel_manager import Settings, SettingsError, open_interpreter
from kernel_manager.errors import ServiceError
from kernel_manager.provisioning.sandbox import ISOLATION, SandboxReport

logger = logging.getLogger(__name__)

_THREADS = 32
#: Code of a connection that Discord closes for a token that is not valid any more.
_NOT_AUTHENTICATED = 4004


def token_of(settings: Settings) -> str:
    """Return the bot's token. Raises SettingsError."""
    if settings.discord_token is None:
        raise SettingsError(
            "DISCORD_TOKEN is not set: create an application and copy its bot token (see the README's chapter on Discord)"
        )
    return settings.discord_token.get_secret_value()


def check_sandbox(report: SandboxReport, settings: Settings) -> None:
    """Raise SettingsError unless strangers' code is apart from this machine, or the operator accepted that it is not."""
    if report.isolates:
        return
    missing = ISOLATION - {protection.name for protection in report.protections if protection.held}
    what = f"this machine gives no {', no '.join(sorted(missing))}" if missing else "SANDBOX=none"
    if not settings.allow_unsandboxed:
        raise SettingsError(
            f"{what}: whoever writes to the bot could reach this machine. `threadbook doctor` says what to do; "
            "ALLOW_UNSANDBOXED=1 starts the bot all the same"
        )
    logger.warning("%s, and ALLOW_UNSANDBOXED is set: whoever writes to the bot can reach this machine", what)


async def run_bot(settings: Settings, progress: Callable[[str], None] | None = None) -> None:
    """Run the bot until SIGTERM or SIGINT. Raises SettingsError, ServiceError."""
    token = token_of(settings)
    # files are read and written beside the loop; by default there are few threads for it where there are few processors
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_THREADS, "bot"))
    async with open_interpreter(settings, progress=progress) as interpreter:
        await interpreter.prepare()
        check_sandbox(await interpreter.examine_sandbox(), settings)
        async with open_service(interpreter) as service:
            await _connect(service, token, settings.discord_shards)


async def _connect(service: Service, token: str, shards: int) -> None:
    try:
        await _until_told(ThreadbookBot(service, shards=shards), token)
    except discord.PrivilegedIntentsRequired:
        logger.warning("Discord refuses the Message Content intent; starting without it")
        await _until_told(ThreadbookBot(service, make_intents(message_content=False), shards=shards), token)


async def _until_told(bot: ThreadbookBot, token: str) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, told.set)
    try:
        async with bot:
            running = asyncio.create_task(_start(bot, token))
            ending = asyncio.create_task(told.wait())
            await asyncio.wait({running, ending}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                ending.cancel()
            else:
                logger.info("ending")
                await bot.close()
            await running
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


async def _start(bot: ThreadbookBot, token: str) -> None:
    try:
        await bot.start(token)
    except discord.LoginFailure as exc:
        raise SettingsError("Discord does not accept DISCORD_TOKEN; copy it again from the Developer Portal") from exc
    except discord.ConnectionClosed as exc:
        if exc.code == _NOT_AUTHENTICATED:
            raise SettingsError("Discord does not accept DISCORD_TOKEN any more; reset it in the Developer Portal") from exc
        raise ServiceError(f"Discord closed the connection for good (code {exc.code}); start again") from exc
    except (discord.HTTPException, discord.GatewayNotFound, OSError) as exc:
        raise ServiceError(f"Discord cannot be reached ({exc}); check the network and start again") from exc
