"""Plain jupyter_client: stock ipykernel, default transport, used as its documentation says."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager

from benchmarks.contestant import FALL_ASLEEP_S, CellFailedError, Command, has_png, make_folder

_READY_TIMEOUT_S = 120
_KERNEL_NAME = "plain"
_CLIENT = """
import sys
from jupyter_client import BlockingKernelClient
client = BlockingKernelClient(connection_file=sys.argv[1])
client.load_connection_file()
client.start_channels()
client.wait_for_ready()
reply = client.execute_interactive(sys.argv[2])
client.stop_channels()
sys.exit(reply["content"]["status"] != "ok")
"""

Message = dict[str, Any]


class PlainKernel:
    """See :class:`~benchmarks.contestant.Kernel`."""

    def __init__(self, specs: KernelSpecManager, connection_file: Path) -> None:
        self._manager = AsyncKernelManager(
            kernel_name=_KERNEL_NAME, kernel_spec_manager=specs, connection_file=str(connection_file)
        )
        self._client: AsyncKernelClient | None = None

    async def start(self) -> None:
        """Start the process and wait as everybody does."""
        if self._client is not None:
            return
        await self._manager.start_kernel(stderr=subprocess.DEVNULL)  # it warns about TCP at each start
        self._client = self._manager.client()
        self._client.start_channels()
        await self._client.wait_for_ready(timeout=_READY_TIMEOUT_S)

    async def execute(self, code: str) -> None:
        """Send, read IOPub until idle, get the reply."""
        if (status := await self._run(code)) != "ok":
            raise CellFailedError(f"plain: {code!r} ended with {status}")

    async def show_figure(self, code: str) -> float:
        """See the protocol."""
        moments: list[float] = []

        def take(message: Message) -> None:
            if message["msg_type"] == "display_data" and has_png(message["content"]):
                moments.append(time.perf_counter())

        status = await self._run(code, take)
        if status != "ok" or not moments:
            raise CellFailedError(f"plain: no figure ({status})")
        return moments[0]

    async def interrupt(self, code: str) -> float:
        """See the protocol."""
        interrupting: list[asyncio.Task[float]] = []

        def take(message: Message) -> None:
            if message["msg_type"] == "stream" and not interrupting:
                interrupting.append(asyncio.create_task(self._interrupt_soon()))

        status = await self._run(code, take)
        ended = time.perf_counter()
        moments = await asyncio.gather(*interrupting)
        if status != "error" or not moments:
            raise CellFailedError(f"plain: the interrupt had no effect ({status})")
        return ended - moments[0]

    async def _interrupt_soon(self) -> float:
        await asyncio.sleep(FALL_ASLEEP_S)
        moment = time.perf_counter()
        await self._manager.interrupt_kernel()
        return moment

    async def _run(self, code: str, take: Callable[[Message], None] = lambda _: None) -> str:
        await self.start()
        assert self._client is not None
        msg_id = self._client.execute(code)
        while True:
            message = await self._client.get_iopub_msg()
            if message["parent_header"].get("msg_id") != msg_id:
                continue
            take(message)
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                break
        reply = await self._client.get_shell_msg()
        return str(reply["content"]["status"])

    async def processes(self) -> list[int]:
        """The kernel has no other process."""
        return [self._manager.provisioner.pid]  # type: ignore[union-attr]

    async def shared_processes(self) -> list[int]:
        """There are none."""
        return []

    def command(self, code: str) -> Command:
        """A program with nothing but jupyter_client."""
        return Command([sys.executable, "-c", _CLIENT, self._manager.connection_file, code])

    async def stop(self) -> None:
        """See the protocol."""
        if self._client is not None:
            self._client.stop_channels()
            self._client = None
        if self._manager.has_kernel:
            await self._manager.shutdown_kernel(now=True)


class PlainKernels:
    """The side that everything is compared with; its files lie in ``folder``."""

    def __init__(self, python: Path, environ: dict[str, str], folder: Path) -> None:
        self._python = python
        self._environ = environ
        self._folder = folder
        self._kernels: list[PlainKernel] = []

    async def __aenter__(self) -> PlainKernels:
        specs = make_folder(self._folder / "kernels")
        spec = {
            "argv": [str(self._python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": "Plain",
            "language": "python",
            "env": {**self._environ, "IPYTHONDIR": str(make_folder(self._folder / "ipython"))},
        }
        (make_folder(specs / _KERNEL_NAME) / "kernel.json").write_text(json.dumps(spec))
        self._specs = KernelSpecManager(kernel_dirs=[str(specs)], ensure_native_kernel=False)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for kernel in self._kernels:
            await kernel.stop()

    async def kernel(self) -> PlainKernel:
        """A kernel manager of its own for each."""
        kernel = PlainKernel(self._specs, self._folder / f"kernel-{len(self._kernels)}.json")
        self._kernels.append(kernel)
        return kernel
