"""Threadbook, through its public face."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

from benchmarks.contestant import FALL_ASLEEP_S, CellFailedError, Command, has_png
from benchmarks.processes import ancestors_in, is_zygote
from kernel_manager import CellFinished, Interpreter, OutputAdded, Session, Settings, StreamExtended, open_interpreter

Sandbox = Literal["auto", "strict", "none"]

_SHARED_MEMORY = "/dev/shm"


class OurKernel:
    """See :class:`~benchmarks.contestant.Kernel`; a session of a user of its own."""

    def __init__(self, interpreter: Interpreter, user_id: str) -> None:
        self._interpreter = interpreter
        self._user_id = user_id
        self._opened: Session | None = None

    async def session(self) -> Session:
        """The session, for measures of what works in one."""
        if self._opened is None:
            self._opened = await self._interpreter.session(self._user_id)
        return self._opened

    async def start(self) -> None:
        """See the protocol."""
        await (await self.session()).warm_up()

    async def execute(self, code: str) -> None:
        """See the protocol."""
        session = self._opened or await self.session()
        result = await session.execute(code)
        if not result.ok:
            raise CellFailedError(f"ours: {code!r} ended with {result.status}: {result.cause}")

    async def show_figure(self, code: str) -> float:
        """See the protocol."""
        moment: float | None = None
        async for event in (await self.session()).run(code):
            if moment is None and isinstance(event, OutputAdded) and has_png(event.output):
                moment = time.perf_counter()
            if isinstance(event, CellFinished) and not event.result.ok:
                raise CellFailedError(f"ours: no figure ({event.result.status}: {event.result.cause})")
        if moment is None:
            raise CellFailedError("ours: no figure")
        return moment

    async def interrupt(self, code: str) -> float:
        """See the protocol."""
        moment: float | None = None
        session = await self.session()
        async for event in session.run(code):
            if moment is None and isinstance(event, (OutputAdded, StreamExtended)):
                await asyncio.sleep(FALL_ASLEEP_S)
                moment = time.perf_counter()
                await session.interrupt()
            if isinstance(event, CellFinished) and event.result.status != "interrupted":
                raise CellFailedError(f"ours: the interrupt had no effect ({event.result.status})")
        if moment is None:
            raise CellFailedError("ours: the cell printed nothing to be interrupted at")
        return time.perf_counter() - moment

    @contextlib.asynccontextmanager
    async def running(self, code: str) -> AsyncIterator[None]:
        """Have ``code`` run meanwhile, whatever becomes of it; the session is stopped afterwards."""
        session = await self.session()
        task = asyncio.create_task(session.execute(code))
        try:
            await asyncio.sleep(FALL_ASLEEP_S)
            yield
        finally:
            await session.stop()
            await task

    async def processes(self) -> list[int]:
        """The kernel and its init, and whatever else stands between it and the zygote."""
        return [pid for pid in await self._family() if not is_zygote(pid)]

    async def shared_processes(self) -> list[int]:
        """The zygote."""
        return [pid for pid in await self._family() if is_zygote(pid)]

    async def _family(self) -> list[int]:
        info = await (await self.session()).info()
        if info.kernel_pid is None:
            raise CellFailedError("ours: the session has no kernel")
        return [info.kernel_pid, *ancestors_in(info.kernel_pid, "kernelside")]

    def command(self, code: str) -> Command:
        """The product's own command."""
        settings = self._interpreter.settings
        environ = {
            "DATA_DIR": str(settings.data_dir),
            "RUNTIME_DIR": str(settings.runtime_dir),
            "ENVIRONMENTS_DIR": str(settings.environments_path),
        }
        return Command([sys.executable, "-m", "threadbook", "run", "--user", self._user_id, code], environ)

    async def stop(self) -> None:
        """See the protocol."""
        if self._opened is not None:
            await self._opened.stop()


def _memory_folder() -> str | None:
    """Where sockets lie by default on a host with systemd: in memory, as ``/run`` is."""
    return _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else None


class OurKernels:
    """An interpreter with a data folder of its own; no kernel is kept ready."""

    def __init__(self, folder: Path, environments: Path, max_kernels: int = 200, sandbox: Sandbox = "auto") -> None:
        self._stack = contextlib.AsyncExitStack()
        sockets = tempfile.TemporaryDirectory(prefix="tb-", dir=_memory_folder(), ignore_cleanup_errors=True)
        self._settings = Settings(
            data_dir=folder / "d",
            runtime_dir=Path(self._stack.enter_context(sockets)),
            environments_dir=environments,
            sandbox=sandbox,
            max_kernels=max_kernels,
            max_kernels_per_user=max_kernels,
        )
        self._users = 0

    async def __aenter__(self) -> OurKernels:
        self._interpreter = await self._stack.enter_async_context(open_interpreter(self._settings))
        self._stack.push_async_callback(self._interpreter.stop_all)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def kernel(self) -> OurKernel:
        """A user whom nobody has seen before."""
        self._users += 1
        return OurKernel(self._interpreter, f"user{self._users}")
