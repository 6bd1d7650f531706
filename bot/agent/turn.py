"""One turn: messages of people, then code and looking at what came out, again and again, then an answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import secrets
from collections.abc import AsyncGenerator, Coroutine, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bot.agent.asking import Asking
from bot.agent.assistant import Assistant
from bot.agent.attachments import shown
from bot.agent.cells import CellRunner
from bot.agent.conversation import conversation, words
from bot.agent.errors import RefusedError
from bot.agent.events import AgentEvent, TextEnded, TurnEnded, TurnStatus, TurnUsage, TurnWaiting, Warned
from bot.agent.items import Exchange, Item, Text, ToolCall, ToolOutput, UserMessage, said
from bot.agent.marking import marked
from bot.agent.models.protocol import ReplyDone
from bot.agent.prompt import variables_note
from bot.agent.tools import EXECUTE, LIST_FILES, unknown_tool
from bot.agent.usage import Account
from bot.agent.user_files import file_lines
from kernel_manager.errors import ThreadbookError
from kernel_manager.sessions.session import Session

if TYPE_CHECKING:
    from bot.agent.agent import Agent, Message

logger = logging.getLogger(__name__)

#: Calls of one reply that are carried out; a model that wants more has lost its way.
MAX_CALLS = 8
STOPPED = "The answer was stopped by the user."
FAILED = "The answer failed before its end."
NAME = "Threadbook"
#: How models write calls that their server should have read out of the text.
_UNREAD_CALL = re.compile(
    r"<tool_call>|<\|tool_call|<function=|\[TOOL_CALLS\]|<\|python_tag\|>|\"name\": *\"execute_python_code\""
)
_LAST_ROUND = (
    "The limit of rounds of this turn is reached. Run nothing more; answer now with what you have, and say what is missing."
)


class Turn:
    """See the module. :meth:`events` is iterated once; :meth:`stop` ends the turn from outside, with its end as an event."""

    def __init__(
        self, agent: Agent, session: Session, messages: Sequence[Message], assistant: Assistant, account: Account
    ) -> None:
        self._agent = agent
        self._session = session
        self._messages = messages
        self._assistant = assistant
        self._account = account
        self._eyes = agent.options.eyes(assistant)
        self._queue: asyncio.Queue[AgentEvent | None] = asyncio.Queue()
        self._asking = Asking(agent, session, assistant, self._emit)
        self._cells = CellRunner(session, self._eyes, self._emit, "model")
        self._texts: list[str] = []
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._working = False
        self._begun = False

    async def events(self) -> AsyncGenerator[AgentEvent]:
        """Carry the turn out and yield what happens; the last event is TurnEnded.

        Who stops iterating stops the turn: a running cell is interrupted, and the session stays usable.
        """
        self._task = asyncio.create_task(self._work(), name=f"turn in session {self._session.session_id}")
        self._task.add_done_callback(self._is_over)
        try:
            while (event := await self._queue.get()) is not None:
                yield event
            await self._task
        finally:
            self._task.cancel()
            await asyncio.wait({self._task})

    def _is_over(self, task: asyncio.Task[None]) -> None:
        self._queue.put_nowait(None)
        if not task.cancelled():
            task.exception()  # who has stopped listening does not want to know

    def stop(self) -> None:
        """Stop the turn; its events end with TurnEnded when the cell that was running has been interrupted.

        Stopping once more changes nothing: a second cancellation would cut the end short.
        """
        if self._stopping:
            return
        self._stopping = True
        # one that has not begun to work sees the flag: cancelled before its first step, it would end without a word
        if self._task is not None and self._working:
            self._task.cancel()

    def _emit(self, event: AgentEvent) -> None:
        self._queue.put_nowait(event)

    # --- the course of it -----------------------------------------------------------------------------------------

    async def _work(self) -> None:
        status: TurnStatus = "completed"
        reason: str | None = None
        self._working = True
        try:
            if self._stopping:
                raise asyncio.CancelledError
            line = self._agent.line(self._session)
            if line.locked():
                self._emit(TurnWaiting())
            async with line:
                status, reason = await self._answer()
        except asyncio.CancelledError:
            self._note_stop()
            if not self._stopping:
                raise
            status, reason = "stopped", STOPPED
        except ThreadbookError as exc:
            logger.warning("a turn in session %s failed: %s", self._session.session_id, exc)
            self._note(FAILED)
            status, reason = "failed", str(exc)
        finally:
            self._working = False
            await _to_its_end(self._write_usage())  # what was used is used, however the turn ends
        self._emit(TurnEnded(status, "\n\n".join(self._texts), self._used(), reason))

    async def _answer(self) -> tuple[TurnStatus, str | None]:
        if (refusal := await self._refusal()) is not None:
            return "limit", refusal
        # before the history is read: a cell that outlived its service gets its end there
        held = await self._session.variables()
        past = await conversation(await asyncio.to_thread(self._session.read_history), self._eyes, self._asking.room)
        current = await self._take_messages()
        if held is not None:
            current.append(said(variables_note(held)))
        await self._rounds(past, current)
        return "completed", None

    async def _refusal(self) -> str | None:
        if self._agent.usage is None:
            return None
        refused = [await self._agent.usage.refusal(user_id) for user_id in self._account.users]
        return next((refusal for refusal in refused if refusal is not None), None)

    async def _take_messages(self) -> list[Item]:
        """Write down what was said, before the model is asked, and return it as the model gets it."""
        self._begun = True
        items: list[Item] = []
        for message in self._messages:
            listed = "".join(f"\n[attached: {attachment.line}]" for attachment in message.attachments)
            self._session.say("user", message.name, message.text + listed)
            told = words(message.name, message.at or self._agent.clock(), message.text)
            items.append(UserMessage((Text(told), *await shown(message.attachments, self._eyes))))
        return items

    async def _rounds(self, past: list[Exchange], current: list[Item]) -> None:
        rounds = self._agent.options.rounds
        for number in range(1, rounds + 1):
            last = number == rounds
            if last and number > 1:
                self._emit(Warned(f"the limit of {rounds} rounds is reached, so the model has to answer now"))
                current.append(said(marked("note", _LAST_ROUND, source="interpreter")))
            reply = with_new_ids(await self._asking.ask(past, current, may_call=not last), current)
            current += reply.items
            self._take_text(reply)
            if not reply.calls or last:
                self._judge_end(reply)
                return
            for place, call in enumerate(reply.calls):
                current.append(await self._call(call, place))

    def _take_text(self, reply: ReplyDone) -> None:
        if text := reply.text.strip():
            self._texts.append(text)
            self._session.say("assistant", self._assistant.name, text)
            self._emit(TextEnded(text))

    def _judge_end(self, reply: ReplyDone) -> None:
        if reply.stop == "refused":
            raise RefusedError("the model or its provider refused to answer this; say it differently")
        if reply.stop == "length":
            self._emit(Warned("the answer is cut: it reached the longest answer that the model gives; ask it to go on"))
        elif _UNREAD_CALL.search(reply.text):
            self._emit(
                Warned(
                    "the model wrote its calls of tools as text, so nothing ran; the operator has to start its server with a "
                    "parser for them (vLLM: --enable-auto-tool-choice --tool-call-parser …) or to choose another OPENAI_MODEL"
                )
            )
        elif not reply.text.strip():
            self._emit(Warned("the model ended without an answer; ask again, or say it differently"))

    # --- tools ----------------------------------------------------------------------------------------------------

    async def _call(self, call: ToolCall, place: int) -> ToolOutput:
        if place >= MAX_CALLS:
            return _told(call, f"not run: at most {MAX_CALLS} calls at once are carried out; call it again if it is still needed")
        if call.name == EXECUTE.name:
            return await self._cells.run(call)
        if call.name == LIST_FILES.name:
            files = await self._session.files()
            return _told(call, marked("files", "\n".join(file_lines(files)) or "none"))
        return _told(call, f"error: {unknown_tool(call.name)}")

    # --- the end --------------------------------------------------------------------------------------------------

    def _note_stop(self) -> None:
        """Keep what the person saw of an answer that was stopped, and that it was."""
        if text := self._asking.unfinished_text.strip():
            self._texts.append(text)
            with contextlib.suppress(ThreadbookError):
                self._session.say("assistant", self._assistant.name, text)
        self._note(STOPPED)

    def _note(self, text: str) -> None:
        """Have the next turn know how this one ended."""
        if self._begun:
            with contextlib.suppress(ThreadbookError):
                self._session.say("note", NAME, text)

    def _used(self) -> TurnUsage:
        return TurnUsage(self._asking.tokens, self._asking.requests, self._cells.runs, self._cells.seconds)

    async def _write_usage(self) -> None:
        used = self._used()
        if self._agent.usage is None or not used.requests:
            return
        try:
            await self._agent.usage.charge(self._account, used, assistant_id=self._assistant.assistant_id)
        except ThreadbookError as exc:
            logger.warning("the usage of a turn was not written down: %s", exc)


def with_new_ids(reply: ReplyDone, before: Sequence[Item]) -> ReplyDone:
    """Return the reply with other ids for calls whose ids came before: some endpoints count from 0 in every reply."""
    taken = {item.call_id for item in before if isinstance(item, ToolCall)}
    items: list[Item] = []
    for item in reply.items:
        if isinstance(item, ToolCall):
            if item.call_id in taken:
                item = replace(item, call_id=f"call_{secrets.token_hex(6)}")
            taken.add(item.call_id)
        items.append(item)
    return replace(reply, items=tuple(items))


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Do it, also if the task is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _told(call: ToolCall, text: str) -> ToolOutput:
    return ToolOutput(call.call_id, (Text(text),))
