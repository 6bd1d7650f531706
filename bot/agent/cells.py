"""Cells that a model asks for: run in the session, shown as events, answered with what the model may see."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from typing import Literal

from bot.agent.events import (
    AgentEvent,
    CodeEnded,
    CodeRunning,
    CodeStarted,
    FigureShown,
    FileWritten,
    InputWanted,
    OutputShown,
    PackagesInstalled,
    PackagesInstalling,
    TurnWaiting,
)
from bot.agent.items import Text, ToolCall, ToolOutput
from bot.agent.pictures import picture_of
from bot.agent.seen import Eyes, seen
from bot.agent.tools import ArgumentsError, code_of
from kernel_manager.errors import ServiceError
from kernel_manager.execution import events as execution
from kernel_manager.execution.events import (
    CellFinished,
    CellStarted,
    DisplayUpdated,
    Event,
    InputRequested,
    OutputAdded,
    OutputReplaced,
    OutputsCleared,
    SessionWaiting,
    StreamExtended,
)
from kernel_manager.execution.result import ExecutionResult
from kernel_manager.sessions.session import Session


class CellRunner:
    """Runs the cells of one turn and counts them. ``source`` is who wants them run, for the history."""

    def __init__(
        self, session: Session, eyes: Eyes, emit: Callable[[AgentEvent], None], source: Literal["run", "model"] = "run"
    ) -> None:
        self._session = session
        self._source: Literal["run", "model"] = source
        self._eyes = eyes
        self._emit = emit
        self.runs = 0
        self.seconds = 0.0

    async def run(self, call: ToolCall, cell_id: str | None = None) -> ToolOutput:
        """Run the code of a call. What is wrong with the call itself is told to the model; raises ThreadbookError otherwise.

        ``cell_id`` is that of an imported cell that runs now.
        """
        try:
            code = code_of(call.arguments)
        except ArgumentsError as exc:
            return ToolOutput(call.call_id, (Text(f"error: {exc}"),))
        self.runs += 1
        number = self.runs
        self._emit(CodeStarted(number, code))
        result = await self._follow(code, cell_id)
        self.seconds += result.duration_s
        self._show_end(number, result)
        return ToolOutput(call.call_id, await seen(result, self._eyes))

    async def _follow(self, code: str, cell_id: str | None) -> ExecutionResult:
        result: ExecutionResult | None = None
        async with aclosing(self._session.run(code, source=self._source, cell_id=cell_id)) as cell:
            async for event in cell:
                if isinstance(event, CellFinished):
                    result = event.result
                else:
                    self._pass_on(event)
        if result is None:
            raise ServiceError("a cell ended without a result; this is an error in the service")
        return result

    def _pass_on(self, event: Event) -> None:
        match event:
            case SessionWaiting():
                self._emit(TurnWaiting())
            case CellStarted():
                self._emit(CodeRunning())
            case InputRequested():
                self._emit(InputWanted(event.prompt, event.password, event.answer))
            case OutputAdded() | StreamExtended() | OutputReplaced() | DisplayUpdated() | OutputsCleared():
                self._emit(OutputShown(event))
            case execution.PackagesInstalling():
                self._emit(PackagesInstalling(event.line))
            case execution.PackagesInstalled():
                self._emit(PackagesInstalled(event.installed_packages))
            case _:
                pass

    def _show_end(self, number: int, result: ExecutionResult) -> None:
        for output in result.outputs:
            if (picture := picture_of(output.get("data"), output.get("metadata"))) is not None:
                self._emit(FigureShown(output["data"], picture.description))
        for file in result.files:
            self._emit(FileWritten(file))
        self._emit(CodeEnded(number, result))
