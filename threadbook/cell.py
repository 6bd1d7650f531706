"""One cell at the terminal: its events are shown, its questions asked, Ctrl-C reaches it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kernel_manager.errors import StorageError, ThreadbookError
from kernel_manager.execution.events import CellFinished, CellStarted, Event, InputRequested
from kernel_manager.execution.result import ExecutionResult
from kernel_manager.sessions.session import Session
from threadbook.interrupts import end_as_interrupted, on_interrupt
from threadbook.questions import Ask

#: Two presses of Ctrl-C in less than that many seconds belong together, whatever the setting says.
_SHORTEST_GRACE_S = 1.0


class GivenUpError(Exception):
    """The person did not want to wait any longer for the cell to start, or to end after an interrupt."""


class Printer(Protocol):
    """Whoever shows events."""

    def show(self, event: Event) -> None:
        """Show one event; raises :class:`OSError` when it cannot be shown."""


@dataclass(frozen=True, slots=True)
class Manners:
    """How a cell is treated.

    ``ask`` answers its questions, ``say`` gets lines for the person, and ``grace`` is within how many seconds a second Ctrl-C
    gives the cell up.
    """

    ask: Ask
    say: Callable[[str], None]
    grace: float


async def run_cell(
    session: Session,
    code: str,
    printer: Printer,
    manners: Manners,
    *,
    limit: float | None = None,
    files: Sequence[Path] = (),
    cell_id: str | None = None,
) -> ExecutionResult:
    """Run a cell to its end and return its result. ``limit`` is in seconds of code running, ``cell_id`` an imported cell's.

    Raises :class:`GivenUpError` when the person gives it up; nothing of it runs any more then. Raises :class:`StorageError` when
    its output could not be written, for which it is interrupted. When whoever read the output has gone, it
    is interrupted as well, and its result is returned.
    """
    cell = _Cell(session, printer, manners)
    events = session.run(code, timeout=limit, files=files, cell_id=cell_id)
    with on_interrupt(cell.interrupted):
        return await cell.follow(events)


class _Cell:
    """The state of one cell at the terminal."""

    def __init__(self, session: Session, printer: Printer, manners: Manners) -> None:
        self._session = session
        self._printer = printer
        self._manners = manners
        self._running = False
        self._given_up = False
        self._interrupted_at: float | None = None
        self._unwritable: OSError | None = None
        self._following: asyncio.Task[ExecutionResult] | None = None
        self._question: asyncio.Task[None] | None = None
        self._interrupting: set[asyncio.Task[None]] = set()

    async def follow(self, events: AsyncGenerator[Event]) -> ExecutionResult:
        """Take in all events and return the result."""
        self._following = asyncio.create_task(self._consume(events))
        try:
            result = await self._following
        except asyncio.CancelledError:
            if not self._given_up:
                raise
            if self._running and not self._session.has_kernel:
                self._manners.say("state lost: the cell had to be ended with its kernel")
            raise GivenUpError from None
        if self._unwritable is not None and not isinstance(self._unwritable, BrokenPipeError):
            why = self._unwritable.strerror or self._unwritable
            raise StorageError(f"the output cannot be written ({why}), so the cell was interrupted") from self._unwritable
        return result

    def interrupted(self) -> None:
        """React to Ctrl-C: interrupt the cell if it runs; give it up if that was not enough, or if it does not run."""
        now = asyncio.get_running_loop().time()
        before, self._interrupted_at = self._interrupted_at, now
        if self._given_up:
            end_as_interrupted()
        elif self._running and (before is None or now - before > max(self._manners.grace, _SHORTEST_GRACE_S)):
            self._interrupt_soon()
        else:
            self._give_up()

    def _give_up(self) -> None:
        self._given_up = True
        if self._running:
            self._manners.say(f"ending the cell; it has {self._manners.grace:g} s (Ctrl-C once more does not wait)")
        if self._following is not None:
            self._following.cancel()

    def _interrupt_soon(self) -> None:
        task = asyncio.create_task(self._interrupt())
        self._interrupting.add(task)
        task.add_done_callback(self._interrupting.discard)

    async def _interrupt(self) -> None:
        try:
            await self._session.interrupt()
        except ThreadbookError as exc:
            self._manners.say(str(exc))

    async def _consume(self, events: AsyncGenerator[Event]) -> ExecutionResult:
        last: Event | None = None
        try:
            async with aclosing(events):
                async for last in events:
                    await self._take(last)
        finally:
            await self._withdraw_question()
        assert isinstance(last, CellFinished), "a cell ends with CellFinished"
        return last.result

    async def _take(self, event: Event) -> None:
        match event:
            case CellStarted():
                self._running = True
            case InputRequested():
                await self._withdraw_question()
                self._question = asyncio.create_task(self._answer(event))
                return
            case CellFinished():
                await self._withdraw_question()
        await self._show(event)

    async def _show(self, event: Event) -> None:
        if self._unwritable is not None:
            return
        try:
            # In a thread: a reader that takes its time, such as a pager, must not keep the kernel waiting.
            await asyncio.to_thread(self._printer.show, event)
        except OSError as exc:
            self._unwritable = exc
            self._interrupt_soon()

    async def _answer(self, request: InputRequested) -> None:
        answer = None
        with suppress(OSError):
            answer = await self._manners.ask(request.prompt, password=request.password)
        request.answer(answer)

    async def _withdraw_question(self) -> None:
        question, self._question = self._question, None
        if question is not None:
            question.cancel()
            await asyncio.wait([question])
