"""What the bot's cogs share: the interpreter, the agent if there is a model, the places and their conversations."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, ParamSpec, TypeVar

import discord

from bot.agent.errors import EndpointSettingsError
from bot.agent.models.protocol import ModelClient
from bot.agent.opening import OpenAgent, open_agent
from bot.agent.usage import UsageBook
from bot.conversation import Conversation
from bot.downloads import downloads_folder
from bot.gate import Gate
from bot.hand_in import Download, HandIn, download
from bot.journal import Journal, LeftTurn
from bot.live_view import EDIT_INTERVAL_S
from bot.metrics import Metrics
from bot.metrics_server import serving
from bot.places import Place, Places
from kernel_manager import Interpreter, Session
from kernel_manager.errors import UnknownSessionError

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger(__name__)

NOTIFY_AFTER_S = 30.0
#: Seconds that running turns get to end when the bot ends.
_PATIENCE_S = 15.0


class Service:
    """See the module. ``agent`` is None without a language model: code runs all the same."""

    def __init__(
        self, interpreter: Interpreter, agent: OpenAgent | None, hand_in: HandIn, edit_interval: float, notify_after: float
    ) -> None:
        self.interpreter = interpreter
        self.settings = interpreter.settings
        self.agent = agent
        self.hand_in = hand_in
        self.edit_interval = edit_interval
        self.notify_after = notify_after
        self.places = Places(interpreter.database)
        self.gate = Gate(self.settings, interpreter.database, time.monotonic)
        self.usage = agent.usage if agent is not None else UsageBook(interpreter.database)
        #: The time in UTC, as Discord's messages have it.
        self.clock: Callable[[], datetime] = discord.utils.utcnow
        self.metrics = Metrics()
        self.journal = Journal(interpreter.settings.data_dir / "bot" / "turns")
        self._left_turns = self.journal.left()
        self._selecting = asyncio.Lock()
        self._conversations: dict[int, Conversation] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: set[asyncio.Task[None]] = set()
        # turns belong to the service, not to the event that happened to begin them
        self._context = contextvars.copy_context()

    @property
    def fresh_for(self) -> timedelta:
        """For how long after it was written a message is run, or offered, without somebody asking for it anew."""
        return timedelta(minutes=self.settings.discord_fresh_minutes)

    def start(self, work: Coroutine[Any, Any, None], name: str, *, idle: bool = False) -> asyncio.Task[None]:
        """Have something done in the background for as long as the service is open.

        Nobody waits for the end of ``idle`` work: it is cancelled when the service ends.
        """
        task = self.apart(asyncio.create_task, work, name=name)
        tasks = self._idle if idle else self._tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    def apart(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in the service's own context, not in that of an event of Discord."""
        return self._context.copy().run(function, *args, **kwargs)

    def conversation(self, place: Place, channel: discord.abc.Messageable) -> Conversation:
        """Return the conversation of a place."""
        found = self._conversations.get(place.channel_id)
        if found is None:
            found = self._conversations[place.channel_id] = Conversation(self, place, channel)
        found.channel = channel
        return found

    def running(self, channel_id: int) -> Conversation | None:
        """Return a channel's conversation if it has one in this process."""
        return self._conversations.get(channel_id)

    def take_left_turns(self) -> list[LeftTurn]:
        """Return the turns that an earlier process was killed in, once."""
        left, self._left_turns = self._left_turns, []
        return left

    async def session_of(self, place: Place) -> Session:
        """Return the session that goes on at a place; one that is shared sees only the files that came in there.

        So it stays when it is shared no more: others may have left code in it that waits for its owner's files.
        """
        session = await self.interpreter.session(place.user_id, place.session_id)
        if place.shared and not session.selects_files:
            async with self._selecting:  # of two who come at once, the second must not end the kernel of the first
                if not session.selects_files:
                    await session.select_files([file.ref for file in place.files])
        return session

    async def reset(self, place: Place) -> Place:
        """Stop what runs at a place and begin a new session there: fresh kernel, empty context. Files stay."""
        if (conversation := self._conversations.pop(place.channel_id, None)) is not None:
            conversation.stop()
            await conversation.wait()
        await (await self.session_of(place)).stop()
        return await self.places.begin_anew(place)

    async def move(self, place: Place, session_id: str) -> Place:
        """Stop what runs at a place and have another session of its owner's go on there."""
        if (conversation := self._conversations.pop(place.channel_id, None)) is not None:
            conversation.stop()
            await conversation.wait()
        await (await self.session_of(place)).stop()
        return await self.places.move(place, session_id)

    async def end(self, channel_id: int) -> None:
        """A channel is gone: end its kernel. Its sessions can still be exported for ENDED_SESSION_DAYS."""
        place = await self.places.find(channel_id)
        if place is None or place.ended_at is not None:
            return
        place = await self.places.change(place, ended_at=self.clock())
        if (conversation := self._conversations.pop(channel_id, None)) is not None:
            conversation.stop()
        await (await self.interpreter.session(place.user_id, place.session_id)).stop()

    async def remove(self, place: Place) -> None:
        """Delete the sessions of a place, and what is known of it."""
        await self.clear(place)
        await self.places.forget(place.channel_id)

    async def clear(self, place: Place) -> None:
        """Delete the sessions of a place; what is said there next begins a new one."""
        if (conversation := self._conversations.pop(place.channel_id, None)) is not None:
            conversation.stop()
            await conversation.wait()
        for session_id in place.session_ids:
            with contextlib.suppress(UnknownSessionError):
                await self.interpreter.remove_session(place.user_id, session_id)
        await self.places.change(place, resets=0, earlier=())

    async def aclose(self) -> None:
        """Stop all turns; each gets its end shown."""
        for task in set(self._idle):
            task.cancel()
        if self._idle:
            await asyncio.wait(set(self._idle))
        await asyncio.gather(*(conversation.end() for conversation in self._conversations.values()))
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=_PATIENCE_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)


@contextlib.asynccontextmanager
async def open_service(
    interpreter: Interpreter,
    *,
    model: ModelClient | None = None,
    download: Download = download,
    edit_interval: float = EDIT_INTERVAL_S,
    notify_after: float = NOTIFY_AFTER_S,
) -> AsyncIterator[Service]:
    """Open what the bot needs on an interpreter.

    ``model`` takes the place of the settings' endpoint; without either, there is no agent. ``download`` gets attachments,
    ``edit_interval`` is in seconds, and so is ``notify_after``: a longer turn ends with a mention of its owner. Raises what
    :func:`~bot.agent.opening.open_agent` raises, and SettingsError if ``METRICS_PORT`` cannot be had.
    """
    settings = interpreter.settings
    async with contextlib.AsyncExitStack() as stack:
        folder = await stack.enter_async_context(downloads_folder(settings.data_dir / "downloads"))
        hand_in = HandIn(interpreter.files, folder, settings.max_file_size_mb, download)
        agent = None
        try:
            agent = await stack.enter_async_context(open_agent(interpreter, client=model))
        except EndpointSettingsError as exc:
            logger.warning("no language model: code runs, questions are not answered (%s)", exc)
        service = Service(interpreter, agent, hand_in, edit_interval, notify_after)
        await stack.enter_async_context(service.metrics.watching())
        if settings.metrics_port is not None:
            asked = functools.partial(_exposition, service)
            await stack.enter_async_context(serving(asked, settings.metrics_host, settings.metrics_port))
        stack.push_async_callback(service.aclose)
        yield service


async def _exposition(service: Service) -> bytes:
    return await service.metrics.exposition(service.interpreter.sessions_here)
