"""The zygote: it may come, go and crash; sessions go on."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from kernel_manager import open_interpreter
from tests.integration.conftest import OwnSettings
from tests.integration.support import kernel_pid, lives, parent, run_driver, until, value


@pytest.mark.slow
async def test_a_killed_zygotes_kernels_go_on_and_the_next_kernel_comes_from_a_new_one(own_settings_of: OwnSettings) -> None:
    async with open_interpreter(own_settings_of()) as interpreter:
        one, two = await interpreter.session("one"), await interpreter.session("two")
        await one.execute("x = 41")
        zygote = parent(parent(await kernel_pid(one)))
        os.kill(zygote, signal.SIGKILL)
        await until(lambda: not lives(zygote))
        result = await one.execute("x + 1")
        assert (value(result), result.state_lost) == ("42", False)
        assert value(await two.execute("1")) == "1"
        new = parent(parent(await kernel_pid(two)))
        assert new != zygote
        assert lives(new)
        await one.restart()
        assert parent(parent(await kernel_pid(one))) == new


@pytest.mark.slow
async def test_two_services_share_one_zygote(own_settings_of: OwnSettings) -> None:
    settings = own_settings_of()
    start = "session = await interpreter.session({user!r}); await session.execute('1'); say((await session.info()).kernel_pid)"
    said = await asyncio.gather(*(run_driver(settings, start.format(user=user)) for user in ("one", "two")))
    zygotes = {parent(parent(int(pid))) for (pid,) in said}
    assert len(zygotes) == 1


@pytest.mark.slow
async def test_a_service_that_is_there_when_the_zygote_ends_for_idleness_gets_a_new_one(own_settings_of: OwnSettings) -> None:
    async with open_interpreter(own_settings_of(zygote_idle_timeout=0.1)) as interpreter:
        session = await interpreter.session("one")
        await session.execute("1")
        zygote = parent(parent(await kernel_pid(session)))
        await session.stop()
        await until(lambda: not lives(zygote))
        assert value(await session.execute("1")) == "1"
