"""How a turn looks in a terminal: the answer on stdout; code and what it shows beside it."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from bot.agent.events import (
    AgentEvent,
    CodeEnded,
    CodeStarted,
    InputWanted,
    OutputShown,
    PackagesInstalling,
    TextDelta,
    TextEnded,
    TextWithdrawn,
    TurnEnded,
    TurnWaiting,
    Warned,
)
from kernel_manager.execution.events import CellFinished
from threadbook.app import one_line
from threadbook.control_sequences import plain
from threadbook.figures import FigureFolder
from threadbook.printing import CellPrinter, waiting_line
from threadbook.questions import Ask
from threadbook.terminal import Terminal


@dataclass
class Summary:
    """What came of a turn, for one JSON document."""

    cells: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def note(self, event: AgentEvent) -> None:
        """Take in an event."""
        match event:
            case CodeStarted():
                self.cells.append({"code": event.code})
            case CodeEnded():
                self.cells[-1] |= event.result.to_dict()
            case Warned():
                self.warnings.append(event.text)

    def to_dict(self, ended: TurnEnded) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        tokens = ended.usage.tokens
        return {
            "status": ended.status,
            "text": ended.text,
            "reason": ended.reason,
            "cells": self.cells,
            "warnings": self.warnings,
            "usage": {
                "input_tokens": tokens.input,
                "cached_tokens": tokens.cached,
                "output_tokens": tokens.output,
                "requests": ended.usage.requests,
                "runs": ended.usage.runs,
                "seconds": ended.usage.seconds,
            },
        }


class TurnPrinter:
    """Shows the events of one turn.

    On a terminal everything is on one screen, and the answer streams. If stdout goes elsewhere, it gets the answer and
    nothing else, each message when it is whole; code and what it shows go to stderr.
    """

    def __init__(
        self, terminal: Terminal, figures: FigureFolder, session_id: str, ask: Ask, summary: Summary, *, silent: bool = False
    ) -> None:
        """With ``silent``, only questions and warnings are shown."""
        self._terminal = terminal
        self._streams = terminal.is_terminal("stdout")
        self._beside = terminal if self._streams else Terminal(sys.stderr, sys.stderr)
        self._cells = CellPrinter(self._beside, figures, session_id)
        self._session_id = session_id
        self._ask = ask
        self._summary = summary
        self._silent = silent
        self._question: asyncio.Task[None] | None = None

    async def show(self, event: AgentEvent) -> None:
        """Show one event. Raises OSError if the terminal takes no more."""
        self._summary.note(event)
        if isinstance(event, InputWanted):
            await self._withdraw_question()
            self._question = asyncio.create_task(self._answer(event))
            return
        if isinstance(event, (CodeEnded, TurnEnded)):
            await self._withdraw_question()
        if not self._silent:
            # in a thread: a reader that takes its time must not keep the kernel waiting
            await asyncio.to_thread(self._show, event)
        elif isinstance(event, Warned):
            self._terminal.line(one_line(event.text))

    def _show(self, event: AgentEvent) -> None:
        match event:
            case TextDelta() if self._streams:
                self._terminal.pass_on("stdout", event.text)
            case TextEnded():
                self._end_text(event.text)
            case TextWithdrawn():
                again = f"asked again in {event.delay_s:.1f} s" if event.delay_s else "what came so far does not count"
                self._terminal.line(f"{one_line(event.reason)}; {again}")
            case CodeStarted():
                self._show_code(event)
            case OutputShown():
                self._cells.show(event.event)
            case CodeEnded():
                self._cells.show(CellFinished(event.result))
            case _:
                self._show_remark(event)

    def _show_remark(self, event: AgentEvent) -> None:
        match event:
            case TurnWaiting():
                self._beside.line(waiting_line(self._session_id, None))
            case Warned(text=line) | PackagesInstalling(line=line):
                self._beside.line(one_line(line))
            case TurnEnded(reason=str(reason)):
                self._terminal.line(f"{event.status}: {one_line(reason)}")

    def _end_text(self, text: str) -> None:
        if self._streams:
            self._terminal.end_line("stdout")
        else:
            self._terminal.pass_on("stdout", f"{plain(text)}\n")

    def _show_code(self, event: CodeStarted) -> None:
        for number, line in enumerate(event.code.splitlines() or [""]):
            self._beside.line(f"{f'[{event.number}]' if number == 0 else '':>4} │ {plain(line)}")

    async def _answer(self, request: InputWanted) -> None:
        answer = None
        with suppress(OSError):
            answer = await self._ask(request.prompt, password=request.password)
        request.answer(answer)

    async def _withdraw_question(self) -> None:
        question, self._question = self._question, None
        if question is not None:
            question.cancel()
            await asyncio.wait([question])

    async def aclose(self) -> None:
        """Ask nothing any more."""
        await self._withdraw_question()
