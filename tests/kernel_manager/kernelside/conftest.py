"""A process that loads files, for one module of tests after the other."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel_manager import kernelside
from tests.kernel_manager.kernelside.loading import WORKER, Kernel


@pytest.fixture(scope="module")
def worker(kernel_python: Path) -> Iterator[subprocess.Popen[str]]:
    package = str(Path(kernelside.__file__).parent)
    command = [str(kernel_python), "-I", "-W", "error", "-c", WORKER, package]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait() == 0


@pytest.fixture
def kernel(worker: subprocess.Popen[str], tmp_path: Path) -> Kernel:
    return Kernel(worker, tmp_path)
