"""What becomes of cells, written down: in the session's history, and in the lock's note as long as one runs.

A cell is noted first, then recorded, then sent; its end is recorded before the note goes. So whoever comes after a kill
can tell how far it had come. For the holder of the session's lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from kernel_manager.execution.events import DisplayUpdated
from kernel_manager.execution.result import ExecutionResult
from kernel_manager.sessions import history as log
from kernel_manager.sessions.history import Cell, History, SessionHistory
from kernel_manager.sessions.lock import RunningCell, SessionLock
from kernel_manager.sessions.places import SessionPlaces


class CellLog:
    """See the module. All methods raise StorageError."""

    def __init__(self, history: History, lock: SessionLock, places: SessionPlaces) -> None:
        self._history = history
        self._lock = lock
        self._places = places
        self._displays: set[str] | None = None

    def read(self) -> SessionHistory:
        """Everything that was recorded, by any process."""
        return log.read_log(self._places.history)

    def left_running(self) -> RunningCell | None:
        """The cell that an earlier holder was running, if its end is not recorded yet."""
        left = self._lock.left_running()
        if left is None:
            return None
        recorded = self._recorded(left.cell_id)
        if recorded is None or recorded.finished_at is not None:
            self._lock.note(None)  # it was never sent, or all is written down
            return None
        return left

    def _recorded(self, cell_id: str) -> Cell | None:
        return next((cell for cell in reversed(self.read().cells) if cell.cell_id == cell_id), None)

    def begun_at(self, cell_id: str) -> datetime | None:
        """When a recorded cell was sent."""
        recorded = self._recorded(cell_id)
        return None if recorded is None else recorded.started_at

    def began(self, cell: RunningCell, code: str, source: log.Source = "run") -> None:
        """A cell is about to be sent, or was by another client."""
        if self._displays is not None and self._history.changed():
            self._displays = None
        self._lock.note(cell)
        self._history.append(log.CellStarted(cell.cell_id, code, cell.msg_id, cell.kernel_id, source=source))

    def answered(self, cell_id: str, prompt: str, answer: str) -> None:
        """The code of a running cell gets an answer from ``input()``."""
        self._history.append(log.InputAnswered(cell_id, prompt, answer))

    def ended(self, cell_id: str, result: ExecutionResult, display_ids: Mapping[str, list[int]]) -> None:
        """A cell is over."""
        self._history.append(log.CellFinished.of(cell_id, result, display_ids))
        self._lock.note(None)
        if self._displays is not None:
            self._displays.update(display_ids)

    def updated(self, updates: Mapping[str, DisplayUpdated]) -> list[DisplayUpdated]:
        """Record updates of displays, by ``display_id``; return those that are of earlier cells."""
        if not updates:
            return []
        if self._displays is None:
            self._displays = {display_id for cell in self._history.read().cells for display_id in cell.display_ids}
        found = [update for update in updates.values() if update.display_id in self._displays]
        for update in found:
            self._history.append(log.DisplayUpdated(update.display_id, update.data, update.metadata))
        return found
