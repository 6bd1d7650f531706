"""The clock of a cell: when it runs, what happens when it is up, and interrupts."""

from __future__ import annotations

import asyncio

import pytest

from kernel_manager import InputRequested, OutputAdded, Session, Settings, open_interpreter
from tests.integration.conftest import OwnSettings
from tests.integration.following import Follower, kinds, session_with, written
from tests.integration.support import value

# All of it is in the loop's care: an interrupt may come as soon as it has begun.
DEAF = """
import time
words = ['begun']
while True:
    try:
        while words: print(words.pop(), flush=True)
        time.sleep(1000)
    except KeyboardInterrupt:
        print('no', flush=True)
"""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Time enough for a busy machine to obey an interrupt; tests of those that do not obey have settings of their own."""
    return settings.model_copy(update={"interrupt_grace": 30})


async def test_a_cell_past_its_time_is_interrupted_and_the_state_kept(session: Session) -> None:
    await session.execute("kept = 'kept'")
    result = await session.execute("print('before')\nimport time\ntime.sleep(1000)", timeout=0.3)
    assert (result.status, result.state_lost) == ("timeout", False)
    assert result.cause == "the cell ran longer than 0.3 s and was interrupted; the session's variables are kept"
    assert kinds(result) == ["stdout", "error"]
    assert 0.3 <= result.duration_s < 5
    after = await session.execute("kept")
    assert (value(after), after.execution_count, after.cause) == ("'kept'", 3, None)


async def test_a_cell_that_handles_the_interrupt_still_timed_out(session: Session) -> None:
    code = "import time\ntry:\n    time.sleep(1000)\nexcept KeyboardInterrupt:\n    print('cleaned up')"
    result = await session.execute(code, timeout=0.2)
    assert (result.status, written(result), result.state_lost) == ("timeout", "cleaned up\n", False)


@pytest.mark.parametrize(
    "code",
    [DEAF, "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('begun', flush=True)\ntime.sleep(1000)"],
    ids=["swallows", "ignores"],
)
async def test_a_cell_that_ignores_the_interrupt_is_ended_after_the_grace_time(settings: Settings, code: str) -> None:
    async with session_with(settings, interrupt_grace=0.5) as session:
        await session.execute("lost = 1")
        result = await session.execute(code, timeout=0.3)
        assert (result.status, result.state_lost) == ("timeout", True)
        assert result.cause == (
            "the cell ran longer than 0.3 s and ignored the interrupt, so its kernel was ended 0.5 s later; "
            "the session's variables are lost"
        )
        assert written(result).startswith("begun\n")
        assert 0.7 <= result.duration_s < 5
        after = await session.execute("'lost' in globals()")
        assert (value(after), after.execution_count, after.state_lost, after.cause) == ("False", 1, False, None)


async def test_code_that_holds_the_interpreter_from_its_first_moment_is_ended(settings: Settings) -> None:
    async with session_with(settings, interrupt_grace=0.5) as session:
        await session.execute("import ctypes\nwait = ctypes.PyDLL(None).poll")
        result = await session.execute("while True: wait(None, 0, 100_000)", timeout=0.3)
        assert result.status == "timeout"
        stubborn = await session.execute(
            "import ctypes, signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nctypes.PyDLL(None).sleep(1000)", timeout=0.3
        )
        assert (stubborn.status, stubborn.state_lost) == ("timeout", True)
        assert 0.7 <= stubborn.duration_s < 10


async def test_an_endless_loop_is_interrupted(session: Session) -> None:
    assert (await session.execute("while True: pass", timeout=0.2)).status == "timeout"
    assert value(await session.execute("'alive'")) == "'alive'"


async def test_an_async_cell_past_its_time_is_interrupted(session: Session) -> None:
    result = await session.execute("import asyncio\nawait asyncio.sleep(1000)", timeout=0.3)
    assert (result.status, result.state_lost) == ("timeout", False)
    assert value(await session.execute("'alive'")) == "'alive'"


async def test_children_of_a_cell_past_its_time_are_interrupted_too(session: Session) -> None:
    result = await session.execute("import subprocess\nsubprocess.run(['sleep', '1000'])", timeout=0.3)
    assert (result.status, result.state_lost) == ("timeout", False)
    assert value(await session.execute("import psutil\npsutil.Process().children()")) == "[]"


async def test_waiting_for_an_answer_does_not_count(session: Session) -> None:
    follower = Follower(session, "import time\nanswer = input()\ntime.sleep(0.1)\nanswer", timeout=1)
    question = await follower.event(InputRequested)
    loop = asyncio.get_running_loop()
    asked_at = loop.time()
    loop.call_later(1.2, question.answer, "finally")
    result = await follower.result()
    assert loop.time() - asked_at > 1.2
    assert (result.status, value(result)) == ("ok", "'finally'")
    assert 0 < result.duration_s < 1


async def test_the_clock_goes_on_after_an_answer(session: Session) -> None:
    follower = Follower(session, "import time\ninput()\ntime.sleep(1000)", timeout=0.3, answer=lambda prompt: "x")
    result = await follower.result()
    assert (result.status, result.state_lost) == ("timeout", False)


async def test_the_clock_goes_on_when_a_waiting_cell_swallows_the_interrupt(settings: Settings) -> None:
    async with session_with(settings, interrupt_grace=0.5) as session:
        code = "try:\n    input()\nexcept KeyboardInterrupt:\n    pass\nwhile True: pass"
        follower = Follower(session, code, timeout=0.5)
        await follower.event(InputRequested)
        await session.interrupt()
        assert (await follower.result()).status == "timeout"


async def test_waiting_for_a_turn_does_not_count(session: Session) -> None:
    code = "import time\ntime.sleep(0.3)"
    results = await asyncio.gather(*(session.execute(code, timeout=0.9) for _ in range(4)))
    assert [result.status for result in results] == ["ok"] * 4
    assert all(0 < result.duration_s < 0.9 for result in results)


async def test_the_start_of_a_kernel_does_not_count(own_settings_of: OwnSettings) -> None:
    async with open_interpreter(own_settings_of()) as interpreter:
        session = await interpreter.session("newcomer")
        before = asyncio.get_running_loop().time()
        result = await session.execute("import time\ntime.sleep(0.1)", timeout=0.7)
        assert (result.status, 0 < result.duration_s < 0.7) == ("ok", True)
        assert asyncio.get_running_loop().time() - before > 0.7  # a preloaded process had to be made first


async def test_each_cell_has_its_own_time(session: Session) -> None:
    assert (await session.execute("import time\ntime.sleep(1000)", timeout=0.2)).status == "timeout"
    result = await session.execute("time.sleep(0.3)\n'done'", timeout=5)
    assert (result.status, value(result)) == ("ok", "'done'")


async def test_the_default_comes_from_the_settings(settings: Settings) -> None:
    async with session_with(settings, code_execution_timeout=0.3) as session:
        assert (await session.execute("import time\ntime.sleep(1000)")).status == "timeout"


async def test_an_interrupt_ends_the_cell_and_keeps_the_state(session: Session) -> None:
    follower = Follower(session, "kept = 1\nprint('begun', flush=True)\nwhile True: pass")
    await follower.event(OutputAdded)
    await session.interrupt()
    result = await follower.result()
    assert (result.status, result.state_lost) == ("interrupted", False)
    assert result.cause == "the cell was interrupted; the session's variables are kept"
    assert value(await session.execute("kept")) == "1"


async def test_a_cell_that_goes_on_after_an_interrupt_and_ends_well_is_ok(session: Session) -> None:
    code = "try:\n    print('begun', flush=True)\n    while True: pass\nexcept KeyboardInterrupt:\n    print('handled')"
    follower = Follower(session, code)
    await follower.event(OutputAdded)
    await session.interrupt()
    result = await follower.result()
    assert (result.status, written(result)) == ("ok", "begun\nhandled\n")


async def test_an_interrupt_between_cells_does_nothing(session: Session) -> None:
    await session.execute("x = 1")
    await session.interrupt()
    assert value(await session.execute("x")) == "1"


async def test_a_cell_that_nobody_waits_for_any_more_is_interrupted(session: Session) -> None:
    task = asyncio.create_task(session.execute("print('begun', flush=True)\nwhile True: pass"))
    other = asyncio.create_task(session.execute("'next'"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert value(await other) == "'next'"


async def test_a_deaf_cell_that_nobody_waits_for_any_more_is_ended(settings: Settings) -> None:
    async with session_with(settings, interrupt_grace=0.3) as session:
        async for event in session.run(DEAF):
            if isinstance(event, OutputAdded):
                break
        assert value(await session.execute("'next'")) == "'next'"
        cell = session.read_history().cells[0]
        assert (cell.status, cell.state_lost) == ("interrupted", True)
