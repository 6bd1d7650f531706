"""The kernel of one session, as this process is connected to it.

What changes which kernel the session has is for the holder of the session's lock; looking, and ending the kernel, are
for anybody.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from kernel_manager.errors import ClosedError, StorageError
from kernel_manager.execution.channels import WELCOME_TIMEOUT, Channels
from kernel_manager.provisioning.launcher import KernelRequest
from kernel_manager.provisioning.live_kernel import ExitReport, LiveKernel
from kernel_manager.sessions import history as log
from kernel_manager.sessions.ending import bury, end_in, has_ended
from kernel_manager.sessions.history import History
from kernel_manager.sessions.host import SessionHost
from kernel_manager.sessions.kernel_record import KernelRecord
from kernel_manager.sessions.owner import Owner
from kernel_manager.sessions.places import SessionPlaces

State = Literal["starting", "idle", "busy", "dead"]

_KERNEL_ID_BYTES = 6
#: Seconds that a kernel has to say how it is; one that is being started says nothing.
_HELLO_PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class KernelStatus:
    """The state of a session's kernel; its pid as the host sees it, and where its connection file is."""

    state: State
    pid: int | None = None
    connection_file: str | None = None


class SessionKernel:
    """See the module. ``on_exit`` is called when a kernel that this process is connected to has ended."""

    def __init__(
        self, host: SessionHost, owner: Owner, places: SessionPlaces, history: History, on_exit: Callable[[], None]
    ) -> None:
        self._host = host
        self._owner = owner
        self._places = places
        self._history = history
        self._on_exit = on_exit
        self._kernel: LiveKernel | None = None
        self._channels: Channels | None = None
        self._record = KernelRecord()
        self._starting = False
        self._closed = False

    # --- what it is -----------------------------------------------------------------------------------------------

    @property
    def live(self) -> LiveKernel | None:
        """The kernel, if this process is connected to it and it lives."""
        return self._kernel if self._kernel is not None and self._kernel.alive else None

    @property
    def channels(self) -> Channels | None:
        """The channels of the live kernel, if this process is connected to it."""
        return self._channels if self.live is not None else None

    @property
    def ended(self) -> bool:
        """Whether this process is still connected to a kernel that has ended."""
        return self._kernel is not None and not self._kernel.alive

    @property
    def lost_cause(self) -> str | None:
        """Why the variables of an earlier kernel are gone, if no result has said so yet."""
        return self._record.lost_cause

    @property
    def generation(self) -> str:
        """The environment generation that the kernel runs in, after :meth:`ensure`."""
        return self._record.generation

    def connection(self) -> tuple[LiveKernel, Channels]:
        """The kernel and its channels, after :meth:`ensure`."""
        assert self._kernel is not None
        assert self._channels is not None
        return self._kernel, self._channels

    async def status(self, *, driven: bool) -> KernelStatus:
        """The kernel as it is now; ``driven`` says whether somebody holds the session's lock."""
        if self._starting:
            return KernelStatus("starting")
        try:
            async with asyncio.timeout(_HELLO_PATIENCE_S), self._found() as kernel:
                if kernel is None:
                    return KernelStatus("starting" if driven and self._is_being_started() else "dead")
                # of one that we are connected to we only know how it was when we connected
                busy = driven or (kernel is not self._kernel and kernel.was_running)
                return KernelStatus("busy" if busy else "idle", kernel.pid, str(kernel.folder.connection_file))
        except TimeoutError:
            return KernelStatus("starting")

    def _is_being_started(self) -> bool:
        kernel_id = KernelRecord.read(self._places.kernel).kernel_id
        return kernel_id is not None and not self._host.runtime.folder(kernel_id).is_reported

    @contextlib.asynccontextmanager
    async def _found(self) -> AsyncIterator[LiveKernel | None]:
        """The session's live kernel: ours, or else one that another process started."""
        if self.live is not None:
            yield self.live
            return
        kernel_id = KernelRecord.read(self._places.kernel).kernel_id
        kernel = await LiveKernel.attach(self._host.runtime.folder(kernel_id)) if kernel_id else None
        try:
            yield kernel
        finally:
            if kernel is not None:
                await kernel.aclose()

    # --- for anybody ----------------------------------------------------------------------------------------------

    async def interrupt(self, *, driven: bool) -> None:
        """Interrupt what another process runs, or ran when it was killed; ``driven`` as for :meth:`status`.

        An interrupt for nobody would hit the next cell.
        """
        async with self._found() as kernel:
            if kernel is not None and (driven or (kernel is not self._kernel and kernel.was_running)):
                kernel.send_signal()

    async def end(self, reason: str) -> None:
        """End the kernel, whatever it does, and wait until it has ended."""
        kernel_id = self._kernel.folder.kernel_id if self._kernel else KernelRecord.read(self._places.kernel).kernel_id
        if kernel_id is not None:
            # by a connection of its own: whoever drives the session may close ours
            await end_in(self._host.runtime.folder(kernel_id), reason)

    async def disconnect(self) -> None:
        """Let go of the kernel; it lives on."""
        kernel, channels = self._kernel, self._channels
        self._kernel = self._channels = None
        try:
            if channels is not None:
                await channels.aclose()
        finally:
            if kernel is not None:
                await kernel.aclose()

    async def aclose(self) -> None:
        """Disconnect for good; the kernel lives on."""
        self._closed = True
        await self.disconnect()

    # --- for the holder of the lock -------------------------------------------------------------------------------

    async def ensure(self) -> None:
        """Be connected to the session's kernel; start one if it has none, or one that the settings no longer allow.

        Raises LimitError, KernelStartError or StorageError.
        """
        if self._kernel is not None and self._is_up(self._kernel):
            self._refresh_record()
        elif not await self._find():
            await self.bury()
            await self._start()
            return
        settings = self._host.settings
        if self._record.allows_more_than(settings.sandbox, settings.kernel_network):
            await self.end("sandbox")
            await self.bury()
            await self._start()

    async def _find(self) -> bool:
        """Connect to the kernel that the record names; return whether it lives."""
        await self.bury()
        self._record = KernelRecord.read(self._places.kernel)
        return self._record.kernel_id is not None and await self.attach(self._record.kernel_id)

    async def attach(self, kernel_id: str) -> bool:
        """Be connected to a certain kernel; return whether it lives."""
        await self.disconnect()
        kernel = await LiveKernel.attach(self._host.runtime.folder(kernel_id))
        if kernel is None:
            return False
        self._record = KernelRecord.read(self._places.kernel)
        return await self._connect(kernel)

    async def bury(self, *, told: bool = False) -> None:
        """Write down the end of the session's kernel if it has ended; ``told`` when a result has said so already."""
        kernel = self._kernel
        if kernel is not None:
            if self._is_up(kernel):
                return
            report = await asyncio.shield(kernel.exited)
            await self.disconnect()
            bury(self._places, self._history, kernel.folder, report, told=told)
        elif (kernel_id := KernelRecord.read(self._places.kernel).kernel_id) is not None:
            folder = self._host.runtime.folder(kernel_id)
            if not has_ended(folder):
                return
            bury(self._places, self._history, folder, ExitReport.read(folder), told=told)
        self._record = KernelRecord.read(self._places.kernel)

    def mark_used(self) -> None:
        """Note that a cell is about to run: from now on something is lost when the kernel ends."""
        self._rewrite(replace(self._record, used=True))

    def mark_told(self) -> None:
        """Note that a result has said what was lost."""
        self._rewrite(replace(self._record, lost_cause=None))

    def _rewrite(self, record: KernelRecord) -> None:
        if record != self._record:
            record.write(self._places.kernel)
            self._record = record

    def _refresh_record(self) -> None:
        if self._record.lost_cause is not None:
            # another process may have told it meanwhile
            self._record = KernelRecord.read(self._places.kernel)

    @staticmethod
    def _is_up(kernel: LiveKernel) -> bool:
        """Whether a kernel lives; the news of its end may still be on its way to us."""
        return kernel.alive and not kernel.folder.is_reported and _runs(kernel.pid)

    async def _start(self) -> None:
        # before the kernel is: the next process finds it if this one is killed meanwhile
        settings, kernel_id = self._host.settings, secrets.token_hex(_KERNEL_ID_BYTES)
        self._record = replace(
            self._record, kernel_id=kernel_id, used=False, sandbox=settings.sandbox, network=settings.kernel_network
        )
        self._record.write(self._places.kernel)
        self._starting = True
        try:
            generation = await self._start_and_connect(kernel_id)
        except BaseException:
            self._record = replace(self._record, kernel_id=None)
            with contextlib.suppress(StorageError):
                self._record.write(self._places.kernel)
            raise
        finally:
            self._starting = False
        started_at = self._host.clock().timestamp()
        self._rewrite(replace(self._record, generation=generation, started_at=started_at))
        self._history.append(log.KernelStarted(kernel_id, generation))

    async def _start_and_connect(self, kernel_id: str) -> str:
        places, settings = self._places, self._host.settings
        selected = places.selection.exists()
        request = KernelRequest(kernel_id, places.user_folder, places.session_folder, settings.kernel_idle_timeout, selected)
        kernel, generation = await self._host.kernels.start(self._owner.user_id, self._owner.session_id, request)
        try:
            # beside its start: the sockets listen already
            if not await self._connect(kernel, settings.kernel_start_timeout):
                raise await kernel.failed_start()
        except BaseException:
            await end_in(kernel.folder, "start")
            kernel.folder.remove()
            raise
        return generation

    async def _connect(self, kernel: LiveKernel, patience: float = WELCOME_TIMEOUT) -> bool:
        """Open the channels, in ``patience`` seconds; return whether the kernel lived long enough for that."""
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(kernel.aclose)
            if self._closed:
                raise ClosedError("the interpreter was closed; open it again")
            channels = Channels(kernel.folder.connection(), self._host.context)
            stack.push_async_callback(channels.aclose)
            if not await _completed(channels.open(patience), unless=kernel.exited):
                return False
            stack.pop_all()
        self._kernel, self._channels = kernel, channels
        kernel.exited.add_done_callback(lambda _: self._on_exit())
        return True


def _runs(pid: int) -> bool:
    """Whether a process has not ended, as far as the system tells."""
    try:
        status = Path(f"/proc/{pid}/stat").read_bytes()
    except ProcessLookupError:
        return False
    except FileNotFoundError:
        return not Path("/proc/self/stat").exists()
    return status.rpartition(b") ")[2][:1] not in (b"Z", b"X")


async def _completed(work: Coroutine[Any, Any, None], *, unless: asyncio.Future[Any]) -> bool:
    """Do the work, but not after ``unless`` is done; return whether it was done."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task, unless}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    if task.cancelled():
        return False
    task.result()
    return True
