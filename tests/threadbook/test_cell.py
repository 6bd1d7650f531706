from __future__ import annotations

import asyncio
import errno
import os
import signal
from collections.abc import Callable
from typing import Any, cast

import pytest

from kernel_manager.errors import ServiceError, StorageError
from kernel_manager.execution.events import CellFinished, CellStarted, Event, InputRequested, OutputAdded, SessionWaiting
from kernel_manager.execution.result import ExecutionResult
from kernel_manager.sessions.session import Session
from tests.threadbook.fakes import FakeSession, Step, cell_of, stream
from threadbook import cell
from threadbook.cell import GivenUpError, Manners, run_cell
from threadbook.questions import ask_nobody

INTERRUPTED = ExecutionResult("interrupted", cause="interrupted")


class Recorder:
    """A printer and a person: keeps what it is shown, presses Ctrl-C when told to."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.said: list[str] = []
        self.broken: OSError | None = None

    def show(self, event: Event) -> None:
        if self.broken is not None:
            raise self.broken
        self.events.append(event)


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


async def run(session: FakeSession, recorder: Recorder, steps: list[Step], **manners: Any) -> ExecutionResult:
    session.cells = [steps]
    how = Manners(**{"ask": ask_nobody, "say": recorder.said.append, "grace": 5.0, **manners})
    return await run_cell(cast("Session", session), "code", recorder, how)


async def test_shows_all_events_in_order_and_returns_the_result(session: FakeSession, recorder: Recorder) -> None:
    steps = cell_of([stream("a"), stream("b", "stderr")])
    result = await run(session, recorder, steps)
    assert recorder.events == steps
    assert result.ok


class TestInterrupt:
    async def test_interrupts_the_running_cell(self, session: FakeSession, recorder: Recorder) -> None:
        result = await run(session, recorder, [CellStarted(1), press, session.was_interrupted.wait, CellFinished(INTERRUPTED)])
        assert result.status == "interrupted"
        assert session.done == ["interrupt"]

    async def test_is_pythons_own_again_after_the_cell(self, session: FakeSession, recorder: Recorder) -> None:
        before = signal.getsignal(signal.SIGINT)
        await run(session, recorder, cell_of())
        assert signal.getsignal(signal.SIGINT) is before

    async def test_a_second_one_gives_the_cell_up(self, session: FakeSession, recorder: Recorder) -> None:
        steps: list[Step] = [CellStarted(1), press, session.was_interrupted.wait, press, asyncio.Event().wait]
        with pytest.raises(GivenUpError):
            await run(session, recorder, steps)
        assert session.done == ["interrupt", "closed"]
        assert recorder.said == ["ending the cell; it has 5 s (Ctrl-C once more does not wait)"]

    async def test_says_when_giving_up_cost_the_variables(self, session: FakeSession, recorder: Recorder) -> None:
        session.has_kernel = False
        with pytest.raises(GivenUpError):
            await run(session, recorder, [CellStarted(1), press, session.was_interrupted.wait, press, asyncio.Event().wait])
        assert recorder.said[-1].startswith("state lost")

    async def test_one_long_after_another_interrupts_again(
        self, session: FakeSession, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loop = asyncio.get_running_loop()

        def much_later() -> None:
            now = loop.time() + 6
            monkeypatch.setattr(loop, "time", lambda: now)
            session.was_interrupted.clear()

        wait = session.was_interrupted.wait
        steps: list[Step] = [CellStarted(1), press, wait, much_later, press, wait, CellFinished(INTERRUPTED)]
        await run(session, recorder, steps)
        assert session.done == ["interrupt", "interrupt"]

    async def test_leaves_alone_what_runs_for_another_process(self, session: FakeSession, recorder: Recorder) -> None:
        with pytest.raises(GivenUpError):
            await run(session, recorder, [SessionWaiting(17), press, asyncio.Event().wait])
        assert session.done == ["closed"]

    async def test_a_third_one_does_not_wait_for_the_end(
        self, session: FakeSession, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ended = asyncio.Event()
        monkeypatch.setattr(cell, "end_as_interrupted", ended.set)

        async def ending_takes_long() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                press()
                await ended.wait()

        with pytest.raises(GivenUpError):
            await run(session, recorder, [SessionWaiting(17), press, ending_takes_long])
        assert ended.is_set()

    async def test_that_fails_is_said(self, session: FakeSession, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
        tried = asyncio.Event()

        async def fail() -> None:
            tried.set()
            raise ServiceError("no kernel")

        monkeypatch.setattr(session, "interrupt", fail)
        await run(session, recorder, [CellStarted(1), press, tried.wait, CellFinished(INTERRUPTED)])
        assert recorder.said == ["no kernel"]


class TestOutputThatCannotBeWritten:
    def breaking(self, recorder: Recorder, number: int) -> Callable[[], None]:
        def break_it() -> None:
            recorder.broken = OSError(number, os.strerror(number))

        return break_it

    async def test_interrupts_the_cell_and_is_an_error(self, session: FakeSession, recorder: Recorder) -> None:
        steps: list[Step] = [
            CellStarted(1),
            self.breaking(recorder, errno.ENOSPC),
            OutputAdded(0, stream("a")),
            session.was_interrupted.wait,
        ]
        with pytest.raises(StorageError, match="No space left"):
            await run(session, recorder, [*steps, CellFinished(INTERRUPTED)])

    async def test_because_nobody_reads_it_interrupts_the_cell_quietly(self, session: FakeSession, recorder: Recorder) -> None:
        steps: list[Step] = [
            CellStarted(1),
            self.breaking(recorder, errno.EPIPE),
            OutputAdded(0, stream("a")),
            session.was_interrupted.wait,
        ]
        result = await run(session, recorder, [*steps, OutputAdded(1, stream("b")), CellFinished(INTERRUPTED)])
        assert result == INTERRUPTED


class TestQuestions:
    def asking(self, answers: list[str | None], prompt: str = "name? ", *, password: bool = False) -> InputRequested:
        self.answered = asyncio.Event()

        def answer(text: str | None) -> None:
            answers.append(text)
            self.answered.set()

        return InputRequested(prompt, password, answer)

    async def test_are_answered_by_the_person(self, session: FakeSession, recorder: Recorder) -> None:
        answers: list[str | None] = []

        async def ask(prompt: str, *, password: bool) -> str | None:
            return f"{prompt}{password}"

        asked = self.asking(answers, password=True)
        await run(session, recorder, [CellStarted(1), asked, self.answered.wait, *cell_of()[1:]], ask=ask)
        assert answers == ["name? True"]

    async def test_get_no_answer_if_nobody_is_there(self, session: FakeSession, recorder: Recorder) -> None:
        answers: list[str | None] = []
        asked = self.asking(answers)
        await run(session, recorder, [CellStarted(1), asked, self.answered.wait, *cell_of()[1:]])
        assert answers == [None]

    async def test_are_withdrawn_when_the_cell_ends(self, session: FakeSession, recorder: Recorder) -> None:
        answers: list[str | None] = []
        asking = asyncio.Event()

        async def never(prompt: str, *, password: bool) -> str | None:
            asking.set()
            await asyncio.Event().wait()
            raise AssertionError

        asked = self.asking(answers)
        await run(session, recorder, [CellStarted(1), asked, asking.wait, CellFinished(INTERRUPTED)], ask=never)
        assert answers == []

    async def test_do_not_hold_up_what_else_the_cell_shows(self, session: FakeSession, recorder: Recorder) -> None:
        answers: list[str | None] = []
        shown = asyncio.Event()

        async def ask_after_output(prompt: str, *, password: bool) -> str | None:
            await shown.wait()
            return "Ada"

        asked = self.asking(answers)
        background = OutputAdded(0, stream("from a thread"))
        steps: list[Step] = [CellStarted(1), asked, background, shown.set, self.answered.wait, *cell_of()[1:]]
        await run(session, recorder, steps, ask=ask_after_output)
        assert answers == ["Ada"]
        assert background in recorder.events
