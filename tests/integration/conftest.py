"""Real kernels for tests.

The folders are shared by the tests of one module, so that the zygote starts once; each test opens an interpreter of its
own, in its own event loop, and has a session of its own. Whatever the tests of a module leave behind is ended after the
last one. A test that kills things, or that needs other settings, takes ``own_settings_of`` instead of ``settings``.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from kernel_manager import Interpreter, Session, Settings, StorageError, open_interpreter
from kernel_manager.packages.environments import Environment
from tests.integration.attacks import MODES, AttackedService, Attacker, attacked_service

#: Returns the settings of folders that only this test uses; keyword arguments are fields of Settings.
OwnSettings = Callable[..., Settings]

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def shared_folder(kernel_environment: Environment) -> Iterator[Path]:
    """Data and runtime folder of one module's tests."""
    with folder_for_kernels(kernel_environment) as folder:
        yield folder


@pytest.fixture
def settings(shared_folder: Path, kernel_environment: Environment, own_settings: None) -> Settings:
    """Settings on the module's folders."""
    return make_settings(shared_folder, kernel_environment)


@pytest.fixture
def own_settings_of(kernel_environment: Environment, own_settings: None) -> Iterator[OwnSettings]:
    """Make settings on folders of this test alone; every call is about the same folders."""
    with folder_for_kernels(kernel_environment) as folder:
        yield lambda **changes: make_settings(folder, kernel_environment, **changes)


@pytest.fixture
async def interpreter(settings: Settings) -> AsyncIterator[Interpreter]:
    """An open interpreter on the module's folders."""
    async with open_interpreter(settings) as opened:
        yield opened


@pytest.fixture
async def session(interpreter: Interpreter) -> AsyncIterator[Session]:
    """A new session of a new user; its kernel is ended after the test."""
    number = next(_numbers)
    made = await interpreter.session(f"user{number}", f"session{number}")
    yield made
    await made.stop()


@pytest.fixture(scope="session", params=MODES)
def attacked(request: pytest.FixtureRequest, kernel_environment: Environment) -> Iterator[AttackedService]:
    """A service that is under attack, for each of the two ways to run it that this machine allows."""
    with attacked_service(request.param, kernel_environment) as service:
        service.goes_on()
        yield service


@pytest.fixture
def attacker(attacked: AttackedService) -> Iterator[Attacker]:
    """A new user with a session; whatever the attack was, the service and a second user's session go on after it."""
    made = attacked.attacker()
    yield made
    attacked.goes_on()
    made.stop()


@pytest.fixture(scope="module")
def spy(attacked: AttackedService) -> Iterator[Attacker]:
    """One user for all attacks that only look or are refused."""
    made = attacked.attacker()
    yield made
    made.stop()


def make_settings(folder: Path, environment: Environment, **changes: Any) -> Settings:
    """Settings with the data and the runtime folder in ``folder``; ``changes`` are fields of Settings."""
    values: dict[str, Any] = {
        "data_dir": folder / "data",
        "runtime_dir": folder / "run",
        "environments_dir": environment.root.parent,
        "kernel_idle_timeout": 300,
        "zygote_idle_timeout": 30,
        "interrupt_grace": 2,
    }
    return Settings(**{**values, **changes})


@contextmanager
def folder_for_kernels(environment: Environment, **changes: Any) -> Iterator[Path]:
    """A folder with a path short enough for sockets; every kernel that lives in it is ended before it goes.

    ``changes`` are as for :func:`make_settings`.
    """
    folder = Path(tempfile.mkdtemp(prefix="tb-", dir="/tmp"))
    try:
        yield folder
        with suppress(StorageError):  # no kernel lives in a folder that cannot be used
            asyncio.run(_stop_all(make_settings(folder, environment, **changes)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _stop_all(settings: Settings) -> None:
    async with open_interpreter(settings) as interpreter:
        await interpreter.stop_all()
