"""Another Jupyter client on a session's kernel, and what it runs in the session's history."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.asynchronous import AsyncKernelClient

from kernel_manager import Session, SessionWaiting, Settings, StorageError
from kernel_manager.execution.events import CellFinished
from kernel_manager.sessions.history import History
from tests.integration.support import PATIENCE, driver, kernel_pid, lives, until, value


@contextlib.asynccontextmanager
async def client(connection_file: Path) -> AsyncIterator[AsyncKernelClient]:
    """A Jupyter client as another application would use it."""
    connected = AsyncKernelClient(connection_file=str(connection_file))
    connected.load_connection_file()
    connected.start_channels()
    try:
        await connected.wait_for_ready(timeout=PATIENCE)
        yield connected
    finally:
        connected.stop_channels()


async def run(connected: AsyncKernelClient, code: str, **options: Any) -> dict[str, Any]:
    """Run code as the other application does; return the reply's content."""
    reply = await connected.execute_interactive(code, output_hook=lambda _message: None, timeout=PATIENCE, **options)
    content: dict[str, Any] = reply["content"]
    return content


async def recorded(session: Session, count: int) -> None:
    """Wait until that many cells are in the history with their ends."""
    await until(lambda: sum(cell.finished_at is not None for cell in session.read_history().cells) == count)


async def test_cells_of_another_client_are_in_the_history(session: Session) -> None:
    await session.execute("x = 41")
    async with session.recording() as connection_file, client(connection_file) as other:
        await run(other, "print('there'); x + 1")
        await run(other, "1 / 0")
        await recorded(session, 3)
    ours, theirs, failed = session.read_history().cells
    assert [cell.source for cell in (ours, theirs, failed)] == ["run", "attach", "attach"]
    assert (theirs.code, theirs.status, theirs.execution_count) == ("print('there'); x + 1", "ok", 2)
    assert [output["output_type"] for output in theirs.outputs] == ["stream", "execute_result"]
    assert (failed.status, failed.cause) == ("error", "ZeroDivisionError: division by zero")


async def test_what_is_silent_is_not_recorded(session: Session) -> None:
    async with session.recording() as connection_file, client(connection_file) as other:
        await run(other, "1", silent=True)
        await run(other, "2")
        await recorded(session, 1)
    assert [cell.code for cell in session.read_history().cells] == ["2"]


async def test_leaving_does_not_end_the_kernel(session: Session) -> None:
    async with session.recording() as connection_file, client(connection_file) as other:
        await run(other, "x = 41")
        await recorded(session, 1)
        pid = await kernel_pid(session)
    assert lives(pid)
    assert value(await session.execute("x + 1")) == "42"
    assert await kernel_pid(session) == pid


async def test_a_cell_waits_until_the_other_client_has_left(session: Session, settings: Settings) -> None:
    code = f"""
        session = await interpreter.session({session.user_id!r}, {session.session_id!r})
        async with session.recording() as connection_file:
            say(connection_file)
            while not Path("leave").exists():
                await asyncio.sleep(.01)
    """
    async with driver(settings, code) as holder:
        async with client(Path(await holder.line())) as other:
            cell = session.run("y + 1")
            assert await anext(cell) == SessionWaiting(holder.pid)
            assert (await session.info()).state == "busy"
            await run(other, "y = 1")
        Path("leave").touch()
        *_, last = [event async for event in cell]
        assert isinstance(last, CellFinished)
        assert value(last.result) == "2"


async def test_an_interrupt_reaches_the_other_clients_cell(session: Session) -> None:
    async with session.recording() as connection_file, client(connection_file) as other:
        running = asyncio.create_task(run(other, "open('begun', 'w').close()\nwhile True: pass"))
        await until((session.workspace / "begun").exists)
        await session.interrupt()
        assert (await running)["ename"] == "KeyboardInterrupt"
        await recorded(session, 1)
    assert session.read_history().cells[0].status == "interrupted"


async def test_a_cell_that_still_runs_when_the_other_client_leaves_is_recorded_by_the_next(session: Session) -> None:
    go = session.workspace / "go"
    async with session.recording() as connection_file, client(connection_file) as other:
        other.execute("import pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(.01)\n6 * 7")
        await until(lambda: session.read_history().cells)
    go.touch()
    assert value(await session.execute("1")) == "1"
    cell = session.read_history().cells[0]
    assert (cell.source, cell.status, cell.outputs[0]["data"]["text/plain"]) == ("attach", "ok", "42")


async def test_a_kernel_that_the_other_client_ends(session: Session) -> None:
    async with session.recording() as connection_file, client(connection_file) as other:
        await run(other, "x = 1")
        other.execute("import os; os._exit(4)")
        await until(lambda: not session.has_kernel)
    died = session.read_history().cells[-1]
    assert (died.status, died.state_lost) == ("died", True)
    assert value(await session.execute("'x' in globals()")) == "False"


async def test_stop_ends_the_kernel_under_the_other_client(session: Session) -> None:
    async with session.recording() as connection_file, client(connection_file) as other:
        await run(other, "x = 1")
        pid = await kernel_pid(session)
        stopping = asyncio.create_task(session.stop())
        await until(lambda: not lives(pid))
    await stopping
    assert (await session.info()).state == "dead"


async def test_what_cannot_be_recorded_is_said_at_the_end(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    append = History.append
    full = True

    def failing(self: History, record: Any, durable: bool = False) -> None:
        if full and getattr(record, "source", "") == "attach":
            raise StorageError("The disk is full: free some space.")
        append(self, record, durable)

    async def attach() -> None:
        nonlocal full
        async with session.recording() as connection_file, client(connection_file) as other:
            monkeypatch.setattr(History, "append", failing)
            await run(other, "1")
            full = False
            await run(other, "2")
            await recorded(session, 1)

    with pytest.raises(StorageError, match="disk is full"):
        await attach()
    assert [cell.code for cell in session.read_history().cells] == ["2"]
    assert value(await session.execute("3")) == "3"


async def test_the_connection_file_is_for_its_owner_only(session: Session) -> None:
    async with session.recording() as connection_file:
        assert connection_file.stat().st_mode & 0o777 == 0o600
        assert json.loads(connection_file.read_text())["transport"] == "ipc"
