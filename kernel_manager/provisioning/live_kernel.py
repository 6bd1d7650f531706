"""A kernel that runs, seen through its supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernel_manager.errors import KernelStartError, ServiceError
from kernel_manager.provisioning.launcher import KernelRequest, Launcher
from kernel_manager.provisioning.packets import Packet, PacketClient
from kernel_manager.provisioning.runtime import KernelFolder


@dataclass(frozen=True, slots=True)
class ExitReport:
    """How a kernel ended, as its supervisor wrote it down. ``stdout`` and ``stderr`` are what nobody had read yet."""

    exit_code: int | None = None
    signal: int | None = None
    killed_by: str | None = None
    was_ready: bool = True
    peak_memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    oom_kills: int = 0
    stdout: str = ""
    stderr: str = ""

    @classmethod
    def read(cls, folder: KernelFolder) -> ExitReport:
        """Read ``exit.json``; a kernel whose supervisor vanished with it leaves no report, and all is unknown."""
        try:
            values: dict[str, Any] = json.loads(folder.exit_file.read_text())
        except (OSError, ValueError):
            return cls()
        return cls(**{name: values[name] for name in cls.__slots__ if name in values})


class LiveKernel:
    """One kernel and its supervisor. Use :meth:`start` or :meth:`attach`; it lives on after :meth:`aclose`.

    ``exited`` is done when the kernel has ended, whatever ended it. ``was_running`` and ``deadline_hit`` say how things
    were when we connected: whether a cell's clock ran, and whether that cell had been interrupted for its time.
    """

    def __init__(self, folder: KernelFolder, on_deadline: Callable[[], None] | None = None) -> None:
        self.folder = folder
        self.pid = 0
        self.on_deadline = on_deadline
        self.on_limit: Callable[[str], None] | None = None
        self.was_running = False
        self.deadline_hit = False
        self._closed = False
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[ExitReport] = loop.create_future()
        self._ready: asyncio.Future[None] = loop.create_future()
        self._init = PacketClient(self._on_event, self._on_close)

    @classmethod
    async def start(cls, folder: KernelFolder, launcher: Launcher, request: KernelRequest, within: float) -> LiveKernel:
        """Start a kernel and wait until it serves; raises KernelStartError, at the latest after ``within`` seconds."""
        kernel = await cls.launch(folder, launcher, request, within)
        try:
            async with asyncio.timeout(within):
                await kernel._ready
        except TimeoutError:
            await kernel._abandon()
            raise KernelStartError(_too_slow(within)) from None
        except BaseException:
            await kernel._abandon()
            raise
        return kernel

    @classmethod
    async def launch(cls, folder: KernelFolder, launcher: Launcher, request: KernelRequest, within: float) -> LiveKernel:
        """Start a kernel, up to where clients may connect: its sockets listen. Raises as :meth:`start`."""
        kernel = cls(folder)
        try:
            async with asyncio.timeout(within):
                await launcher.launch(request)
                await kernel._connect(patiently=True)
        except TimeoutError:
            await kernel._abandon()
            raise KernelStartError(_too_slow(within)) from None
        except BaseException:
            await kernel._abandon()
            raise
        return kernel

    @classmethod
    async def attach(cls, folder: KernelFolder) -> LiveKernel | None:
        """Connect to a kernel that somebody started earlier, or return None if it is gone."""
        kernel = cls(folder)
        try:
            await kernel._connect(patiently=False)
            await kernel._ready
        except (OSError, ServiceError):
            await kernel.aclose()
            return None
        except BaseException:
            await kernel.aclose()
            raise
        return kernel

    @classmethod
    async def reach(cls, folder: KernelFolder) -> LiveKernel | None:
        """Connect to a kernel whose supervisor does not answer, to end it; return None if it is gone."""
        kernel = cls(folder)
        try:
            await kernel._init.connect(folder.init_socket)
        except OSError:
            await kernel.aclose()
            return None
        except BaseException:
            await kernel.aclose()
            raise
        return kernel

    @classmethod
    def ended(cls, folder: KernelFolder) -> LiveKernel:
        """A kernel that is gone, to read what it left behind."""
        kernel = cls(folder)
        kernel._on_exit()
        kernel._ready.exception()
        return kernel

    async def failed_start(self) -> KernelStartError:
        """Why the kernel, which has ended, never served."""
        report = await asyncio.shield(self.exited)
        return KernelStartError(_start_failure(self.folder, report))

    @property
    def alive(self) -> bool:
        """Whether the kernel has not ended, as far as its supervisor has said."""
        return not self.exited.done()

    def arm(self, seconds: float, grace: float) -> None:
        """Start the cell's clock: an interrupt after ``seconds``, the kernel's end after ``grace`` more."""
        self._init.tell("arm", seconds=seconds, grace=grace)

    def disarm(self) -> None:
        """Stop the cell's clock."""
        self._init.tell("disarm")

    def lease(self) -> None:
        """Keep the kernel from ending for idleness as long as this connection stands."""
        self._init.tell("lease")

    def send_signal(self, number: int = signal.SIGINT) -> None:
        """Signal the kernel and its process group."""
        self._init.tell("signal", number=int(number))

    def catch_up(self) -> None:
        """Hear what the supervisor has said by now: it says why it interrupts before it does."""
        self._init.read_waiting()

    def kill(self, reason: str) -> None:
        """End the kernel and everything it started, at once; await ``exited`` afterwards."""
        self._init.tell("stop", reason=reason)

    def kill_supervisor(self) -> None:
        """End the supervisor, which does not answer; in a jail, the system ends all that it started with it."""
        if (pid := self._init.peer_pid) > 1:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def aclose(self) -> None:
        """Disconnect; the kernel lives on."""
        self._closed = True
        self._init.close()
        if not self._ready.done():
            self._ready.cancel()
        elif not self._ready.cancelled():
            self._ready.exception()  # seen: of a kernel that ended while it was connected to, nobody waits for more

    async def _connect(self, *, patiently: bool) -> None:
        """Connect to the supervisor; a patient caller knows that it is about to listen."""
        while True:
            try:
                await self._init.connect(self.folder.init_socket)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if not patiently or self.folder.is_reported or self.folder.log():
                    raise
                await asyncio.sleep(0.002)
        reply = await self._init.ask("hello")
        self.pid = _pid_out_here(self._init.peer_pid, int(reply["kernel_pid"]))
        self.was_running = bool(reply["armed"])
        self.deadline_hit = bool(reply["deadline_hit"])
        if reply["ready"]:
            self._set_ready()

    async def _abandon(self) -> None:
        self.kill("start")
        if self.pid:  # else nobody was met who could tell
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self.exited), 5)
        await self.aclose()

    def _on_event(self, packet: Packet) -> None:
        if packet["event"] == "ready":
            self._set_ready()
        elif packet["event"] == "deadline" and self.on_deadline is not None:
            self.on_deadline()
        elif packet["event"] == "limit" and self.on_limit is not None:
            self.on_limit(str(packet["limit"]))
        elif packet["event"] == "exit":
            self._on_exit()

    def _on_close(self) -> None:
        if not self._closed:
            self._on_exit()

    def _set_ready(self) -> None:
        if not self._ready.done():
            self._ready.set_result(None)

    def _on_exit(self) -> None:
        if self.exited.done():
            return
        report = ExitReport.read(self.folder)
        self.exited.set_result(report)
        if not self._ready.done():
            self._ready.set_exception(KernelStartError(_start_failure(self.folder, report)))
            self._ready.exception()  # nobody has to wait for it


def _pid_out_here(init: int, pid: int) -> int:
    """The pid by which this process knows the kernel that its init knows as ``pid``: in a jail, numbers are its own."""
    try:
        children = Path(f"/proc/{init}/task/{init}/children").read_text().split()
        return next((int(child) for child in children if _innermost(int(child)) == pid), pid)
    except OSError:
        return pid


def _innermost(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text(errors="replace").splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    return pid


def _too_slow(within: float) -> str:
    return f"no kernel came up within {within:g} s; the machine may be overloaded: try again or raise KERNEL_START_TIMEOUT"


def _start_failure(folder: KernelFolder, report: ExitReport) -> str:
    detail = (report.stderr.strip() or folder.log().strip()).splitlines()
    reason = detail[-1] if detail else f"exit code {report.exit_code}, signal {report.signal}"
    return f"the kernel ended before it was ready ({reason[:300]}); `threadbook env build` renews its environment"
