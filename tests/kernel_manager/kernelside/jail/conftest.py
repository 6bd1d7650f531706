"""Builders of jails: as root, and as an ordinary user (who, where root runs the tests, is a user without a name)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kernel_manager.kernelside.jail as package
from kernel_manager.kernelside.jail import syscalls
from tests.kernel_manager.kernelside.jail.harness import Builder

_ORDINARY_UID = 201_001
_PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3", "/opt/python/bin/python3")
_CHECK = "import sys, ctypes, json; sys.exit(sys.version_info < (3, 11))"
_UNSHARE = "import ctypes, sys; sys.exit(ctypes.CDLL(None).unshare(int(sys.argv[1])) != 0)"
_NEW_USER, _NEW_MOUNT_PID_AND_NETWORK = 0x10000000, 0x20000 | 0x20000000 | 0x40000000


@pytest.fixture(scope="session", params=["root", "ordinary user"])
def builder(request: pytest.FixtureRequest, kernel_python: Path) -> Iterator[Builder]:
    """A builder for each of the two ways to run the service that this machine allows."""
    made = _builder(request.param, kernel_python)
    yield made
    made.close()


@pytest.fixture(scope="session")
def root_builder(kernel_python: Path) -> Iterator[Builder]:
    made = _builder("root", kernel_python)
    yield made
    made.close()


@pytest.fixture(scope="session")
def ordinary_builder(kernel_python: Path) -> Iterator[Builder]:
    made = _builder("ordinary user", kernel_python)
    yield made
    made.close()


def _builder(who: str, kernel_python: Path) -> Builder:
    root = os.geteuid() == 0
    if who == "root" and not root:
        pytest.skip("needs root")
    uid = 0 if who == "root" else _ORDINARY_UID if root else os.geteuid()
    python = _python(uid, kernel_python)
    flags = _NEW_MOUNT_PID_AND_NETWORK | (0 if who == "root" else _NEW_USER)
    if _run(python, uid, _UNSHARE, str(flags)) != 0:
        pytest.skip(f"this machine has no namespaces for {who}")
    return Builder(python, uid, who == "root", Path(package.__file__).parent, _numbers())


def _numbers() -> dict[str, int]:
    if (machine := syscalls.machine()) not in syscalls.MACHINES:
        pytest.skip(f"no jails on {machine}")
    return syscalls.numbers(machine)


def _python(uid: int, kernel_python: Path) -> Path:
    """The kernel environment's Python if that user can run it, or else one of the system's."""
    for candidate in (kernel_python, Path(sys.executable), *map(Path, _PYTHONS)):
        if _run(candidate, uid, _CHECK) == 0:
            return candidate
    pytest.skip("no Python ≥ 3.11 that an ordinary user can run")


def _run(python: Path, uid: int, *arguments: str) -> int:
    identity: dict[str, Any] = {} if uid == os.geteuid() else {"user": uid, "group": uid, "extra_groups": []}
    try:
        return subprocess.run(
            [python, "-c", *arguments], check=False, capture_output=True, cwd="/", env={}, **identity
        ).returncode
    except OSError:
        return -1
