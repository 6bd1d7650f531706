"""A turn that an earlier process had begun and was killed in: what came of it, from the session's history, as events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from bot.agent.conversation import result_of
from bot.agent.events import AgentEvent, CodeEnded, CodeStarted, FigureShown, FileWritten, TextEnded, TurnEnded, TurnUsage, Warned
from bot.agent.pictures import picture_of
from bot.agent.turn import STOPPED
from bot.journal import LeftTurn
from kernel_manager.sessions.history import Cell, Said
from kernel_manager.sessions.session import Session

RESTARTED = "the bot was restarted in the middle of this turn"
_ALL_SHOWN = "what its code came to is above; ask again for what is missing"
_NOTHING = "nothing had run yet; ask again"


class ResumedTurn:
    """See the module. A cell that still runs is waited for; :meth:`stop` interrupts it."""

    def __init__(self, session: Session, left: LeftTurn) -> None:
        self._session = session
        self._left = left
        self._stopping = False
        self._interrupting: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """End the turn; the cell that still runs is interrupted, and what came out of it until then is shown."""
        self._stopping = True
        self._interrupting = asyncio.create_task(self._session.interrupt())

    async def events(self) -> AsyncGenerator[AgentEvent]:
        """Yield what happened since the turn began; the last event is TurnEnded."""
        yield Warned(RESTARTED)
        runs, seconds = 0, 0.0
        history = await asyncio.to_thread(self._session.read_history)
        for entry in history.entries[self._left.entries :]:
            if isinstance(entry, Said) and entry.role == "assistant":
                yield TextEnded(entry.text)
            elif isinstance(entry, Cell):
                runs += 1
                yield CodeStarted(runs, entry.code)
                ended = entry if entry.finished_at is not None else await self._end_of(entry)
                seconds += ended.duration_s
                for event in _shown(runs, ended):
                    yield event
        if self._stopping:
            yield TurnEnded("stopped", "", TurnUsage(runs=runs, seconds=seconds), STOPPED)
        else:
            reason = f"{RESTARTED}: {_ALL_SHOWN if runs else _NOTHING}"
            yield TurnEnded("failed", "", TurnUsage(runs=runs, seconds=seconds), reason)

    async def _end_of(self, cell: Cell) -> Cell:
        await self._session.settle()
        history = await asyncio.to_thread(self._session.read_history)
        return next((found for found in history.cells if found.cell_id == cell.cell_id), cell)


def _shown(number: int, cell: Cell) -> list[AgentEvent]:
    events: list[AgentEvent] = []
    for output in cell.outputs:
        if (picture := picture_of(output.get("data"), output.get("metadata"))) is not None:
            events.append(FigureShown(output["data"], picture.description))
    events += [FileWritten(file) for file in cell.files]
    return [*events, CodeEnded(number, result_of(cell))]
