from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kernel_manager.execution.events import DisplayUpdated
from kernel_manager.execution.outputs import OutputCollector, OutputLimits
from kernel_manager.execution.result import ExecutionResult
from kernel_manager.sessions import history as log
from kernel_manager.sessions.cell_log import CellLog
from kernel_manager.sessions.history import History
from kernel_manager.sessions.lock import RunningCell, SessionLock
from kernel_manager.sessions.outcome import outcome
from kernel_manager.sessions.places import SessionPlaces

CELL = RunningCell("0123456789ab", "msg", "kernel", 12.5)
SHOWN = {"output_type": "display_data", "data": {"text/plain": "before"}, "metadata": {}}


class Desk:
    """A process that holds the session's lock."""

    def __init__(self, root: Path) -> None:
        places = SessionPlaces(root / "user" / "session")
        places.create()
        self.history = History(places.history, lambda: datetime(2026, 1, 31, tzinfo=UTC))
        self.lock = SessionLock(places.lock)
        assert self.lock.try_drive()
        self.cells = CellLog(self.history, self.lock, places)

    def leave(self) -> None:
        self.lock.release()
        self.history.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.leave()


def show(desk: Desk, cell_id: str, display_id: str) -> None:
    desk.cells.began(RunningCell(cell_id, "m", "k"), "display")
    desk.cells.ended(cell_id, ExecutionResult("ok", outputs=[dict(SHOWN)]), {display_id: [0]})


def update(display_id: str) -> dict[str, DisplayUpdated]:
    return {display_id: DisplayUpdated(display_id, {"text/plain": "after"}, {})}


def test_a_running_cell_is_left_until_its_end_is_recorded(desk: Desk) -> None:
    desk.cells.began(CELL, "code")
    assert desk.cells.left_running() == CELL
    desk.cells.ended(CELL.cell_id, ExecutionResult("ok"), {})
    assert desk.cells.left_running() is None
    (cell,) = desk.cells.read().cells
    assert (cell.code, cell.status, cell.source) == ("code", "ok", "run")


def test_a_cell_that_was_noted_but_not_recorded_was_never_sent(desk: Desk) -> None:
    desk.lock.note(CELL)
    assert desk.cells.left_running() is None
    assert desk.lock.left_running() is None


def test_a_cell_whose_end_is_recorded_is_not_left_although_it_is_still_noted(desk: Desk) -> None:
    desk.cells.began(CELL, "code")
    desk.cells.ended(CELL.cell_id, ExecutionResult("ok"), {})
    desk.lock.note(CELL)
    assert desk.cells.left_running() is None
    assert desk.lock.left_running() is None


def test_only_displays_of_earlier_cells_are_updated(desk: Desk) -> None:
    show(desk, "a", "known")
    assert desk.cells.updated(update("unknown")) == []
    assert [event.display_id for event in desk.cells.updated(update("known"))] == ["known"]
    (cell,) = desk.cells.read().cells
    assert cell.outputs[0]["data"] == {"text/plain": "after"}


def test_displays_that_another_process_showed_meanwhile_are_known(desk: Desk, tmp_path: Path) -> None:
    show(desk, "a", "mine")
    assert desk.cells.updated(update("theirs")) == []
    desk.lock.release()
    other = Desk(tmp_path)
    show(other, "b", "theirs")
    other.leave()
    assert desk.lock.try_drive()
    show(desk, "c", "mine")
    assert [event.display_id for event in desk.cells.updated(update("theirs"))] == ["theirs"]


def test_the_history_is_not_read_again_for_every_update(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    show(desk, "a", "d")
    desk.cells.updated(update("d"))
    monkeypatch.setattr(History, "read", None)
    show(desk, "b", "e")
    assert [event.display_id for event in desk.cells.updated(update("e"))] == ["e"]


def test_the_history_is_open_only_while_it_is_used(desk: Desk) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    show(desk, "a", "d")
    desk.history.sync()
    desk.cells.read()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_session_whose_first_line_never_reached_the_disk_does_not_exist(tmp_path: Path) -> None:
    places = SessionPlaces(tmp_path / "user" / "session")
    assert not places.exists
    places.create()
    places.history.touch()
    assert not places.exists
    History(places.history, lambda: datetime(2026, 1, 31, tzinfo=UTC)).append(log.SessionCreated("session", "user"))
    assert places.exists


# How a cell ended whose reply went elsewhere.


def collected(*contents: dict[str, Any]) -> OutputCollector:
    collector = OutputCollector(OutputLimits(max_text=1000, max_outputs=10, max_total=1000))
    for content in contents:
        collector.handle({"header": {"msg_type": content.pop("type")}, "content": content})
    return collector


def error(ename: str, evalue: str = "") -> dict[str, Any]:
    return {"type": "error", "ename": ename, "evalue": evalue, "traceback": []}


def test_the_outcome_is_told_from_the_outputs() -> None:
    assert outcome(collected()) == ("ok", None)
    assert outcome(collected({"type": "stream", "name": "stdout", "text": "Error"})) == ("ok", None)
    assert outcome(collected(error("ValueError", "no"))) == ("error", "ValueError: no")
    assert outcome(collected(error("ValueError"))) == ("error", "ValueError")
    status, cause = outcome(collected(error("KeyboardInterrupt")))
    assert status == "interrupted"
    assert cause is not None


def test_an_error_that_was_cleared_is_still_one() -> None:
    assert outcome(collected(error("ValueError"), {"type": "clear_output", "wait": False})) == ("error", "the cell failed")
