"""Kernels one by one, each a program of its own: slower than the zygote, with nothing preloaded."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from kernel_manager.errors import KernelStartError
from kernel_manager.provisioning.kernel_environment import KernelEnvironment
from kernel_manager.provisioning.launcher import KERNELSIDE, KernelRequest, kernel_environ


class LocalLauncher:
    """Starts a supervisor that starts an ordinary kernel process."""

    def __init__(self, environment: KernelEnvironment, runtime: Path, data: Path, demand: str = "") -> None:
        self.generation = environment.generation
        self._python = environment.python
        self._runtime = runtime
        self._data = data
        self._demand = demand

    async def launch(self, request: KernelRequest) -> None:
        """See :class:`~kernel_manager.provisioning.launcher.Launcher`."""
        command = [
            *(str(self._python), "-I", str(KERNELSIDE), "init"),
            *("--runtime", str(self._runtime), "--data", str(self._data)),
            *("--demand", self._demand, "--kernel", json.dumps(request.to_dict())),
        ]
        status = await start_daemon(command, self._python, self._runtime, self._runtime / "local.log")
        if status:
            raise KernelStartError(f"the kernel's supervisor did not start (status {status}); see {self._runtime / 'local.log'}")

    async def aclose(self) -> None:
        """Nothing is held."""


async def start_daemon(
    command: list[str], python: Path, runtime: Path, log: Path, *, fd: int | None = None, threads: bool = True
) -> int:
    """Run a program that puts itself in the background; return the status of what it leaves in the foreground.

    It inherits nothing of the caller's but ``fd``: no terminal, no pipe, no environment variable.
    """
    home = runtime / "home"
    home.mkdir(mode=0o700, exist_ok=True)
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=kernel_environ(python, home, threads=threads),
            pass_fds=() if fd is None else (fd,),
            start_new_session=True,
        )
    return await process.wait()
