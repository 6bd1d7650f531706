"""Sessions within one process: order, concurrency, interrupts, restarts, ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal

import pytest

from kernel_manager import (
    CellFinished,
    CellStarted,
    ClosedError,
    Interpreter,
    OutputAdded,
    Session,
    Settings,
    UnknownSessionError,
    UsageError,
    open_interpreter,
)
from kernel_manager.execution.result import ExecutionResult
from kernel_manager.sessions import ending
from tests.integration.support import PATIENCE, kernel_folders, kernel_pid, lives, parent, printed, running, until, value

ENDLESS = "print('begun', flush=True)\nwhile True: pass"


async def begun(session: Session, code: str = ENDLESS) -> asyncio.Task[ExecutionResult]:
    """Run a cell in a task, and return when it has printed something."""
    something = asyncio.Event()

    async def follow() -> ExecutionResult:
        async for event in session.run(code):
            if isinstance(event, OutputAdded):
                something.set()
            elif isinstance(event, CellFinished):
                return event.result
        raise AssertionError("no end")

    task = asyncio.create_task(follow())
    async with asyncio.timeout(PATIENCE):
        await something.wait()
    return task


# Running.


async def test_variables_stay_from_cell_to_cell(session: Session) -> None:
    assert (await session.execute("x = 41")).execution_count == 1
    result = await session.execute("x + 1")
    assert (value(result), result.execution_count, result.status) == ("42", 2, "ok")
    assert not result.state_lost


async def test_cells_of_one_session_run_one_after_the_other_in_the_order_of_asking(session: Session) -> None:
    await session.execute("order = []; import time")
    codes = [f"order.append('<{number}'); time.sleep(.01); order.append('{number}>')" for number in range(5)]
    results = await asyncio.gather(*(session.execute(code) for code in codes))
    assert [result.execution_count for result in results] == [2, 3, 4, 5, 6]
    assert value(await session.execute("''.join(order)")) == "'<00><11><22><33><44>'"
    assert [cell.code for cell in session.read_history().cells[1:6]] == codes


async def test_sessions_run_at_the_same_time(interpreter: Interpreter) -> None:
    meet = """
import pathlib, time
pathlib.Path("here").touch()
deadline = time.monotonic() + 20
while not pathlib.Path("both").exists() and time.monotonic() < deadline: time.sleep(.01)
pathlib.Path("both").exists()
"""
    sessions = [await interpreter.session("meeting", name) for name in ("one", "other")]
    running = [asyncio.create_task(session.execute(meet)) for session in sessions]
    await until(lambda: all((session.workspace / "here").exists() for session in sessions))
    for session in sessions:
        (session.workspace / "both").touch()
    results = await asyncio.gather(*running)
    assert [value(result) for result in results] == ["True", "True"]
    for session in sessions:
        await session.stop()


async def test_the_history_has_the_result_before_anybody_hears_of_it(session: Session) -> None:
    async for event in session.run("6 * 7"):
        if isinstance(event, CellFinished):
            (cell,) = session.read_history().cells
            assert cell.outputs == event.result.outputs
            assert (cell.status, cell.execution_count) == ("ok", 1)
            assert cell.finished_at is not None


async def test_the_last_event_is_the_end_and_there_is_one(session: Session) -> None:
    events = [event async for event in session.run("print('a')")]
    assert isinstance(events[0], CellStarted)
    assert [event for event in events if isinstance(event, CellFinished)] == events[-1:]


async def test_displays_of_earlier_cells_are_updated_in_the_history(interpreter: Interpreter, session: Session) -> None:
    await session.execute("handle = display('before', display_id='d')")
    async with open_interpreter(interpreter.settings) as other:
        twin = await other.session(session.user_id, session.session_id)
        await twin.execute("handle2 = display('later', display_id='e')")
    await session.execute("handle.update('after'); display('changed', display_id='e', update=True)")
    shown = [cell.outputs[0]["data"]["text/plain"] for cell in session.read_history().cells[:2]]
    assert shown == ["'after'", "'changed'"]


# Interrupts.


async def test_an_interrupt_ends_the_cell_and_keeps_the_variables(session: Session) -> None:
    await session.execute("x = 1")
    task = await begun(session)
    await session.interrupt()
    result = await task
    assert (result.status, printed(result)) == ("interrupted", "begun\n")
    assert value(await session.execute("x")) == "1"


async def test_an_interrupt_that_comes_before_the_cell_has_begun_is_not_lost(session: Session) -> None:
    await session.warm_up()
    pid = await kernel_pid(session)
    os.kill(pid, signal.SIGSTOP)
    task = asyncio.create_task(session.execute("while True: pass", timeout=PATIENCE))
    await until(lambda: session.read_history().cells)
    await session.interrupt()
    os.kill(pid, signal.SIGCONT)
    assert (await task).status == "interrupted"
    assert await kernel_pid(session) == pid


async def test_a_kernel_whose_supervisor_is_stuck_is_ended_all_the_same(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "_ANSWER_S", 0.3)
    await session.execute("x = 1")
    pid = await kernel_pid(session)
    os.kill(parent(pid), signal.SIGSTOP)
    await session.stop()
    await until(lambda: not lives(pid))
    assert (await session.execute("'x' in globals()")).ok


async def test_an_interrupt_without_a_cell_does_nothing(session: Session) -> None:
    await session.interrupt()
    await session.execute("x = 1")
    await session.interrupt()
    assert value(await session.execute("x")) == "1"


async def test_who_stops_iterating_interrupts_the_cell(session: Session) -> None:
    await session.execute("x = 1")
    async with contextlib.aclosing(session.run(ENDLESS)) as events:
        async for event in events:
            if isinstance(event, OutputAdded):
                break
    assert [cell.status for cell in session.read_history().cells] == ["ok", "interrupted"]
    assert value(await session.execute("x")) == "1"


async def test_who_cancels_execute_interrupts_the_cell(session: Session) -> None:
    await session.execute("x = 1")
    task = asyncio.create_task(session.execute("open('begun', 'w').close()\nwhile True: pass"))
    await until((session.workspace / "begun").exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [cell.status for cell in session.read_history().cells] == ["ok", "interrupted"]
    assert value(await session.execute("x")) == "1"


async def test_a_cancelled_cell_that_ignores_interrupts_is_ended_after_the_grace_time(session: Session) -> None:
    code = (
        "import time\nwhile True:\n  try:\n    open('begun', 'w').close()\n"
        "    while True: time.sleep(.01)\n  except KeyboardInterrupt: pass"
    )
    task = asyncio.create_task(session.execute(code))
    await until((session.workspace / "begun").exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (cell,) = session.read_history().cells
    assert (cell.status, cell.state_lost) == ("interrupted", True)


async def test_giving_up_a_cell_right_after_it_was_sent_keeps_the_variables(session: Session) -> None:
    await session.execute("x = 1")
    pid = await kernel_pid(session)
    os.kill(pid, signal.SIGSTOP)
    task = asyncio.create_task(session.execute("while True: pass"))
    await until(lambda: len(session.read_history().cells) == 2)
    task.cancel()
    os.kill(pid, signal.SIGCONT)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert value(await session.execute("x")) == "1"


async def test_cancelling_a_waiting_cell_leaves_the_running_one_alone(session: Session) -> None:
    running = await begun(session, "print('begun', flush=True); input(); 'done'")
    waiting = asyncio.create_task(session.execute("never = 1"))
    await until(lambda: session.busy)
    for _ in range(3):
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not running.done()
    await session.interrupt()
    assert (await running).status == "interrupted"
    assert [cell.code for cell in session.read_history().cells if "never" in cell.code] == []


# Restart and stop.


async def test_restart_in_the_middle_of_a_cell(session: Session) -> None:
    await session.execute("x = 1")
    task = await begun(session)
    await session.restart()
    result = await task
    assert (result.status, result.state_lost, printed(result)) == ("interrupted", True, "begun\n")
    fresh = await session.execute("'x' in globals()")
    assert (value(fresh), fresh.execution_count) == ("False", 1)
    assert (fresh.state_lost, fresh.cause) == (False, None)


async def test_stop_in_the_middle_of_a_cell(session: Session) -> None:
    task = await begun(session)
    pid = await kernel_pid(session)
    await session.stop()
    result = await task
    assert (result.status, result.state_lost) == ("interrupted", True)
    assert result.cause is not None
    assert "stopped" in result.cause
    assert not lives(pid)
    assert not session.has_kernel
    assert value(await session.execute("1")) == "1"


async def test_stop_and_restart_drop_cells_that_still_wait(session: Session) -> None:
    for end, word in ((session.stop, "stopped"), (session.restart, "restarted")):
        running = await begun(session)
        waiting = asyncio.create_task(session.execute(f"{word} = 1"))
        await asyncio.sleep(0)
        await end()
        result = await waiting
        assert result.status == "interrupted"
        assert result.cause == f"the session was {word} before the cell began"
        assert (await running).status == "interrupted"
    assert session.has_kernel
    assert value(await session.execute("len([name for name in ('stopped', 'restarted') if name in globals()])")) == "0"


@pytest.mark.parametrize("end", ["stop", "restart"])
async def test_stop_and_restart_while_the_kernel_is_being_started(session: Session, end: str) -> None:
    cell = asyncio.create_task(session.execute("x = 1"))
    while (await session.info()).state != "starting":
        assert not cell.done()
    await (session.stop() if end == "stop" else session.restart())
    result = await cell
    assert result.status == "interrupted"
    assert result.cause is not None
    assert "before the cell began" in result.cause
    assert session.has_kernel == (end == "restart")
    assert value(await session.execute("'x' in globals()")) == "False"


async def test_stop_ends_what_a_cell_left_running_in_the_background(session: Session) -> None:
    code = """
import os, signal, pathlib
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        pathlib.Path('pid').touch()
        os.execvp('sh', ['sh', '-c', 'while :; do sleep 76543; done'])
    os._exit(0)
os.wait()
"""
    await session.execute(code)
    note = session.workspace / "pid"
    await until(lambda: note.exists() and running("76543"))
    await session.stop()
    assert not running("76543")


async def test_a_stopped_kernel_leaves_no_folder(interpreter: Interpreter, session: Session) -> None:
    await session.execute("1")
    assert kernel_folders(interpreter.settings)
    await session.stop()
    assert not kernel_folders(interpreter.settings)


# The end.


async def test_closing_the_interpreter_interrupts_the_cell_and_keeps_the_kernel(settings: Settings) -> None:
    async with open_interpreter(settings) as interpreter:
        session = await interpreter.session("closing")
        await session.execute("x = 1")
        running = await begun(session)
        waiting = asyncio.create_task(session.execute("x = 2"))
        await asyncio.sleep(0)
    assert (await running).status == "interrupted"
    with pytest.raises(ClosedError):
        await waiting
    async with open_interpreter(settings) as interpreter:
        session = await interpreter.session("closing")
        assert value(await session.execute("x")) == "1"
        await session.stop()


async def test_use_after_close_is_an_error(settings: Settings) -> None:
    async with open_interpreter(settings) as interpreter:
        session = await interpreter.session("late")
    uses = [
        lambda: session.execute("1"),
        lambda: anext(session.run("1")),
        session.interrupt,
        session.restart,
        session.stop,
        session.warm_up,
        lambda: session.recording().__aenter__(),
        lambda: interpreter.session("late"),
        interpreter.sessions,
        interpreter.stop_all,
    ]
    for use in uses:
        with pytest.raises(ClosedError, match="open it again"):
            await use()
    assert not session.busy


# Ids.


async def test_hostile_ids_stay_inside_the_data_folder(interpreter: Interpreter) -> None:
    root = interpreter.settings.data_dir / "sessions"
    ids: list[str | int] = ["../x", "..", ".", "/", "a/../../b", "x" * 200, "日本 🐍", "CON", "con", "-rf", "a b", 42]
    sessions = [await interpreter.session(user, name) for user in ids for name in map(str, ids)]
    folders = [session.folder for session in sessions]
    assert len(set(folders)) == len(ids) ** 2
    assert all(folder.parent.parent == root for folder in folders)
    assert await interpreter.session("42", "42") is await interpreter.session(42, "42")


async def test_a_cell_runs_in_a_session_with_a_hostile_name(interpreter: Interpreter) -> None:
    session = await interpreter.session("../u", "../日本")
    await session.execute("open('here', 'w').close()")
    assert (session.workspace / "here").exists()
    await session.stop()


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 201, "a\0"])
async def test_ids_that_cannot_be_are_refused(interpreter: Interpreter, name: str) -> None:
    with pytest.raises(UsageError, match="user id"):
        await interpreter.session(name)
    with pytest.raises(UsageError, match="session id"):
        await interpreter.session("ada", name)


async def test_an_unknown_session_is_refused_with_those_that_there_are(interpreter: Interpreter, session: Session) -> None:
    with pytest.raises(UnknownSessionError, match=session.session_id):
        await interpreter.session(session.user_id, "nowhere", create=False)
    with pytest.raises(UnknownSessionError, match="none yet"):
        await interpreter.session("nobody", "nowhere", create=False)
    assert not (interpreter.settings.data_dir / "sessions" / "nobody").exists()


# States.


async def state_of(interpreter: Interpreter, session: Session) -> str:
    (info,) = [info for info in await interpreter.sessions() if info.user_id == session.user_id]
    assert (info.kernel_pid is None) == (info.connection_file is None) == (info.state in ("dead", "starting"))
    return info.state


async def test_the_states_of_a_session_as_two_services_see_them(interpreter: Interpreter, session: Session) -> None:
    async with open_interpreter(interpreter.settings) as other:
        services = (interpreter, other)
        assert [await state_of(service, session) for service in services] == ["dead", "dead"]
        starting = asyncio.create_task(session.warm_up())
        seen = set()
        while not starting.done():
            seen |= {await state_of(service, session) for service in services}
        await starting
        assert "starting" in seen
        assert [await state_of(service, session) for service in services] == ["idle", "idle"]
        task = await begun(session)
        assert [await state_of(service, session) for service in services] == ["busy", "busy"]
        await session.interrupt()
        await task
        assert [await state_of(service, session) for service in services] == ["idle", "idle"]
        await session.stop()
        assert [await state_of(service, session) for service in services] == ["dead", "dead"]


async def test_the_status_counts_sessions_and_kernels(interpreter: Interpreter, session: Session) -> None:
    before = await interpreter.status()
    await session.execute("1")
    after = await interpreter.status()
    assert after["kernels"] == before["kernels"] + 1
    assert after["sessions_by_state"]["idle"] == before["sessions_by_state"].get("idle", 0) + 1


async def test_a_session_whose_working_folder_was_deleted_gets_a_new_one(session: Session) -> None:
    await session.execute("1")
    await session.stop()
    shutil.rmtree(session.workspace)
    assert (await session.execute("open('here', 'w').close()")).ok
    assert (session.workspace / "here").exists()
