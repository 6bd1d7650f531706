"""One place's conversation: messages queue while a turn runs, and are answered together as the next."""

from __future__ import annotations

import asyncio
import functools
import logging
import secrets
import time
from collections import deque
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import discord

from bot.agent.agent import Message
from bot.agent.attachments import Attachment
from bot.agent.events import InputWanted
from bot.agent.turn import Turn
from bot.agent.usage import KIND, Account
from bot.direct_turn import DirectCell, DirectTurn
from bot.failures import failure_line, noted_failure
from bot.hand_in import scripts_of
from bot.journal import LeftTurn
from bot.live_view import LiveView
from bot.logs import about
from bot.markdown import verbatim
from bot.places import Place
from bot.posts import ButtonName
from bot.preview import previews
from bot.rendering import TurnRendering
from bot.reopening import reopened
from bot.resumed_turn import ResumedTurn
from bot.taking_in import take_in
from bot.upload_reply import replies
from bot.views.buttons import TurnButton
from bot.views.file_buttons import layout_of
from kernel_manager.errors import DatabaseError, UsageError
from kernel_manager.sessions.history import SessionHistory
from kernel_manager.sessions.session import Session

if TYPE_CHECKING:
    from bot.service import Service

logger = logging.getLogger(__name__)

FULL = "Too much is queued here; wait for the turn that runs, or stop it."
NO_MODEL = "There is no language model here: send code in a ```py block, or behind `!run`."
#: Bytes of files in one request where Discord does not say.
FILE_LIMIT = 10 * 2**20
_MAX_QUEUED = 50
_MAX_SEEN = 500


@dataclass(frozen=True, slots=True)
class Incoming:
    """What somebody sent. ``code`` are cells to run directly; without them the text is for the model.

    With ``scripts``, the attachments themselves are to be run. ``user_id`` is who asks, and is charged; None is the place's
    owner. ``message_id`` is the message that it was, if it was one.
    """

    name: str
    text: str
    code: tuple[str | DirectCell, ...] = ()
    attachments: tuple[dict[str, Any], ...] = ()
    at: datetime | None = None
    scripts: bool = False
    user_id: int | None = None
    message_id: int | None = None

    @property
    def direct(self) -> bool:
        """Whether it is to be run, without the model."""
        return bool(self.code) or self.scripts


@dataclass(eq=False)
class Conversation:
    """See the module. ``channel`` is where it is shown, ``_place`` whose session it was at first."""

    service: Service
    _place: Place
    channel: discord.abc.Messageable
    _queue: list[Incoming] = field(default_factory=list)
    _worker: asyncio.Task[None] | None = None
    _turn: Turn | DirectTurn | ResumedTurn | None = None
    _view: LiveView | None = None
    _stopped: bool = False
    _left: LeftTurn | None = None
    _askers: tuple[str, ...] = ()
    _seen: deque[int] = field(default_factory=lambda: deque(maxlen=_MAX_SEEN))

    @property
    def place(self) -> Place:
        """Whose session it is now."""
        return self.service.places.current(self._place)

    @property
    def busy(self) -> bool:
        """Whether a turn runs or waits."""
        return self._worker is not None

    def add(self, incoming: Incoming) -> bool:
        """Have something answered, now or after the turn that runs; return whether there was room for it.

        Raises LimitError for somebody who asks for too much at once.
        """
        if len(self._queue) >= _MAX_QUEUED:
            return False
        self.service.gate.count(incoming.user_id or self.place.owner_id, self.place.guild_id)
        self._queue.append(incoming)
        self._begin()
        return True

    def take_up(self, left: LeftTurn) -> None:
        """Have it shown, before anything else is answered, what came of a turn that an earlier process was killed in."""
        self._left = left
        self._begin()

    def _begin(self) -> None:
        if self._worker is None:
            self._worker = self.service.start(self._work(), f"conversation in {self.place.channel_id}")

    def has_seen(self, message_id: int) -> bool:
        """Whether a message was claimed lately."""
        return message_id in self._seen

    def claim(self, message_id: int) -> bool:
        """Return whether a message is new; afterwards it is not: it may come from Discord and be found in the past at once."""
        if message_id in self._seen:
            return False
        self._seen.append(message_id)
        return True

    def replace(self, incoming: Incoming) -> bool:
        """Put something in the place of the same message, if that still waits; return whether it did."""
        for number, waiting in enumerate(self._queue):
            if waiting.message_id is not None and waiting.message_id == incoming.message_id:
                self._queue[number] = incoming
                return True
        return False

    async def withdraw(self) -> bool:
        """Stop the turn that runs, as a person asks for it: what is queued needs no answer any more either."""
        queued = [incoming.message_id for incoming in self._queue if incoming.message_id is not None]
        stopped = self.stop()
        if queued:
            await self.service.places.note_handled(self.place, queued)
        return stopped

    def stop(self) -> bool:
        """Stop the turn that runs, and forget what is queued; return whether there was one.

        What was queued is found again by the next process.
        """
        self._queue.clear()
        self._stopped = self.busy
        if self._turn is not None:
            self.service.apart(self._turn.stop)
        return self.busy

    async def end(self) -> None:
        """Stop for the end of this process: what the next one cannot find, because it was no message, is to be sent again."""
        lost = sum(incoming.message_id is None for incoming in self._queue)
        self.stop()
        if lost:
            await self._tell("I am being ended: what was asked for by command and has not begun has to be asked for again.")

    async def wait(self) -> None:
        """Wait until nothing runs or waits any more."""
        if self._worker is not None:
            await asyncio.wait({self._worker})

    def answer(self, text: str, question: InputWanted | None = None) -> bool:
        """Answer what the code asks, or nothing but ``question``; return whether it asks that."""
        if question is not None and question is not self.question:
            return False
        return self._view is not None and self.service.apart(self._view.answer, text)

    @property
    def question(self) -> InputWanted | None:
        """What the code asks, None if it asks nothing."""
        return self._view.question if self._view is not None else None

    def is_question(self, message_id: int) -> bool:
        """Whether a message is of the turn whose code asks something."""
        view = self._view
        return view is not None and view.question is not None and message_id in view.message_ids

    # --- the work -------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        try:
            while self._left is not None or self._queue:
                self._stopped = False
                left, self._left = self._left, None
                await self._carry_out([] if left is not None else self._next_batch(), left)
        finally:
            self._worker = None

    def _next_batch(self) -> list[Incoming]:
        """What is queued and of one kind: all that is for the model, or all that is code."""
        direct = self._queue[0].direct
        number = next((n for n, incoming in enumerate(self._queue) if incoming.direct != direct), len(self._queue))
        batch, self._queue[:] = self._queue[:number], self._queue[number:]
        return batch

    async def _carry_out(self, batch: Sequence[Incoming], left: LeftTurn | None = None) -> None:
        # beside the turn: nobody waits for a disk to see that something happens
        noting = asyncio.create_task(self._note_begin(batch))
        try:
            await (self._answer(batch) if left is None else self._show_left(left))
        except UsageError as exc:
            await self._tell(verbatim(str(exc), 1_500))
        except Exception as exc:  # noqa: BLE001  (whoever wrote gets an answer, whatever went wrong)
            await self._tell(failure_line(exc, noted_failure(exc, f"the conversation in channel {self.place.channel_id}")))
        finally:
            await noting

    async def _note_begin(self, batch: Sequence[Incoming]) -> None:
        """Remember what has been taken up, so that the next process does not do it again."""
        messages = [incoming.message_id for incoming in batch if incoming.message_id is not None]
        try:
            await self.service.places.note_handled(self.place, messages)
        except DatabaseError as exc:
            logger.warning("a restart will not know what was answered in channel %s: %s", self.place.channel_id, exc)

    async def _tell(self, text: str) -> None:
        try:
            await self.channel.send(text, allowed_mentions=discord.AllowedMentions.none())
        except discord.HTTPException as exc:
            logger.warning("channel %s could not be told: %s", self.place.channel_id, exc)

    async def _answer(self, batch: Sequence[Incoming]) -> None:
        # who was let in may have been shown out since
        batch = [incoming for incoming in batch if self.place.may_run(incoming.user_id or self.place.owner_id)]
        if not batch:
            return
        session = await self.service.session_of(self.place)
        self.channel = await reopened(self.channel)
        handed_in = [await self._hand_in(session, incoming) for incoming in batch]
        if self._stopped:
            return
        cells: list[str | DirectCell] = []
        for incoming, files in zip(batch, handed_in, strict=True):
            cells += [*incoming.code, *(await scripts_of(files) if incoming.scripts else ())]
        account = self._account(batch, "run" if cells else KIND)
        self._askers = account.users
        if cells:
            direct = [cell if isinstance(cell, DirectCell) else DirectCell(cell) for cell in cells]
            await self._show(session, DirectTurn(session, direct, functools.partial(self.service.usage.charge, account)))
        elif not any(incoming.text for incoming in batch):
            for user in account.users:
                await self._show_files(
                    user,
                    [file for one, files in zip(batch, handed_in, strict=True) for file in files if self._asker(one) == user],
                )
        elif self.service.agent is None:
            await self._tell(NO_MODEL)
        else:
            await self._ask(session, batch, handed_in, account)

    async def _show_files(self, user: str, taken: Sequence[Attachment]) -> None:
        """Show what came without words; what it holds follows, for looking into it takes a moment."""
        ids = [file.file_id for file in taken if file.file_id is not None]
        files = {file.file_id: file for file in await self.service.interpreter.files.list(user)}
        known = [files[file_id] for file_id in ids if file_id in files]
        nobody = discord.AllowedMentions.none()
        try:
            sent = [await self.channel.send(view=layout_of(reply), allowed_mentions=nobody) for reply in replies(known, {})]
            found = await previews(self.service.interpreter, user, ids)
            for message, reply in zip(sent, replies(known, found), strict=True):
                if any(file.file_id in found for file in reply):
                    await message.edit(view=layout_of(reply), allowed_mentions=nobody)
        except discord.HTTPException as exc:
            logger.warning("files in channel %s could not be shown: %s", self.place.channel_id, exc)

    async def _ask(
        self, session: Session, batch: Sequence[Incoming], handed_in: Sequence[list[Attachment]], account: Account
    ) -> None:
        agent = self.service.agent
        assert agent is not None
        refused = await self._refused(account.users) if len(account.users) > 1 else set()
        messages = [
            Message(incoming.text, incoming.name, tuple(files), incoming.at)
            for incoming, files in zip(batch, handed_in, strict=True)
            if self._asker(incoming) not in refused
        ]
        if messages:
            payers = tuple(user for user in account.users if user not in refused)
            await self._show(session, await agent.turn(session, messages, account=Account(payers, account.kind)))

    async def _refused(self, users: Sequence[str]) -> set[str]:
        """Those of several whose day is used up; each is told, and the others are answered."""
        agent = self.service.agent
        assert agent is not None
        refused = {user: refusal for user in users if (refusal := await agent.usage.refusal(user)) is not None}
        for user, refusal in refused.items():
            await self._tell(f"<@{user}> {refusal}")
        return set(refused)

    def _asker(self, incoming: Incoming) -> str:
        return str(incoming.user_id or self.place.owner_id)

    def _account(self, batch: Sequence[Incoming], kind: str) -> Account:
        """Whoever asked is charged, under the server where it was."""
        guild = self.place.guild_id
        users = tuple(dict.fromkeys(map(self._asker, batch)))
        return Account(users, kind if guild is None else f"{kind}@{guild}")

    async def _hand_in(self, session: Session, incoming: Incoming) -> list[Attachment]:
        if not incoming.attachments:
            return []
        files = await take_in(self.service, self.place, session, self._asker(incoming), incoming.attachments)
        for file in files:
            if file.failure is not None:
                await self._tell(f"⚠️ {verbatim(file.name, 100)} was not taken: {verbatim(file.failure, 300)}")
        return files

    async def _show_left(self, left: LeftTurn) -> None:
        session = await self.service.interpreter.session(left.user_id, left.session_id)
        self._askers = (left.user_id,)
        await self._show(session, ResumedTurn(session, left), (left.entries, left.cells))

    async def _show(self, session: Session, turn: Turn | DirectTurn | ResumedTurn, begun: tuple[int, int] | None = None) -> None:
        """Show a turn until its end. ``begun`` are the entries and cells that the history had before it, if not those of now."""
        if begun is None:
            history = await asyncio.to_thread(session.read_history)
            begun = len(history.entries), _first_cell(turn, history)
        fields = {"user": session.user_id, "session": session.session_id, "turn": secrets.token_hex(4)}
        journal = self.service.journal
        with about(**fields):
            async with journal.noting(self.place.channel_id, session.user_id, session.session_id, *begun):
                await self._follow(session, turn, begun[1])

    async def _follow(self, session: Session, turn: Turn | DirectTurn | ResumedTurn, first: int) -> None:
        limit = file_limit(getattr(self.channel, "guild", None))
        rendering = TurnRendering(limit, planned=len(turn.cells) if isinstance(turn, DirectTurn) else 0)

        def make_buttons(names: Sequence[ButtonName]) -> list[TurnButton]:
            return [TurnButton(name, session.session_id, first, rendering.cells) for name in names]

        workspace: Path = session.workspace
        self._turn = turn
        self._view = LiveView(self.channel, rendering, make_buttons, workspace, limit, self.service.edit_interval)
        if self._stopped:
            turn.stop()
        begun = time.monotonic()
        showing = asyncio.create_task(self._note_shown(self._view, begun))
        try:
            async with aclosing(turn.events()) as events, aclosing(self.service.metrics.turn(events)) as counted:
                await self._view.follow(counted)
        finally:
            showing.cancel()
            self._turn = self._view = None
        seconds = time.monotonic() - begun
        if seconds > self.service.notify_after:
            await self._notify()

    async def _note_shown(self, view: LiveView, begun: float) -> None:
        await view.shown.wait()
        self.service.metrics.shown(time.monotonic() - begun)

    async def _notify(self) -> None:
        """Tell who asked, and may have looked away, that the turn is over: edits notify nobody."""
        only_they = discord.AllowedMentions(
            everyone=False, roles=False, users=[discord.Object(int(user)) for user in self._askers]
        )
        names = " ".join(f"<@{user}>" for user in self._askers)
        try:
            await self.channel.send(f"{names} your turn is over.", allowed_mentions=only_they)
        except discord.HTTPException as exc:
            logger.warning("channel %s could not be told: %s", self.place.channel_id, exc)


def _first_cell(turn: Turn | DirectTurn | ResumedTurn, history: SessionHistory) -> int:
    """The number that the first cell of a turn will have in the history, counted from 0; an imported one has one already."""
    ids = {cell.cell_id for cell in turn.cells} if isinstance(turn, DirectTurn) else set()
    return next((number for number, cell in enumerate(history.cells) if cell.cell_id in ids), len(history.cells))


def file_limit(guild: discord.Guild | None) -> int:
    """Return how many bytes of files a message on a server may have, or one in direct messages."""
    return guild.filesize_limit if guild is not None else FILE_LIMIT
