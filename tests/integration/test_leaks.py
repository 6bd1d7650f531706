"""What a service holds: nothing grows with the sessions that it has seen."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from pathlib import Path

import pytest

from kernel_manager import Interpreter, Session, Settings, open_interpreter
from tests.integration.support import kernel_pid, until, value


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


async def settled(count: int) -> None:
    """Wait until no more than that many descriptors are open; sockets close in a thread of their own."""
    await until(lambda: descriptors() <= count)


@pytest.mark.slow
async def test_opening_and_closing_leaves_nothing(settings: Settings) -> None:
    async def use(number: int) -> None:
        async with open_interpreter(settings) as interpreter:
            session = await interpreter.session("ada")
            assert value(await session.execute(f"{number}")) == str(number)

    await use(0)
    before, running, tasks = descriptors(), threads(), len(asyncio.all_tasks())
    for number in range(200):
        await use(number)
    await settled(before)
    assert threads() <= running
    assert len(asyncio.all_tasks()) == tasks
    async with open_interpreter(settings) as interpreter:
        session = await interpreter.session("ada")
        assert (await session.execute("1")).execution_count == 202
        await session.stop()


async def test_sessions_that_are_looked_at_are_forgotten(interpreter: Interpreter) -> None:
    manager = interpreter._manager
    before = descriptors()
    for number in range(200):
        await interpreter.session("many", str(number))
    assert len(await interpreter.sessions()) >= 200
    await settled(before)
    await manager.cull()
    gc.collect()
    assert [key for key in manager._sessions if key[0] == "many"] == []


async def test_a_session_that_somebody_refers_to_stays_the_same(interpreter: Interpreter) -> None:
    session = await interpreter.session("kept")
    await interpreter._manager.cull()
    assert await interpreter.session("kept") is session


async def test_a_session_with_a_kernel_is_kept(interpreter: Interpreter) -> None:
    session = await interpreter.session("living")
    await session.execute("1")
    number = id(session)
    del session
    await interpreter._manager.cull()
    gc.collect()
    session = await interpreter.session("living")
    assert id(session) == number
    assert session.has_kernel
    await session.stop()


async def test_a_kernel_that_ended_holds_nothing_open(session: Session) -> None:
    await session.warm_up()
    await session.stop()
    before, tasks = descriptors(), len(asyncio.all_tasks())
    for _ in range(3):
        await session.execute("1")
        os.kill(await kernel_pid(session), signal.SIGKILL)
        await session.tidy()
        await until(lambda: not session.has_kernel)
        await session.tidy()
    await settled(before)
    assert len(asyncio.all_tasks()) == tasks


async def test_cells_leave_no_tasks_or_listeners(session: Session) -> None:
    await session.execute("1")
    tasks = len(asyncio.all_tasks())
    for _ in range(20):
        async for _event in session.run("print(1)"):
            pass
        await session.execute("1/0")
    _, channels = session._kernel.connection()
    assert channels._listeners == {}
    assert len(asyncio.all_tasks()) == tasks
    assert not session._cells
