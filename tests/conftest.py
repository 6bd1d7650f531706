"""What every test has: nothing of this machine's settings, no network but the loopback, the kernel environment on request."""

from __future__ import annotations

import ipaddress
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from kernel_manager.config import Settings
from kernel_manager.errors import ThreadbookError
from kernel_manager.packages.environments import Environment, Environments

_environments = pytest.StashKey[Environments]()
_LEAKING_PREFIXES = ("DATABASE_", "DISCORD_", "MONGODB_", "OPENAI_")


def pytest_configure(config: pytest.Config) -> None:
    """Find the kernel environment before the tests lose sight of the settings; close the network."""
    try:
        config.stash[_environments] = Environments.from_settings(Settings.load())
    except ThreadbookError as exc:
        raise pytest.UsageError(str(exc)) from exc
    sys.addaudithook(_forbid_network)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the kernel environment here if a test will want it: its time is not the first test's."""
    if session.config.option.collectonly or not any("kernel_environment" in _fixtures_of(item) for item in session.items):
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    try:
        session.config.stash[_environments].ensure(reporter.write_line if reporter else None)
    except ThreadbookError as exc:
        raise pytest.UsageError(str(exc)) from exc


@pytest.fixture(scope="session")
def kernel_environment(pytestconfig: pytest.Config) -> Environment:
    """The environment that `make setup` built, or one built now."""
    return pytestconfig.stash[_environments].ensure()


@pytest.fixture(scope="session")
def kernel_python(kernel_environment: Environment) -> Path:
    """The interpreter of the kernel environment: it has ipykernel, NumPy, pandas, Matplotlib."""
    return kernel_environment.python


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> None:
    """Give each test, and the processes it starts, a data folder of its own and no setting of this machine's.

    The working folder is empty, so that no ``.env`` is found; the kernel environment is shared.
    """
    for name in list(os.environ):
        if name.lower() in Settings.model_fields or name.startswith(_LEAKING_PREFIXES):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("ENVIRONMENTS_DIR", str(pytestconfig.stash[_environments].root))
    working_folder = tmp_path / "cwd"
    working_folder.mkdir()
    monkeypatch.chdir(working_folder)


def _fixtures_of(item: pytest.Item) -> list[str]:
    return getattr(item, "fixturenames", [])


def _forbid_network(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if not _is_local(host):
        pytest.fail(f"a test wants to reach {host!r}; tests have no network")


def _is_local(host: str | bytes | None) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    try:
        return name in (None, "", "localhost") or ipaddress.ip_address(str(name)).is_loopback
    except ValueError:
        return False
