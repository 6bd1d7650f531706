"""Shows a turn in a channel while it goes on: the chain of messages that :mod:`bot.rendering` wants, kept up to date.

One request at a time, edits at least :data:`EDIT_INTERVAL_S` apart, and the newest state wins. Files are sent once.
"""

from __future__ import annotations

import asyncio
import io
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import discord
from discord.ui import ActionRow, Item, LayoutView, TextDisplay

from bot.agent.events import AgentEvent, CodeEnded, InputWanted, TurnEnded, Warned
from bot.rendering import ButtonName, Files, Panel, Post, TurnRendering
from bot.uploads import Upload
from kernel_manager.errors import UsageError
from kernel_manager.files.inside import open_inside

logger = logging.getLogger(__name__)

EDIT_INTERVAL_S = 1.5
#: Tries to show the end of a turn. They come further and further apart: an outage of Discord's may last a quarter of an hour.
_LAST_TRIES = 22
_LONGEST_DELAY = 32
#: What Discord answers to files that it does not want.
_REFUSED = frozenset({400, 413})

#: Makes the buttons of a panel.
MakeButtons = Callable[[Sequence[ButtonName]], Sequence[Item[Any]]]


@dataclass
class _Sent:
    post: Post
    message: discord.Message | None


class LiveView:
    """The messages of one turn. ``workspace`` is the folder that files of the code must lie in."""

    def __init__(
        self,
        channel: discord.abc.Messageable,
        rendering: TurnRendering,
        make_buttons: MakeButtons,
        workspace: Path,
        interval: float = EDIT_INTERVAL_S,
    ) -> None:
        self._channel = channel
        self._rendering = rendering
        self._make_buttons = make_buttons
        self._workspace = workspace
        self._interval = interval
        self._sent: list[_Sent] = []
        self._changed = asyncio.Event()
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
                self._rendering.take(event, datetime.now(UTC))
                self._changed.set()
        finally:
            # not cancelled: a request under way may have arrived, and would be sent twice
            self._over = True
            self._changed.set()
            await keeping_up

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
        self._rendering.note_answer()
        self._changed.set()
        return True

    async def _keep_up(self) -> None:
        tries = 0
        while not self._lost:
            await self._changed.wait()
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

    async def _update(self) -> None:
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
                await sent.message.delete()

    async def _send(self, post: Post) -> discord.Message | None:
        # with the same nonce, a retry after an error of Discord's posts nothing twice
        nonce = self._nonce
        nobody = discord.AllowedMentions.none()
        if isinstance(post, Panel):
            return await self._channel.send(view=self._layout(post), nonce=nonce, allowed_mentions=nobody)
        files = [await asyncio.to_thread(self._file, upload) for upload in post.uploads]
        found = [file for file in files if file is not None]
        if not found:
            return None
        try:
            return await self._channel.send(files=found, nonce=nonce, allowed_mentions=nobody)
        except discord.HTTPException as exc:
            if exc.status not in _REFUSED:
                raise
            # sent again, they would be refused again, and nothing after them would ever show
            names = ", ".join(file.filename for file in found)
            self._rendering.take(Warned(f"Discord did not take {names} ({exc.text})"), datetime.now(UTC))
            self._changed.set()
            return None

    async def _edit(self, sent: _Sent, post: Post) -> None:
        if isinstance(post, Panel) and sent.message is not None:
            await sent.message.edit(view=self._layout(post), allowed_mentions=discord.AllowedMentions.none())
        sent.post = post

    def _layout(self, panel: Panel) -> LayoutView:
        view = LayoutView(timeout=None)
        view.add_item(TextDisplay(panel.text))
        if panel.buttons:
            view.add_item(ActionRow(*self._make_buttons(panel.buttons)))
        # dynamic items answer, on every message and after a restart: nothing is to be remembered for this one
        view.stop()
        return view

    def _file(self, upload: Upload) -> discord.File | None:
        if isinstance(upload.content, bytes):
            return discord.File(io.BytesIO(upload.content), upload.filename, description=upload.description or None)
        try:
            name = upload.content.relative_to(self._workspace).as_posix()
            with open_inside(self._workspace, name) as stream:
                content = stream.read(upload.size + 1)
        except (UsageError, ValueError, OSError) as exc:
            logger.warning("a file that the code wrote was not sent: %s", exc)
            return None
        return discord.File(io.BytesIO(content[: upload.size]), upload.filename, description=upload.description or None)


def _new_nonce() -> str:
    return secrets.token_hex(12)


def _can_become(shown: Post, wanted: Post) -> bool:
    return shown == wanted if isinstance(shown, Files) else isinstance(wanted, Panel)
