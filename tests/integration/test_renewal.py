"""The kernel environment is renewed while people work; the new one is a copy of the one that the tests have."""

from __future__ import annotations

import asyncio
import os
import shlex
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kernel_manager import ExecutionResult, Interpreter, Session, open_interpreter
from kernel_manager.config import Settings
from kernel_manager.packages.environments import IN_USE, MANIFEST, SETTLING_S, Environment
from kernel_manager.packages.renewal import Renewal
from kernel_manager.packages.uv import PackageSource
from tests.integration.conftest import OwnSettings
from tests.integration.support import until, value

pytestmark = pytest.mark.slow

SESSIONS = 20


@pytest.fixture
def copying(tmp_path: Path, kernel_environment: Environment) -> PackageSource:
    """A uv that makes every environment a copy of the one that is there."""
    path, original = tmp_path / "uv", shlex.quote(str(kernel_environment.root))
    path.write_text(
        "#!/bin/sh\nfor last; do :; done\n"
        'case "$1 $2" in\n'
        f'    venv*) (cp -al {original} "$last" 2>/dev/null || {{ rm -rf "$last"; cp -a {original} "$last"; }}) '
        f'&& rm -f "$last/{MANIFEST}" "$last/{IN_USE}";;\n'
        f'    "pip freeze") cat {original}/requirements.lock;;\n'
        "esac\n"
    )
    path.chmod(0o755)
    return PackageSource(uv=path)


@pytest.fixture
def settings(own_settings_of: OwnSettings, tmp_path: Path) -> Settings:
    return own_settings_of(environments_dir=tmp_path / "environments", max_kernels=SESSIONS + 4, kernel_start_timeout=100)


def renewal_of(interpreter: Interpreter) -> Renewal:
    return Renewal(interpreter.environments, interpreter.packages, 7, lambda: 0.0, lambda: datetime.now(UTC))


def make_old(interpreter: Interpreter) -> None:
    long_ago = time.time() - SETTLING_S - 1
    os.utime(interpreter.environments.root / "current", (long_ago, long_ago), follow_symlinks=False)


async def generation_of(session: Session) -> str:
    """The generation that the session's kernel runs in, as it sees it itself."""
    return value(await session.execute("import sys, os\nos.path.basename(sys.prefix)")).strip("'")


async def test_renewal_under_load_loses_no_cell(settings: Settings, copying: PackageSource) -> None:
    async with open_interpreter(settings, source=copying) as interpreter:
        sessions = [await interpreter.session(f"user{number}", "s") for number in range(SESSIONS)]
        await asyncio.gather(*(session.execute("count = 0") for session in sessions))
        done = asyncio.Event()
        working = [asyncio.create_task(_work(session, number, done.is_set)) for number, session in enumerate(sessions)]
        newest = await renewal_of(interpreter).renew()
        assert newest is not None
        # and some more with the new one
        await asyncio.sleep(1)
        done.set()
        counts = await asyncio.gather(*working)
        assert min(counts) > 0
        fresh = await interpreter.session("somebody new", "s")
        assert await generation_of(fresh) == newest.generation
        await interpreter.stop_all()
        make_old(interpreter)
        await until(interpreter.environments.remove_unused)
        assert interpreter.environments.generations() == [newest.generation]


async def _work(session: Session, number: int, is_over: Callable[[], bool]) -> int:
    """Count in cells until it is over; some sessions get a new kernel now and then. Returns the number of cells."""
    count = cells = 0
    while not is_over():
        if number % 4 == 0 and cells % 10 == 9:
            await session.stop()
            _check(await session.execute("count = 0"))
            count = 0
        result = _check(await session.execute("count += 1\ncount"))
        count, cells = count + 1, cells + 1
        assert value(result) == str(count)
    return cells


def _check(result: ExecutionResult) -> ExecutionResult:
    assert result.status == "ok", result.cause
    return result


async def test_a_kernel_stays_in_its_generation_which_goes_with_its_last_kernel(
    settings: Settings, copying: PackageSource
) -> None:
    async with open_interpreter(settings, source=copying) as interpreter:
        session = await interpreter.session("ada", "old")
        before = await generation_of(session)
        await session.execute("x = 41")
        renewed = await renewal_of(interpreter).renew()
        assert renewed is not None
        other = await interpreter.session("ada", "new")
        assert await generation_of(other) == renewed.generation != before
        make_old(interpreter)
        assert interpreter.environments.remove_unused() == []
        assert value(await session.execute("import pandas.plotting\nx + 1")) == "42"
        await session.stop()
        await until(lambda: interpreter.environments.remove_unused() == [before])
        assert value(await other.execute("1 + 1")) == "2"
        await other.stop()
