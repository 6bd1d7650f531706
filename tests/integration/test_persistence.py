"""Sessions across service processes: kernels outlive them, and so does what their cells were doing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kernel_manager import Interpreter, Session, SessionWaiting, Settings, open_interpreter
from kernel_manager.execution.events import CellFinished
from kernel_manager.provisioning.live_kernel import LiveKernel
from kernel_manager.provisioning.runtime import Runtime
from kernel_manager.sessions.history import Cell
from tests.integration.conftest import OwnSettings
from tests.integration.support import (
    PATIENCE,
    Driver,
    driver,
    kernel_folders,
    kernel_pid,
    lives,
    parent,
    run_driver,
    until,
    value,
)


@contextlib.asynccontextmanager
async def cell_of_another_process(session: Session, settings: Settings, code: str, timeout: float = 60) -> AsyncIterator[Driver]:
    """Another process runs ``code``, which has said something when this begins."""
    drive = f"""
        session = await interpreter.session({session.user_id!r}, {session.session_id!r})
        async for event in session.run({code!r}, timeout={timeout}):
            if isinstance(event, OutputAdded):
                say("running")
        say("over")
    """
    async with driver(settings, drive) as other:
        assert await other.line() == "running"
        yield other


def waits_for(path: Path) -> str:
    """Code that says so and waits until there is a file."""
    return f"import pathlib, time\nprint('waiting', flush=True)\nwhile not pathlib.Path({path.name!r}).exists(): time.sleep(.01)"


def last_cell(session: Session) -> Cell:
    return session.read_history().cells[-1]


async def not_armed(session: Session, settings: Settings) -> None:
    """Wait until no cell's clock runs in the session's kernel; its kernel must live on."""
    kernel_id = last_cell(session).kernel_id
    (folder,) = [folder for folder in kernel_folders(settings) if folder.kernel_id == kernel_id]
    async with asyncio.timeout(PATIENCE):
        while True:
            kernel = await LiveKernel.attach(folder)
            assert kernel is not None, "the kernel has ended"
            await kernel.aclose()
            if not kernel.was_running:
                return
            await asyncio.sleep(0.01)


# One after the other.


async def test_variables_survive_the_service(settings: Settings) -> None:
    first = await run_driver(settings, "say((await (await interpreter.session('p')).execute('x = 41')).status)")
    then = await run_driver(settings, "session = await interpreter.session('p'); say(value(await session.execute('x + 1')))")
    async with open_interpreter(settings) as interpreter:
        await (await interpreter.session("p")).stop()
    assert first + then == ["ok", "42"]


@pytest.mark.slow
async def test_neither_kernel_nor_zygote_keeps_what_the_service_had_open(own_settings_of: OwnSettings) -> None:
    settings = own_settings_of()  # with a zygote that this process started
    read, write = os.pipe()
    try:
        os.set_inheritable(write, True)
        code = "session = await interpreter.session('p'); await session.execute('1'); say((await session.info()).kernel_pid)"
        (said,) = await run_driver(settings, code)  # ends only when nobody holds its standard output any more
    finally:
        os.close(write)
        os.close(read)
    pid = int(said)
    assert lives(pid)
    # an init keeps itself from being looked at; only root can all the same
    for process in (pid, parent(pid), parent(parent(pid))) if os.geteuid() == 0 else (pid, parent(parent(pid))):
        targets = [str(entry.readlink()) for entry in Path(f"/proc/{process}/fd").iterdir() if entry.is_symlink()]
        environment = str(settings.environments_path)  # Matplotlib keeps the fonts open that it has drawn with
        own = (
            str(settings.runtime_path),
            environment,
            "/dev/null",
            "socket:",
            "pipe:",
            "anon_inode:",
            "/tmp/",
            "/memfd",
            "/proc",
            "/sys/fs/cgroup",
        )
        assert [target for target in targets if not target.startswith(own)] == []
        workspace = settings.data_dir / "sessions" / "p" / "default" / "workspace"
        assert Path(f"/proc/{process}/cwd").readlink() in (Path("/"), Path("/workspace"), workspace)


# Two at once.


async def test_a_second_process_waits_and_is_told_for_whom(session: Session, settings: Settings) -> None:
    go = session.workspace / "go"
    async with cell_of_another_process(session, settings, waits_for(go)) as other:
        events = session.run("'second'")
        waiting = await anext(events)
        assert waiting == SessionWaiting(other.pid)
        go.touch()
        *_, last = [event async for event in events]
        assert isinstance(last, CellFinished)
        assert value(last.result) == "'second'"
        assert await other.line() == "over"
    cells = session.read_history().cells
    assert ["waiting" in cells[0].code, cells[1].code] == [True, "'second'"]
    assert [(cell.status, cell.execution_count) for cell in cells] == [("ok", 1), ("ok", 2)]
    assert cells[0].finished_at is not None
    assert cells[0].finished_at <= cells[1].started_at


async def test_a_process_that_runs_cell_after_cell_lets_others_in(session: Session, settings: Settings) -> None:
    drive = f"""
        session = await interpreter.session({session.user_id!r}, {session.session_id!r})
        await session.execute("count = 0")
        say("running")
        while value(await session.execute("count += 1; 'stop' in globals()")) == "False":
            pass
        say("over")
    """
    async with driver(settings, drive) as other:
        assert await other.line() == "running"
        assert (await session.execute("stop = True")).ok
        assert await other.line() == "over"


async def test_a_restart_in_one_process_is_the_others_kernel_too(session: Session, settings: Settings) -> None:
    await session.execute("x = 1")
    old = await kernel_pid(session)
    restart = f"""
        session = await interpreter.session({session.user_id!r}, {session.session_id!r})
        await session.restart()
        await session.execute("y = 2")
        say((await session.info()).kernel_pid)
    """
    (new,) = await run_driver(settings, restart)
    result = await session.execute("y, 'x' in globals()")
    assert (value(result), result.state_lost) == ("(2, False)", False)
    assert await kernel_pid(session) == int(new) != old
    kernels = {cell.kernel_id for cell in session.read_history().cells}
    assert len(kernels) == 2
    assert len(kernels & {folder.kernel_id for folder in kernel_folders(settings)}) == 1


# Killed.


async def test_a_kill_in_the_middle_of_a_cell_loses_neither_variables_nor_outputs(session: Session, settings: Settings) -> None:
    await run_driver(
        settings, f"await (await interpreter.session({session.user_id!r}, {session.session_id!r})).execute('x = 41')"
    )
    go = session.workspace / "go"
    code = f"{waits_for(go)}\nprint('late'); 6 * 7"
    async with cell_of_another_process(session, settings, code) as other:
        await other.kill()
    assert (await session.info()).state == "busy"
    events = session.run("x + 1")
    assert await anext(events) == SessionWaiting(None)
    go.touch()
    *_, last = [event async for event in events]
    assert isinstance(last, CellFinished)
    assert (value(last.result), last.result.state_lost, last.result.execution_count) == ("42", False, 3)
    killed = session.read_history().cells[1]
    assert (killed.status, killed.execution_count, killed.code) == ("ok", 2, code)
    assert killed.outputs[0]["text"] == "waiting\nlate\n"
    assert killed.outputs[1]["data"]["text/plain"] == "42"


async def test_a_killed_services_cell_that_ended_before_anybody_came_back(session: Session, settings: Settings) -> None:
    code = "print('running', flush=True)\nimport time\ntime.sleep(.3)\nopen('done', 'w').close()\n1 / 0"
    async with cell_of_another_process(session, settings, code) as other:
        await other.kill()
    await until((session.workspace / "done").exists)
    assert value(await session.execute("'still here'")) == "'still here'"
    killed = session.read_history().cells[0]
    assert (killed.status, killed.cause) == ("error", "ZeroDivisionError: division by zero")
    assert [output["output_type"] for output in killed.outputs] == ["stream", "error"]


async def test_a_killed_services_cell_whose_kernel_died_meanwhile(session: Session, settings: Settings) -> None:
    code = "import os, time\nprint('running', flush=True)\ntime.sleep(.3)\nprint('last words', flush=True)\nos._exit(3)"
    async with cell_of_another_process(session, settings, code) as other:
        pid = await kernel_pid(session)
        await other.kill()
    await until(lambda: not lives(pid))
    result = await session.execute("1")
    assert (value(result), result.state_lost) == ("1", True)
    killed = session.read_history().cells[0]
    assert (killed.status, killed.state_lost) == ("died", True)
    assert killed.cause is not None
    assert "exit code 3" in killed.cause
    assert killed.outputs[0]["text"] == "running\nlast words\n"


async def test_a_killed_services_cell_that_ended_well_although_its_kernel_ended_later(
    session: Session, settings: Settings
) -> None:
    code = "print('running', flush=True)\nimport time\ntime.sleep(.3)\nopen('done', 'w').close()\n6 * 7"
    async with cell_of_another_process(session, settings, code) as other:
        pid = await kernel_pid(session)
        await other.kill()
    (folder,) = [folder for folder in kernel_folders(settings) if folder.kernel_id == last_cell(session).kernel_id]
    await until(lambda: b'"idle"' in folder.spool.read_bytes())
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not lives(pid))
    result = await session.execute("1")
    assert (value(result), result.state_lost) == ("1", True)
    killed = session.read_history().cells[0]
    assert (killed.status, killed.execution_count) == ("ok", 1)
    assert killed.outputs[-1]["data"]["text/plain"] == "42"


async def test_the_deadline_of_a_killed_services_cell_holds(session: Session, settings: Settings) -> None:
    await session.execute("x = 41")
    code = (
        "import time\nprint('running', flush=True)\n"
        "try:\n    while True: time.sleep(.01)\n"
        "except KeyboardInterrupt:\n    open('interrupted', 'w').close()\n    raise"
    )
    async with cell_of_another_process(session, settings, code, timeout=1) as other:
        await other.kill()
    await until((session.workspace / "interrupted").exists)
    assert value(await session.execute("x + 1")) == "42"
    killed = session.read_history().cells[1]
    assert killed.status == "timeout"
    assert killed.cause is not None
    assert "longer than 1 s" in killed.cause


async def test_the_deadline_ends_a_kernel_that_ignores_interrupts_with_no_service_there(
    session: Session, settings: Settings
) -> None:
    code = (
        "import time\nprint('running', flush=True)\n"
        "while True:\n    try:\n        while True: time.sleep(.01)\n    except KeyboardInterrupt: pass"
    )
    async with cell_of_another_process(session, settings, code, timeout=0.5) as other:
        pid = await kernel_pid(session)
        await other.kill()
    await until(lambda: not lives(pid))
    result = await session.execute("1")
    assert (value(result), result.state_lost) == ("1", True)
    killed = session.read_history().cells[0]
    assert (killed.status, killed.state_lost) == ("timeout", True), killed.cause


async def test_a_finished_cells_deadline_does_not_end_the_kernel(session: Session, settings: Settings) -> None:
    code = "x = 41\nprint('running', flush=True)\nimport time\ntime.sleep(.1)\nopen('done', 'w').close()"
    async with cell_of_another_process(session, settings, code, timeout=0.5) as other:
        pid = await kernel_pid(session)
        await other.kill()
    await until((session.workspace / "done").exists)
    await not_armed(session, settings)
    assert lives(pid)
    assert value(await session.execute("x + 1")) == "42"
    assert session.read_history().cells[0].status == "ok"


async def test_the_old_deadline_is_gone_after_the_recovery(session: Session, settings: Settings) -> None:
    go = session.workspace / "go"
    async with cell_of_another_process(session, settings, waits_for(go), timeout=2) as other:
        await other.kill()
    recovering = asyncio.create_task(session.warm_up())
    go.touch()
    await recovering
    assert last_cell(session).status == "ok"
    async with asyncio.timeout(0.5):
        await not_armed(session, settings)


async def test_a_recovered_cell_can_be_interrupted(session: Session, settings: Settings) -> None:
    async with cell_of_another_process(session, settings, "print('running', flush=True)\nwhile True: pass") as other:
        await other.kill()
    task = asyncio.create_task(session.execute("1"))
    await until(lambda: session.has_kernel)
    await session.interrupt()
    assert value(await task) == "1"
    assert session.read_history().cells[0].status == "interrupted"


async def test_a_killed_services_cell_that_waits_for_an_answer_gets_the_end_of_input(
    session: Session, settings: Settings
) -> None:
    code = "print('running', flush=True)\ninput('name? ')"
    async with cell_of_another_process(session, settings, code) as other:
        await not_armed(session, settings)
        await other.kill()
    result = await session.execute("1")
    assert (value(result), result.state_lost) == ("1", False)
    killed = session.read_history().cells[0]
    assert killed.status == "error"
    assert killed.cause is not None
    assert killed.cause.startswith("EOFError")


async def test_stop_finishes_the_record_of_a_killed_services_cell(session: Session, settings: Settings) -> None:
    async with cell_of_another_process(session, settings, "print('running', flush=True)\nwhile True: pass") as other:
        await other.kill()
    await session.stop()
    (cell,) = session.read_history().cells
    assert (cell.status, cell.outputs[0]["text"]) == ("interrupted", "running\n")
    assert cell.kernel_id not in [folder.kernel_id for folder in kernel_folders(settings)]


KILLED_AT = """
    import os, signal
    from kernel_manager.{module} import {name}
    def die(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGKILL)
    session = await interpreter.session({user!r}, {session!r})
    await session.execute("x = 41")
    {name}.{method} = die
    await session.execute("x = 0")
"""


@pytest.mark.parametrize(
    ("module", "name", "method", "status"),
    [
        ("execution.runner", "CellRun", "send", "interrupted"),
        ("sessions.cell_log", "CellLog", "ended", "ok"),
        ("sessions.cell_log", "CellLog", "began", None),
    ],
    ids=["between recording and sending", "between the end and its record", "before recording"],
)
async def test_a_kill_at_a_bad_moment(
    session: Session, settings: Settings, module: str, name: str, method: str, status: str | None
) -> None:
    code = KILLED_AT.format(module=module, name=name, method=method, user=session.user_id, session=session.session_id)
    async with driver(settings, code) as other:
        assert await other.end() == -signal.SIGKILL
    result = await session.execute("x + 1")
    assert value(result) == ("1" if status == "ok" else "42")
    assert not result.state_lost
    cells = session.read_history().cells
    assert [cell.status for cell in cells[1:-1]] == ([status] if status else [])
    if status == "interrupted":
        assert cells[1].cause is not None
        assert "did not run" in cells[1].cause


async def test_a_kill_between_the_record_of_the_end_and_its_note_records_it_once(session: Session, settings: Settings) -> None:
    code = KILLED_AT.replace(
        "{name}.{method} = die", "log.note = lambda self, cell, note=log.note: note(self, cell) if cell else die()"
    )
    code = code.replace(
        "from kernel_manager.{module} import {name}", "from kernel_manager.sessions.lock import SessionLock as log"
    )
    code = code.replace("def die", "sign = log._sign; log._sign = lambda self: None\n    def die")
    async with driver(settings, code.format(user=session.user_id, session=session.session_id)) as other:
        assert await other.end() == -signal.SIGKILL
    assert value(await session.execute("x + 1")) == "1"
    lines = (session.folder / "history.jsonl").read_text().splitlines()
    finished = [json.loads(line)["cell_id"] for line in lines if json.loads(line)["type"] == "cell_finished"]
    assert len(finished) == len(set(finished)) == 3


async def test_a_kernel_whose_starter_was_killed_is_found_again(session: Session, settings: Settings) -> None:
    code = f"""
        import os, signal
        from kernel_manager.execution.channels import Channels
        Channels.open = lambda self, *_: os.kill(os.getpid(), signal.SIGKILL)
        await (await interpreter.session({session.user_id!r}, {session.session_id!r})).execute("1")
    """
    before = {folder.kernel_id for folder in kernel_folders(settings)}
    async with driver(settings, code) as other:
        assert await other.end() == -signal.SIGKILL
    (left,) = {folder.kernel_id for folder in kernel_folders(settings)} - before
    result = await session.execute("1")
    assert (value(result), result.state_lost) == ("1", False)
    assert last_cell(session).kernel_id == left


# Left alone.


async def idle_end(session: Session, settings: Settings, code: str) -> Path:
    """Have another process run a cell and end as ``code`` says; return the kernel's folder when the kernel has ended."""
    drive = f"""
        session = await interpreter.session({session.user_id!r}, {session.session_id!r})
        await session.execute("x = 1")
        say((await session.info()).kernel_pid)
        {code}
    """
    async with driver(settings.model_copy(update={"kernel_idle_timeout": 0.5}), drive) as other:
        pid = int(await other.line())
        folder = Runtime(settings.runtime_path).folder(last_cell(session).kernel_id)
        await other.end()
    await until(lambda: not lives(pid))
    return folder.path


@pytest.mark.parametrize("end", ["pass", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"], ids=["closed", "killed"])
async def test_an_idle_kernel_ends_by_itself_with_no_service_there(session: Session, settings: Settings, end: str) -> None:
    folder = await idle_end(session, settings, end)
    result = await session.execute("'x' in globals()")
    assert (value(result), result.state_lost) == ("False", True)
    assert result.cause is not None
    assert "nothing had run in it for too long" in result.cause
    assert not (await session.execute("1")).state_lost
    assert not folder.exists()


async def test_what_a_kernel_leaves_that_ended_alone_is_removed_by_the_next_service(session: Session, settings: Settings) -> None:
    folder = await idle_end(session, settings, "pass")
    async with open_interpreter(settings.model_copy(update={"kernel_idle_timeout": 2})):
        await until(lambda: not folder.exists())
    result = await session.execute("1")
    assert result.state_lost
    assert result.cause is not None
    assert "too long" in result.cause


@pytest.mark.slow
async def test_the_zygote_ends_when_it_has_nothing_to_keep(own_settings_of: OwnSettings) -> None:
    settings = own_settings_of(zygote_idle_timeout=0.2)
    code = "session = await interpreter.session('p'); await session.execute('1'); say((await session.info()).kernel_pid)"
    (pid,) = await run_driver(settings, code)
    zygote = parent(parent(int(pid)))
    assert lives(zygote)
    async with open_interpreter(settings) as interpreter:
        await (await interpreter.session("p")).stop()
    await until(lambda: not lives(zygote))


@pytest.mark.slow
async def test_stop_all_ends_everything(own_settings_of: OwnSettings) -> None:
    settings = own_settings_of()
    code = """
        for user in ("one", "two"):
            session = await interpreter.session(user)
            await session.execute("1")
            say((await session.info()).kernel_pid)
    """
    pids = [int(pid) for pid in await run_driver(settings, code)]
    async with open_interpreter(settings) as interpreter:
        mine = await interpreter.session("three")
        await mine.execute("1")
        pids.append(await kernel_pid(mine))
        inits = [parent(pid) for pid in pids]
        zygote = parent(inits[0])
        assert await interpreter.stop_all() == 3
        assert not any(map(lives, pids))
        assert not kernel_folders(settings)
        await until(lambda: not any(map(lives, [*inits, zygote])))
        assert await interpreter.stop_all() == 0
        result = await mine.execute("1")
        assert (value(result), result.state_lost) == ("1", False)
        await interpreter.stop_all()


async def test_stop_all_ends_cells_that_run_in_other_processes(
    session: Session, settings: Settings, interpreter: Interpreter
) -> None:
    async with cell_of_another_process(session, settings, "print('running', flush=True)\nwhile True: pass") as other:
        assert await interpreter.stop_all() == 1
        assert await other.line() == "over"
        assert await other.end() == 0
    cell = last_cell(session)
    assert (cell.status, cell.state_lost) == ("interrupted", True)
