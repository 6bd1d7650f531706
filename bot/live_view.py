"""Shows a turn in a channel while it goes on: the chain of messages that :mod:`bot.rendering` wants, kept up to date.

One request at a time, edits at least :data:`EDIT_INTERVAL_S` apart, and the newest state wins. Files are sent once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import discord
from discord.ui import ActionRow, Item, LayoutView, TextDisplay, View

from bot.agent.events import AgentEvent, CodeEnded, InputWanted, TextEnded, TurnEnded, Warned
from bot.outbox import too_large
from bot.posts import ButtonName, Files, Panel, Post
from bot.rendering import TurnRendering
from bot.reopening import reopened
from bot.sending import Sendable, TooLargeError, each_once, to_send
from bot.uploads import Upload

logger = logging.getLogger(__name__)

EDIT_INTERVAL_S = 1.5
#: Tries to show the end of a turn. They come further and further apart: an outage of Discord's may last a quarter of an hour.
_LAST_TRIES = 22
_LONGEST_DELAY = 32
#: What Discord answers to files that it does not want.
_REFUSED = frozenset({400, 403, 413})
_UNKNOWN_MESSAGE = 10008

#: Makes the buttons of a message.
MakeButtons = Callable[[Sequence[ButtonName]], Sequence[Item[Any]]]
AnyView = TypeVar("AnyView", View, LayoutView)


@dataclass
class _Sent:
    post: Post
    message: discord.Message | None


class LiveView:
    """The messages of one turn. ``workspace`` is the folder that files of the code must lie in.

    ``limit`` is how many bytes of files one request may carry, ``interval`` is in seconds.
    """

    def __init__(
        self,
        channel: discord.abc.Messageable,
        rendering: TurnRendering,
        make_buttons: MakeButtons,
        workspace: Path,
        limit: int,
        interval: float = EDIT_INTERVAL_S,
    ) -> None:
        self._channel = channel
        self._rendering = rendering
        self._make_buttons = make_buttons
        self._workspace = workspace
        self._limit = limit
        self._interval = interval
        self._sent: list[_Sent] = []
        self._figures: set[str] = set()
        self._changed = asyncio.Event()
        self._rendering_lock = asyncio.Lock()
        self._over = False
        self._lost = False
        self._nonce = _new_nonce()
        self._unsure = False
        self.question: InputWanted | None = None
        #: Set when the first message is there.
        self.shown = asyncio.Event()

    @property
    def message_ids(self) -> set[int]:
        """The messages that are part of this turn."""
        return {sent.message.id for sent in self._sent if sent.message is not None}

    async def follow(self, events: AsyncIterator[AgentEvent]) -> None:
        """Show the events of a turn until its end."""
        self._changed.set()
        keeping_up = asyncio.create_task(self._keep_up())
        try:
            async for event in events:
                self._note_question(event)
                await self._take(event)
                self._changed.set()
        finally:
            # not cancelled: a request under way may have arrived, and would be sent twice
            self._over = True
            self._changed.set()
            await keeping_up

    async def _take(self, event: AgentEvent) -> None:
        async with self._rendering_lock:
            if isinstance(event, (CodeEnded, TextEnded)):
                # megabytes of text to look through, tables to draw: not where everybody waits for it
                await asyncio.to_thread(self._rendering.take, event, datetime.now(UTC))
            else:
                self._rendering.take(event, datetime.now(UTC))

    def _note_question(self, event: AgentEvent) -> None:
        match event:
            case InputWanted():
                self.question = event
            case CodeEnded() | TurnEnded():
                self.question = None

    def answer(self, text: str) -> bool:
        """Answer what the code asks; return whether it asks anything."""
        question, self.question = self.question, None
        if question is None:
            return False
        question.answer(text)
        self._rendering.note_answer(text)
        self._changed.set()
        return True

    # --- keeping up -----------------------------------------------------------------------------------------------

    async def _keep_up(self) -> None:
        tries = 0
        while not self._lost:
            await self._wait()
            self._changed.clear()
            over = self._over
            try:
                await self._update()
            except (discord.NotFound, discord.Forbidden) as exc:
                logger.warning("a turn cannot be shown any more: %s", exc)
                self._lost = True
            except (discord.HTTPException, OSError) as exc:
                logger.warning("a turn could not be shown: %s", exc)
                self._unsure = True
                self._changed.set()
                tries += over
            if over and (tries >= _LAST_TRIES or not self._changed.is_set()):
                return
            await asyncio.sleep(self._interval * min(2**tries, _LONGEST_DELAY))

    async def _wait(self) -> None:
        """Wait for a change, or until a figure has stood long enough to be posted."""
        waits = self._rendering.waits
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(waits.total_seconds() if waits is not None else None):
                await self._changed.wait()

    async def _update(self) -> None:
        async with self._rendering_lock:
            if self._rendering.waits is not None:
                await asyncio.to_thread(self._rendering.settle, datetime.now(UTC))
            wanted = self._rendering.posts()
        for number, post in enumerate(wanted):
            if number < len(self._sent) and not _can_become(self._sent[number].post, post):
                await self._withdraw_from(number)
            if number == len(self._sent):
                await self._add(post)
            elif self._sent[number].post != post:
                await self._edit(self._sent[number], post)
        await self._withdraw_from(len(wanted))

    async def _add(self, post: Post) -> None:
        sent = _Sent(post, await self._send(post))
        self._sent.append(sent)
        self.shown.set()
        unsure, self._unsure, self._nonce = self._unsure, False, _new_nonce()
        if unsure:
            # what an earlier try brought there may be older than the post
            await self._edit(sent, post)

    async def _withdraw_from(self, number: int) -> None:
        while len(self._sent) > number:
            sent = self._sent.pop()
            if sent.message is not None:
                with contextlib.suppress(discord.NotFound):
                    await sent.message.delete()

    async def _edit(self, sent: _Sent, post: Post) -> None:
        if isinstance(post, Panel) and sent.message is not None:
            self._channel = await reopened(self._channel)
            try:
                await sent.message.edit(view=self._layout(post), allowed_mentions=discord.AllowedMentions.none())
            except discord.NotFound as exc:
                if exc.code != _UNKNOWN_MESSAGE:
                    raise
                # somebody deleted it: whoever asked gets the answer all the same
                sent.message = await self._send(post)
                self._nonce = _new_nonce()
        sent.post = post

    # --- requests -------------------------------------------------------------------------------------------------

    async def _send(self, post: Post) -> discord.Message | None:
        # with the same nonce, a retry after an error of Discord's posts nothing twice
        nonce = self._nonce
        nobody = discord.AllowedMentions.none()
        if isinstance(post, Panel):
            return await self._channel.send(view=self._layout(post), nonce=nonce, allowed_mentions=nobody)
        figures = set(self._figures)
        found = each_once([await self._read(upload) for upload in post.uploads], figures)
        if not found:
            return None
        more: dict[str, Any] = {"view": self._row(post.buttons)} if post.buttons else {}
        try:
            message = await self._channel.send(files=found, nonce=nonce, allowed_mentions=nobody, **more)
        except discord.HTTPException as exc:
            if exc.status not in _REFUSED:
                raise
            # sent again, they would be refused again, and nothing after them would ever show
            names = ", ".join(file.filename for file in found)
            allow = "; I need the permission to attach files here" if exc.status == 403 else ""
            await self._warn(f"Discord did not take {names} ({exc.text}){allow}")
            return None
        self._figures = figures
        return message

    async def _read(self, upload: Upload) -> Sendable | None:
        try:
            return await asyncio.to_thread(to_send, upload, self._workspace)
        except TooLargeError:
            members = upload.content if isinstance(upload.content, tuple) else ()
            await self._warn(f"even compressed, {too_large(members[0] if len(members) == 1 else upload, self._limit)}")
            return None

    async def _warn(self, text: str) -> None:
        await self._take(Warned(text))
        self._changed.set()

    def _layout(self, panel: Panel) -> LayoutView:
        view = LayoutView(timeout=None)
        for text in panel.texts:
            view.add_item(TextDisplay(text))
        if panel.buttons:
            view.add_item(ActionRow(*self._make_buttons(panel.buttons)))
        return _forgotten(view)

    def _row(self, buttons: Sequence[ButtonName]) -> View:
        view = View(timeout=None)
        for button in self._make_buttons(buttons):
            view.add_item(button)
        return _forgotten(view)


def _forgotten(view: AnyView) -> AnyView:
    """Dynamic items answer, on every message and after a restart: nothing is to be remembered for this one."""
    view.stop()
    return view


def _new_nonce() -> str:
    return secrets.token_hex(12)


def _can_become(shown: Post, wanted: Post) -> bool:
    return shown == wanted if isinstance(shown, Files) else isinstance(wanted, Panel)
