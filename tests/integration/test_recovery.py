"""Kernels and supervisors that die, and sessions that go on."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket

import pytest

from kernel_manager import CellFinished, OutputAdded, Session, Settings, open_interpreter
from kernel_manager.execution.result import ExecutionResult
from tests.integration.conftest import OwnSettings
from tests.integration.support import kernel_pid, lives, parent, printed, until, value


async def killed_while_running(session: Session, pid: int) -> ExecutionResult:
    """Run an endless cell and kill a process when it has begun; return what becomes of it."""
    async for event in session.run("print('begun', flush=True)\nwhile True: pass"):
        if isinstance(event, OutputAdded):
            os.kill(pid, signal.SIGKILL)
        elif isinstance(event, CellFinished):
            return event.result
    raise AssertionError("no end")


async def test_a_killed_kernels_cell_says_so_and_claims_nothing(session: Session) -> None:
    await session.warm_up()
    result = await killed_while_running(session, await kernel_pid(session))
    assert (result.status, result.state_lost, printed(result)) == ("died", True, "begun\n")
    assert result.cause is not None
    assert "SIGKILL" in result.cause
    assert "not proven" in result.cause
    (cell,) = session.read_history().cells
    assert (cell.status, cell.cause, cell.state_lost) == ("died", result.cause, True)
    again = await session.execute("1")
    assert (value(again), again.state_lost, again.cause) == ("1", False, None)


async def test_a_kernel_dies_with_its_supervisor_and_the_session_goes_on(session: Session) -> None:
    await session.warm_up()
    pid = await kernel_pid(session)
    result = await killed_while_running(session, parent(pid))
    assert (result.status, result.state_lost, printed(result)) == ("died", True, "begun\n")
    assert result.cause is not None
    await until(lambda: not lives(pid))
    assert value(await session.execute("1")) == "1"


@pytest.mark.parametrize("victim", ["kernel", "supervisor"])
async def test_a_kernel_killed_while_idle_is_told_with_the_next_cell_once(session: Session, victim: str) -> None:
    await session.execute("x = 1")
    pid = await kernel_pid(session)
    os.kill(pid if victim == "kernel" else parent(pid), signal.SIGKILL)
    await until(lambda: not lives(pid))
    result = await session.execute("'x' in globals()")
    assert (value(result), result.status, result.state_lost, result.execution_count) == ("False", "ok", True, 1)
    assert result.cause is not None
    assert result.cause.startswith("this cell ran in a fresh kernel")
    again = await session.execute("1")
    assert (again.state_lost, again.cause) == (False, None)


async def test_a_loss_is_told_even_if_another_service_starts_the_fresh_kernel(session: Session, settings: Settings) -> None:
    await session.execute("x = 1")
    os.kill(await kernel_pid(session), signal.SIGKILL)
    await until(lambda: not session.has_kernel)
    async with open_interpreter(settings) as interpreter:
        await (await interpreter.session(session.user_id, session.session_id)).warm_up()
    assert (await session.execute("1")).state_lost
    async with open_interpreter(settings) as interpreter:
        other = await interpreter.session(session.user_id, session.session_id)
        assert not (await other.execute("1")).state_lost


async def test_a_kernel_in_which_nothing_ran_is_no_loss(session: Session) -> None:
    await session.warm_up()
    os.kill(await kernel_pid(session), signal.SIGKILL)
    await until(lambda: not session.has_kernel)
    result = await session.execute("1")
    assert (result.state_lost, result.cause) == (False, None)


@pytest.mark.slow
async def test_a_machine_that_was_restarted(own_settings_of: OwnSettings) -> None:
    settings = own_settings_of()
    async with open_interpreter(settings) as interpreter:
        session = await interpreter.session("ada")
        await session.execute("x = 1")
        init = parent(await kernel_pid(session))
    for pid in (parent(init), init):
        os.kill(pid, signal.SIGKILL)
    await until(lambda: not lives(init))
    shutil.rmtree(settings.runtime_path)
    async with open_interpreter(settings) as interpreter:
        session = await interpreter.session("ada")
        assert (await session.info()).state == "dead"
        result = await session.execute("'x' in globals()")
        assert (value(result), result.state_lost) == ("False", True)
        assert result.cause is not None
        assert "runtime folder was reset" in result.cause


async def test_cells_that_wait_behind_a_dying_one_run_in_the_fresh_kernel(session: Session) -> None:
    dying = asyncio.create_task(session.execute("import os; os._exit(1)"))
    waiting = asyncio.create_task(session.execute("6 * 7"))
    assert (await dying).status == "died"
    result = await waiting
    assert (value(result), result.execution_count, result.state_lost) == ("42", 1, False)


async def test_the_record_of_a_kernel_that_cannot_be_read_is_as_good_as_none(session: Session) -> None:
    (session.folder / "kernel.json").write_text("{not json")
    assert value(await session.execute("1")) == "1"


async def test_a_note_that_cannot_be_read_is_as_good_as_none(session: Session) -> None:
    (session.folder / "lock").write_text('{"pid": "x", "cell": {"strange": 1}}')
    assert value(await session.execute("1")) == "1"


async def test_a_kernel_that_may_more_than_the_settings_allow_now_is_replaced_and_the_loss_is_said(settings: Settings) -> None:
    """The operator shut the network, or the jail: what began before must not go on outside."""
    names = "import socket\n[name for _, name in socket.if_nameindex()]"
    async with open_interpreter(settings.model_copy(update={"kernel_network": True})) as interpreter:
        session = await interpreter.session("changed")
        await session.execute("x = 1")
        assert value(await session.execute(names)) == str([name for _, name in socket.if_nameindex()])
        pid = await kernel_pid(session)
    async with open_interpreter(settings) as interpreter:
        session = await interpreter.session("changed")
        result = await session.execute(names)
        assert (value(result), result.state_lost) == ("['lo']", True)
        assert result.cause is not None
        assert "KERNEL_NETWORK" in result.cause
        assert not lives(pid)
        await session.execute("x = 2")
    async with open_interpreter(settings.model_copy(update={"kernel_network": True})) as interpreter:
        session = await interpreter.session("changed")
        assert value(await session.execute("x")) == "2"  # what may less than is allowed stays
        await session.stop()
