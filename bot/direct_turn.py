"""A turn without a model: cells that a person wrote or brought, one after the other, with the same events."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from bot.agent.cells import CellRunner
from bot.agent.events import AgentEvent, CodeEnded, TurnEnded, TurnStatus, TurnUsage
from bot.agent.items import ToolCall
from bot.agent.seen import Eyes
from bot.agent.tools import EXECUTE
from bot.agent.turn import STOPPED
from kernel_manager.errors import ThreadbookError
from kernel_manager.sessions.session import Session

#: Writes down what a turn took.
Charge = Callable[[TurnUsage], Awaitable[None]]

logger = logging.getLogger(__name__)

_BLIND = Eyes(vision=False, pixels=64, characters=500)


@dataclass(frozen=True, slots=True)
class DirectCell:
    """Code to run. ``cell_id`` is that of an imported cell; one that ``may_fail``, as it did before, ends nothing."""

    code: str
    cell_id: str | None = None
    may_fail: bool = False


class DirectTurn:
    """Runs cells until one fails. :meth:`events` is iterated once; :meth:`stop` ends it, with its end as an event.

    ``charge`` is told what the turn took.
    """

    def __init__(self, session: Session, cells: Sequence[DirectCell], charge: Charge | None = None) -> None:
        self._charge = charge
        self.cells = tuple(cells)
        self._queue: asyncio.Queue[AgentEvent | None] = asyncio.Queue()
        self._runner = CellRunner(session, _BLIND, self._emit)
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._failed = False

    async def events(self) -> AsyncGenerator[AgentEvent]:
        """Run the cells and yield what happens; the last event is TurnEnded. Who stops iterating stops the turn."""
        self._task = asyncio.create_task(self._work())
        self._task.add_done_callback(lambda _: self._queue.put_nowait(None))
        try:
            while (event := await self._queue.get()) is not None:
                yield event
            status, reason = self._end()
            used = TurnUsage(runs=self._runner.runs, seconds=self._runner.seconds)
            await self._write_usage(used)
            yield TurnEnded(status, "", used, reason)
        finally:
            self._task.cancel()
            await asyncio.wait({self._task})

    def stop(self) -> None:
        """Stop the turn; a cell that runs is interrupted."""
        self._stopping = True
        if self._task is not None:
            self._task.cancel()

    def _end(self) -> tuple[TurnStatus, str | None]:
        assert self._task is not None
        if self._task.cancelled() or self._stopping:
            return "stopped", STOPPED
        error = self._task.exception()
        if error is None:
            return "completed", None
        if isinstance(error, ThreadbookError):
            return "failed", str(error)
        raise error

    async def _write_usage(self, used: TurnUsage) -> None:
        if self._charge is None or not used.runs:
            return
        try:
            await self._charge(used)
        except ThreadbookError as exc:
            logger.warning("the usage of a turn was not written down: %s", exc)

    def _emit(self, event: AgentEvent) -> None:
        if isinstance(event, CodeEnded):
            self._failed = not event.result.ok
        self._queue.put_nowait(event)

    async def _work(self) -> None:
        for number, cell in enumerate(self.cells, 1):
            await self._runner.run(ToolCall(f"direct_{number}", EXECUTE.name, json.dumps({"code": cell.code})), cell.cell_id)
            if self._stopping or (self._failed and not cell.may_fail):
                return
