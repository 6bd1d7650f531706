"""How many kernels may live, and which of them has to go."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kernel_manager import Interpreter, LimitError, Session, Settings, open_interpreter
from kernel_manager.execution.result import ExecutionResult
from tests.integration.support import driver, kernel_folders, kernel_pid, lives, parent, run_driver, until, value

_houses = itertools.count(1)


class House:
    """An interpreter with limits, and users that no other test has. Names are ``user`` or ``user/session``."""

    def __init__(self, interpreter: Interpreter) -> None:
        self.interpreter = interpreter
        self._prefix = f"house{next(_houses)}-"

    def user(self, name: str) -> str:
        return self._prefix + name

    async def session(self, name: str) -> Session:
        user, _, session = name.partition("/")
        return await self.interpreter.session(self.user(user), session or "default")

    async def used(self, *names: str) -> list[Session]:
        """Sessions with kernels; the first was used longest ago."""
        sessions = []
        for number, name in enumerate(names):
            sessions.append(await self.session(name))
            await sessions[-1].execute("1")
            # the file system's clock may be too coarse to tell them apart
            os.utime(sessions[-1].folder / "lock", (number, number))
        return sessions

    async def states(self) -> dict[str, str]:
        infos = [info for info in await self.interpreter.sessions() if info.user_id.startswith(self._prefix)]
        names = {info: f"{info.user_id.removeprefix(self._prefix)}/{info.session_id}" for info in infos}
        return {name.removesuffix("/default"): info.state for info, name in names.items()}


@contextlib.asynccontextmanager
async def limited(settings: Settings, **limits: int) -> AsyncIterator[House]:
    """A house on the module's folders; no kernel lives before or after."""
    async with open_interpreter(settings.model_copy(update=limits)) as interpreter:
        yield House(interpreter)
        for info in await interpreter.sessions():
            if info.kernel_pid is not None:
                await (await interpreter.session(info.user_id, info.session_id)).stop()


@contextlib.asynccontextmanager
async def busy(session: Session) -> AsyncIterator[asyncio.Task[ExecutionResult]]:
    """The session runs a cell meanwhile."""
    mark = session.workspace / "busy"
    task = asyncio.create_task(session.execute("open('busy', 'w').close()\nimport time\nwhile True: time.sleep(.01)"))
    await until(mark.exists)
    mark.unlink()
    yield task
    await session.interrupt()
    assert (await task).status == "interrupted"


async def test_the_least_recently_used_idle_kernel_makes_room(settings: Settings) -> None:
    async with limited(settings, max_kernels=2) as house:
        one, _ = await house.used("one", "two")
        await house.used("three")
        assert await house.states() == {"one": "dead", "two": "idle", "three": "idle"}
        result = await one.execute("1")
        assert result.state_lost
        assert result.cause is not None
        assert "limit of live kernels" in result.cause


async def test_a_users_own_kernel_makes_room_for_that_user(settings: Settings) -> None:
    async with limited(settings, max_kernels_per_user=2) as house:
        await house.used("old", "ada/1", "ada/2", "ada/3")
        assert await house.states() == {"old": "idle", "ada/1": "dead", "ada/2": "idle", "ada/3": "idle"}


async def test_a_busy_kernel_never_makes_room(settings: Settings) -> None:
    async with limited(settings, max_kernels=2) as house:
        one, _ = await house.used("one", "two")
        async with busy(one) as cell:
            os.utime(one.folder / "lock", (0, 0))
            await house.used("three")
            assert await house.states() == {"one": "busy", "two": "dead", "three": "idle"}
            assert not cell.done()


async def test_when_all_are_busy_a_cell_is_refused_in_words_for_the_user(settings: Settings) -> None:
    async with limited(settings, max_kernels=2, max_kernels_per_user=1) as house:
        one, two = await house.used("one", "two")
        three, other = await house.session("three"), await house.session("one/other")
        async with busy(one), busy(two):
            with pytest.raises(LimitError, match=r"The service has as many kernels as it may have \(2\)"):
                await three.execute("1")
            with pytest.raises(LimitError, match=r"You have as many kernels as one user may have \(1\)"):
                await other.execute("1")
        assert value(await three.execute("1")) == "1"


async def test_many_new_sessions_at_once_stay_within_the_limit(settings: Settings) -> None:
    async with limited(settings, max_kernels=3) as house:
        most = 0
        sessions = [await house.session(f"user{number}") for number in range(8)]
        cells = asyncio.gather(*(session.execute("1") for session in sessions), return_exceptions=True)
        while not cells.done():
            most = max(most, sum(not folder.is_reported for folder in kernel_folders(settings)))
            await asyncio.sleep(0.001)
        results = await cells
        assert most <= 3
        assert all(isinstance(result, LimitError) or (isinstance(result, ExecutionResult) and result.ok) for result in results)
        assert sum(isinstance(result, ExecutionResult) for result in results) >= 3


async def test_the_limit_holds_across_processes(settings: Settings) -> None:
    async with limited(settings, max_kernels=2) as house:
        one, _ = await house.used("one", "two")
        pid = await kernel_pid(one)
        code = f"await (await interpreter.session({house.user('three')!r})).execute('1')"
        await run_driver(house.interpreter.settings, code)
        assert not lives(pid)
        assert await house.states() == {"one": "dead", "two": "idle", "three": "idle"}
        assert (await one.execute("1")).state_lost


RUNNING_ELSEWHERE = """
    async for event in (await interpreter.session({user!r})).run("print('running', flush=True)\\nwhile True: pass"):
        if isinstance(event, OutputAdded):
            say("running")
"""


async def test_a_kernel_that_is_busy_for_another_process_never_makes_room(settings: Settings) -> None:
    async with limited(settings, max_kernels=1) as house:
        one, two = await house.session("one"), await house.session("two")
        async with driver(house.interpreter.settings, RUNNING_ELSEWHERE.format(user=one.user_id)) as other:
            assert await other.line() == "running"
            with pytest.raises(LimitError):
                await two.execute("1")
            await other.kill()
            # its cell still runs
            with pytest.raises(LimitError):
                await two.execute("1")
        await one.interrupt()
        await one.warm_up()
        assert (await two.execute("1")).ok


async def test_dead_kernels_do_not_count(settings: Settings) -> None:
    async with limited(settings, max_kernels=1) as house:
        (one,) = await house.used("one")
        init = parent(await kernel_pid(one))
        os.kill(init, signal.SIGKILL)
        await until(lambda: not lives(init))
        await house.used("two")


async def test_a_kernel_whose_session_was_deleted_makes_room(settings: Settings, tmp_path: Path) -> None:
    async with limited(settings, max_kernels=1) as house:
        (one,) = await house.used("one")
        pid = await kernel_pid(one)
        one.folder.rename(tmp_path / "away")
        await house.used("two")
        assert not lives(pid)


# Idle for too long, while a service is there.


async def test_culling_ends_kernels_that_are_idle_for_too_long(settings: Settings) -> None:
    async with limited(settings, kernel_idle_timeout=1000) as house:
        one, two = await house.used("one", "two")
        manager = house.interpreter._manager
        async with busy(two):
            now = asyncio.get_running_loop().time()
            assert await manager.cull(now) == []
            assert await manager.cull(now + 1001) == [one.session_id]
            assert await house.states() == {"one": "dead", "two": "busy"}
        result = await one.execute("1")
        assert result.state_lost
        assert result.cause is not None
        assert "nothing had run in it for too long" in result.cause


async def test_culling_spares_a_kernel_that_another_process_uses(settings: Settings) -> None:
    async with limited(settings, kernel_idle_timeout=1000) as house:
        (one,) = await house.used("one")
        async with driver(house.interpreter.settings, RUNNING_ELSEWHERE.format(user=one.user_id)) as other:
            assert await other.line() == "running"
            assert await house.interpreter._manager.cull(asyncio.get_running_loop().time() + 1001) == []
            assert (await one.info()).state == "busy"
            await one.interrupt()
            assert await other.end() == 0


async def test_culling_goes_on_after_a_failure(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = iter([OSError("no")])
    async with limited(settings, kernel_idle_timeout=1) as house:
        (one,) = await house.used("one")
        pid = await kernel_pid(one)
        clear = house.interpreter._pool.clear

        async def failing() -> None:
            for failure in failures:
                raise failure
            await clear()

        monkeypatch.setattr(house.interpreter._pool, "clear", failing)
        await until(lambda: not lives(pid) and not kernel_folders(settings))
        assert next(failures, None) is None


async def test_an_ended_kernel_is_let_go_of_at_once(settings: Settings) -> None:
    async with limited(settings) as house:
        (one,) = await house.used("one")
        os.kill(await kernel_pid(one), signal.SIGKILL)
        await until(lambda: not kernel_folders(settings))
        assert not one.has_kernel
        assert (await one.info()).state == "dead"
