"""What a cell shows becomes events, in order; the session is one that says what it is told to."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import cast

from bot.agent.cells import CellRunner
from bot.agent.events import (
    AgentEvent,
    CodeEnded,
    CodeRunning,
    CodeStarted,
    FigureShown,
    FileWritten,
    OutputShown,
    PackagesInstalled,
    PackagesInstalling,
    TurnWaiting,
)
from bot.agent.items import ToolCall, text_of
from bot.agent.seen import Eyes
from kernel_manager import CellFinished, CellStarted, Event, ExecutionResult, OutputAdded, Session, SessionWaiting, WrittenFile
from kernel_manager.execution import events as execution

FIGURE = {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo="}, "metadata": {}}
RESULT = ExecutionResult(
    "ok",
    1,
    [FIGURE],
    files=[WrittenFile("a.csv", "/w/a.csv", 5, "text/csv")],
    installed_packages=["seaborn"],
    duration_s=1.5,
)


INSTALLS = (
    execution.PackagesInstalling(("seaborn",), "installing seaborn"),
    execution.PackagesInstalled(("seaborn",), ("seaborn==1",)),
)


class Played:
    """A session whose cells are all the same."""

    async def run(self, code: str, *, source: str, cell_id: str | None) -> AsyncGenerator[Event]:
        assert source == "run"
        for event in (SessionWaiting(None), *INSTALLS, CellStarted(1), OutputAdded(0, FIGURE), CellFinished(RESULT)):
            yield event


async def test_what_a_cell_shows_comes_first_and_what_it_came_to_before_its_end() -> None:
    events: list[AgentEvent] = []
    runner = CellRunner(cast("Session", Played()), Eyes(), events.append)
    output = await runner.run(ToolCall("c", "execute_python_code", '{"code": "plot()"}'))
    assert events == [
        CodeStarted(1, "plot()"),
        TurnWaiting(),
        PackagesInstalling("installing seaborn"),
        PackagesInstalled(("seaborn",)),
        CodeRunning(),
        OutputShown(OutputAdded(0, FIGURE)),
        FigureShown(FIGURE["data"], ""),  # type: ignore[arg-type]
        FileWritten(RESULT.files[0]),
        CodeEnded(1, RESULT),
    ]
    assert (runner.runs, runner.seconds, output.call_id) == (1, 1.5, "c")
    assert "installed on the way: seaborn" in text_of(output.parts)
