"""A session: one user's kernel, its queue of cells and its history.

Cells run one at a time, in the order in which they were asked for. The session's lock is held while one runs, so that
several processes may use one session; who comes later waits and is told so.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from kernel_manager.errors import ClosedError
from kernel_manager.execution.artifacts import ArtifactLimits, changed, snapshot
from kernel_manager.execution.channels import Channels
from kernel_manager.execution.events import CellFinished, DisplayUpdated, Event, OutputReplaced, SessionWaiting
from kernel_manager.execution.outputs import OutputLimits
from kernel_manager.execution.result import ExecutionResult, Output
from kernel_manager.execution.runner import CellLimits, CellRun, evidence_of
from kernel_manager.execution.exit_cause import explain_exit
from kernel_manager.files.shelf import Shelf
from kernel_manager.provisioning.launcher import KernelRequest
from kernel_manager.provisioning.live_kernel import ExitReport, LiveKernel
from kernel_manager.sessions import history as log
from kernel_manager.sessions.history import History, SessionHistory
from kernel_manager.sessions.host import SessionHost
from kernel_manager.sessions.kernel_record import KernelRecord
from kernel_manager.sessions.lock import RunningCell, SessionLock
from kernel_manager.sessions.recorder import Recorder

State = Literal["starting", "idle", "busy", "dead"]

#: Ends of a kernel that the user asked for: no surprise, so nothing to explain with the next cell.
_ASKED_FOR = {"stop", "restart"}
#: Events that wait for a slow consumer; beyond that, repaints of one output are left out.
_QUEUE_LIMIT = 5_000
_COMPLETION_TIMEOUT_S = 3.0
#: How long a finished cell may lie in the system's cache before it is forced to disk, in seconds.
_SYNC_DELAY_S = 1.0


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """What can be said about a session from outside. Times are ISO 8601 in UTC."""

    session_id: str
    user_id: str
    state: State
    kernel_pid: int | None
    connection_file: str | None
    created_at: str | None
    last_used: str | None
    cells: int
    folder: str


@dataclass(frozen=True, slots=True)
class Completion:
    """Completions for the text between ``start`` and ``end`` (in characters)."""

    matches: list[str]
    start: int
    end: int


class Session:
    """See the module. Sessions come from :class:`~kernel_manager.interpreter.Interpreter`."""

    def __init__(self, host: SessionHost, user_id: str, session_id: str) -> None:
        self._host = host
        self.user_id = user_id
        self.session_id = session_id
        self._places = host.data.session(user_id, session_id)
        self._history = History(self._places.history, host.clock)
        self._lock = SessionLock(self._places.lock)
        self._fifo = asyncio.Lock()
        self._kernel: LiveKernel | None = None
        self._channels: Channels | None = None
        self._run: CellRun | None = None
        self._starting = False
        self._closed = False
        self._waiting = 0
        self._lost_cause: str | None = None
        self._known_displays: set[str] | None = None
        self._sync: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[ExecutionResult]] = set()
        self.last_used = asyncio.get_running_loop().time()

    # --- what it is -----------------------------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        """Where the session lies on disk."""
        return self._places.folder

    @property
    def workspace(self) -> Path:
        """The working folder of the session's code."""
        return self._places.workspace

    @property
    def busy(self) -> bool:
        """Whether a cell of this process runs or waits here."""
        return self._waiting > 0

    @property
    def has_kernel(self) -> bool:
        """Whether this process is connected to a live kernel of the session."""
        return self._kernel is not None and self._kernel.alive

    def create(self) -> None:
        """Make the session on disk if it is not there yet."""
        if not self._places.exists:
            self._places.create()
            self._history.append(log.SessionCreated(self.session_id, self.user_id))

    def read_history(self) -> SessionHistory:
        """Everything that was run here, and what came of it."""
        reader = History(self._places.history, self._host.clock)
        try:
            return reader.read()
        finally:
            reader.close()

    async def info(self) -> SessionInfo:
        """The session's state now."""
        story = await asyncio.to_thread(self.read_history)
        state, pid, connection = await self._kernel_state()
        times = [cell.finished_at or cell.started_at for cell in story.cells]
        return SessionInfo(
            session_id=self.session_id,
            user_id=self.user_id,
            state=state,
            kernel_pid=pid,
            connection_file=connection,
            created_at=log.timestamp(story.created_at) if story.created_at else None,
            last_used=log.timestamp(times[-1]) if times and times[-1] else None,
            cells=len(story.cells),
            folder=str(self.folder),
        )

    async def _kernel_state(self) -> tuple[State, int | None, str | None]:
        if self._starting:
            return "starting", None, None
        kernel = await self._find_kernel()
        if kernel is None:
            return "dead", None, None
        busy = self._run is not None or kernel.was_running or self._lock.held_elsewhere()
        connection = str(kernel.folder.connection_file)
        pid = kernel.pid
        if kernel is not self._kernel:
            await kernel.aclose()
        return ("busy" if busy else "idle"), pid, connection

    async def _find_kernel(self) -> LiveKernel | None:
        """The session's live kernel: ours, or else one that another process started."""
        if self._kernel is not None and self._kernel.alive:
            return self._kernel
        record = KernelRecord.read(self._places.kernel)
        return await LiveKernel.attach(self._host.runtime.folder(record.kernel_id)) if record else None

    # --- running --------------------------------------------------------------------------------------------------

    async def run(self, code: str, *, timeout: float | None = None, files: Sequence[Path] = ()) -> AsyncIterator[Event]:
        """Run a cell and yield its events as they come; the last one is CellFinished.

        ``files`` are put where ``load_file`` finds them, first. ``timeout`` is in seconds. Who stops iterating
        interrupts the cell; the session stays usable.
        """
        self._check_open()
        queue: asyncio.Queue[Event | None] = asyncio.Queue()

        def emit(event: Event) -> None:
            if queue.qsize() < _QUEUE_LIMIT or not isinstance(event, (OutputReplaced, DisplayUpdated)):
                queue.put_nowait(event)

        task = asyncio.create_task(self._drive(code, timeout, files, emit), name=f"cell of {self.session_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (event := await queue.get()) is not None:
                yield event
            yield CellFinished(task.result())
        finally:
            if not task.done():
                await self._give_up(task)

    async def execute(self, code: str, *, timeout: float | None = None, files: Sequence[Path] = ()) -> ExecutionResult:
        """Run a cell and return its result. Questions of the code (``input()``) get no answer."""
        self._check_open()
        task = asyncio.create_task(self._drive(code, timeout, files, _answer_nothing))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await asyncio.shield(task)
        finally:
            if not task.done():
                await self._give_up(task)

    async def _give_up(self, task: asyncio.Task[ExecutionResult]) -> None:
        """End a cell that nobody waits for any more; what came of it still goes to the history."""
        if self._run is not None:
            self._run.interrupt(insist=True)
        else:
            task.cancel()
        with contextlib.suppress(BaseException):
            await asyncio.shield(task)

    async def _drive(self, code: str, timeout: float | None, files: Sequence[Path], emit: _Emit) -> ExecutionResult:
        self._waiting += 1
        try:
            async with self._fifo, self._driving(emit):
                await self._place(files)
                await self._ensure_kernel()
                return await self._run_cell(code, timeout, emit)
        finally:
            self._waiting -= 1
            self.last_used = asyncio.get_running_loop().time()

    @contextlib.asynccontextmanager
    async def _driving(self, emit: _Emit) -> AsyncIterator[None]:
        """Hold the session's lock, with everything in order that an earlier holder may have left."""
        self.create()
        await self._lock.acquire(lambda pid: emit(SessionWaiting(pid)))
        try:
            if (left := self._lock.left_running()) is not None:
                await self._recover(left, emit)
            if self._history.changed():
                self._known_displays = None
            yield
        finally:
            self._lock.release()

    async def _place(self, files: Sequence[Path]) -> None:
        if files:
            settings = self._host.settings
            shelf = Shelf(self._host.data.files(self.user_id), settings.max_file_size_mb * 2**20)
            for path in files:
                await asyncio.to_thread(shelf.add, path, path.name)

    async def _run_cell(self, code: str, timeout: float | None, emit: _Emit) -> ExecutionResult:
        assert self._kernel is not None and self._channels is not None
        updates: dict[str, DisplayUpdated] = {}

        def take(event: Event) -> None:
            if isinstance(event, DisplayUpdated):
                updates[event.display_id] = event
            else:
                emit(event)

        run = CellRun(self._kernel, self._channels, self._limits(timeout), take)
        cell = RunningCell(secrets.token_hex(6), run.prepare(code), self._kernel.folder.kernel_id)
        before = snapshot(self.workspace, self._artifact_limits())
        self._history.append(log.CellStarted(cell.cell_id, code, cell.msg_id, cell.kernel_id))
        self._lock.note(cell)
        self._run = run
        try:
            run.send()
            result = await run.finished()
        finally:
            self._run = None
        scan = changed(before, self.workspace)
        result = replace(result, files=scan.files, outputs=[*result.outputs, *_notes(scan.skipped)])
        result = self._with_loss(result)
        await self._record(cell.cell_id, result, run.collector.display_ids, updates, emit)
        return result

    def _with_loss(self, result: ExecutionResult) -> ExecutionResult:
        """Say with the first cell in a fresh kernel that the old one's state is gone."""
        cause, self._lost_cause = self._lost_cause, None
        if cause is None:
            return result
        note = f"this cell ran in a fresh kernel, the earlier variables are lost: {cause}"
        return replace(result, state_lost=True, cause=f"{result.cause}; {note}" if result.cause else note)

    async def _record(
        self,
        cell_id: str,
        result: ExecutionResult,
        display_ids: dict[str, list[int]],
        updates: dict[str, DisplayUpdated],
        emit: _Emit,
    ) -> None:
        """Write the cell's end down; only then does anybody hear of it."""
        for update in self._of_earlier_cells(updates):
            self._history.append(log.DisplayUpdated(update.display_id, update.data, update.metadata))
            emit(update)
        self._history.append(log.CellFinished.of(cell_id, result, display_ids))
        self._lock.note(None)
        if self._known_displays is not None:
            self._known_displays.update(display_ids)
        self._sync_soon()
        if self._kernel is not None and not self._kernel.alive:
            await self._bury(self._kernel, told=True)

    def _of_earlier_cells(self, updates: dict[str, DisplayUpdated]) -> list[DisplayUpdated]:
        if not updates:
            return []
        if self._known_displays is None:
            cells = self.read_history().cells
            self._known_displays = {display_id for cell in cells for display_id in cell.display_ids}
        return [update for update in updates.values() if update.display_id in self._known_displays]

    def _sync_soon(self) -> None:
        """Have the history forced to disk shortly: a kill loses nothing anyway, a power cut little."""
        if self._sync is None:
            self._sync = asyncio.get_running_loop().call_later(_SYNC_DELAY_S, self._sync_now)

    def _sync_now(self) -> None:
        self._sync = None
        asyncio.get_running_loop().run_in_executor(None, self._history.sync)

    def _limits(self, timeout: float | None) -> CellLimits:
        settings = self._host.settings
        return CellLimits(
            timeout=settings.code_execution_timeout if timeout is None else timeout,
            grace=settings.interrupt_grace,
            input_timeout=settings.input_timeout,
            outputs=OutputLimits(
                max_text=settings.max_output_text_kb * 1024,
                max_outputs=settings.max_outputs,
                max_total=settings.max_output_mb * 2**20,
            ),
        )

    def _artifact_limits(self) -> ArtifactLimits:
        settings = self._host.settings
        return ArtifactLimits(max_files=settings.max_artifacts, max_file_bytes=settings.max_file_size_mb * 2**20)

    # --- the kernel -----------------------------------------------------------------------------------------------

    async def _ensure_kernel(self) -> None:
        """Be connected to the session's kernel; start one if it has none."""
        if self._kernel is not None and self._kernel.alive:
            return
        if self._kernel is not None:
            await self._bury(self._kernel)
        record = KernelRecord.read(self._places.kernel)
        if record is not None:
            folder = self._host.runtime.folder(record.kernel_id)
            if (kernel := await LiveKernel.attach(folder)) is not None:
                await self._connect(kernel)
                return
            await self._bury(LiveKernel.ended(folder))
        await self._start_kernel()

    async def _start_kernel(self) -> None:
        places = self._places
        request = KernelRequest("", places.user_folder, places.session_folder, self._host.settings.kernel_idle_timeout)
        self._starting = True
        try:
            kernel, generation = await self._host.kernels.start(self.user_id, self.session_id, request)
            await self._connect(kernel)
        finally:
            self._starting = False
        kernel_id = kernel.folder.kernel_id
        KernelRecord(kernel_id, generation, self._host.clock().timestamp()).write(places.kernel)
        self._history.append(log.KernelStarted(kernel_id, generation))

    async def _connect(self, kernel: LiveKernel) -> None:
        channels = Channels(kernel.folder.connection(), self._host.context)
        try:
            await channels.open()
        except BaseException:
            await kernel.aclose()
            raise
        self._kernel, self._channels = kernel, channels

    async def _disconnect(self) -> None:
        if self._channels is not None:
            await self._channels.aclose()
        if self._kernel is not None:
            await self._kernel.aclose()
        self._kernel = self._channels = None

    async def _bury(self, kernel: LiveKernel, *, told: bool = False) -> None:
        """Record the end of a kernel and remove what it left; ``told`` when a result has already said so."""
        report = kernel.exited.result()
        cause = _end_cause(report, folder_was_there=kernel.folder.path.exists())
        if not told and report.killed_by not in _ASKED_FOR:
            self._lost_cause = cause
        self._history.append(log.KernelEnded(kernel.folder.kernel_id, cause, state_lost=True))
        self._places.kernel.unlink(missing_ok=True)
        if kernel is self._kernel:
            await self._disconnect()
        kernel.folder.remove()

    async def _recover(self, left: RunningCell, emit: _Emit) -> None:
        """Finish the record of a cell whose driver was killed: the cell itself may still be running."""
        folder = self._host.runtime.folder(left.kernel_id)
        kernel = await LiveKernel.attach(folder)
        if self._kernel is not None:
            await self._disconnect()
        if kernel is not None:
            await self._connect(kernel)
            emit(SessionWaiting(None))
            channels = self._channels
        elif folder.connection_file.exists():
            kernel = LiveKernel.ended(folder)
            channels = Channels(folder.connection(), self._host.context)
        else:
            self._record_unknown_end(left)
            return
        assert channels is not None
        run = CellRun(kernel, channels, self._limits(None), lambda _event: None)
        run.resume(left.msg_id, deadline_hit=kernel.deadline_hit)
        result = await run.finished()
        self._history.append(log.CellFinished.of(left.cell_id, result, run.collector.display_ids))
        self._lock.note(None)

    def _record_unknown_end(self, left: RunningCell) -> None:
        cause = "the machine or its runtime folder was reset while the cell ran; run it again"
        result = ExecutionResult("died", cause=cause, state_lost=True)
        self._history.append(log.CellFinished.of(left.cell_id, result, {}))
        self._lock.note(None)

    # --- control --------------------------------------------------------------------------------------------------

    async def interrupt(self) -> None:
        """Interrupt the running cell, whichever process runs it; nothing happens when none does."""
        if self._run is not None:
            self._run.interrupt()
        elif (kernel := await self._find_kernel()) is not None:
            kernel.send_signal()
            if kernel is not self._kernel:
                await kernel.aclose()

    async def restart(self) -> None:
        """End the kernel, whatever it does, and start a fresh one: the variables are gone, the history stays."""
        await self._end_kernel("restart")
        async with self._fifo, self._driving(lambda _event: None):
            await self._ensure_kernel()

    async def stop(self) -> None:
        """End the kernel, whatever it does; the next cell starts a fresh one."""
        await self._end_kernel("stop")
        async with self._fifo, self._driving(lambda _event: None):
            if self._kernel is not None and not self._kernel.alive:
                await self._bury(self._kernel)
            elif (record := KernelRecord.read(self._places.kernel)) is not None:
                folder = self._host.runtime.folder(record.kernel_id)
                if not folder.is_supervised():
                    await self._bury(LiveKernel.ended(folder))

    async def end_idle(self, reason: Literal["idle", "limit"]) -> bool:
        """End the kernel unless a cell runs or waits; return whether it was ended."""
        if self.busy or self._lock.held_elsewhere():
            return False
        await self._end_kernel(reason)
        return True

    async def _end_kernel(self, reason: str) -> None:
        kernel = await self._find_kernel()
        if kernel is None:
            return
        kernel.kill(reason)
        await asyncio.shield(kernel.exited)
        if kernel is not self._kernel:
            await kernel.aclose()

    async def complete(self, code: str, cursor: int) -> Completion:
        """Ask the kernel for completions at ``cursor``; none while a cell runs or when there is no kernel."""
        nothing = Completion([], cursor, cursor)
        if self.busy or not self.has_kernel:
            return nothing
        assert self._channels is not None
        try:
            reply = await self._channels.request(
                "shell", "complete_request", {"code": code, "cursor_pos": cursor}, _COMPLETION_TIMEOUT_S
            )
        except TimeoutError:
            return nothing
        matches = [str(match) for match in reply.get("matches", [])][:500]
        return Completion(matches, int(reply.get("cursor_start", cursor)), int(reply.get("cursor_end", cursor)))

    async def is_complete(self, code: str) -> str:
        """Whether ``code`` is a whole cell: ``complete``, ``incomplete``, ``invalid`` or ``unknown``."""
        if self.busy or not self.has_kernel:
            return "unknown"
        assert self._channels is not None
        try:
            reply = await self._channels.request("shell", "is_complete_request", {"code": code}, _COMPLETION_TIMEOUT_S)
        except TimeoutError:
            return "unknown"
        return str(reply.get("status", "unknown"))

    async def warm_up(self) -> None:
        """Have a kernel ready before the first cell."""
        async with self._fifo, self._driving(lambda _event: None):
            await self._ensure_kernel()

    @contextlib.asynccontextmanager
    async def recording(self) -> AsyncIterator[Path]:
        """Hold the session for another Jupyter client: yield the connection file, and record what that client runs."""
        self._check_open()
        self._waiting += 1
        try:
            async with self._fifo, self._driving(lambda _event: None):
                await self._ensure_kernel()
                assert self._kernel is not None and self._channels is not None
                self._kernel.lease()
                recorder = Recorder(self._history, self._lock, self._kernel, self._limits(None).outputs)
                self._channels.on_other = recorder.on_message
                try:
                    yield self._kernel.folder.connection_file
                finally:
                    self._channels.on_other = None
                    recorder.close()
                    await self._disconnect()
        finally:
            self._waiting -= 1

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the interpreter was closed; open it again")

    async def aclose(self) -> None:
        """Interrupt what runs here, disconnect, and make sure that the history is on disk; the kernel lives on."""
        self._closed = True
        for task in list(self._tasks):
            await self._give_up(task)
        await self._disconnect()
        if self._sync is not None:
            self._sync.cancel()
            self._history.sync()
        self._history.close()


_Emit = Callable[[Event], None]


def _answer_nothing(event: Event) -> None:
    answer = getattr(event, "answer", None)
    if answer is not None:
        answer(None)


def _notes(skipped: Sequence[str]) -> list[Output]:
    if not skipped:
        return []
    return [{"output_type": "stream", "name": "stderr", "text": "".join(f"{note}\n" for note in skipped)}]


def _end_cause(report: ExitReport, *, folder_was_there: bool) -> str:
    if not folder_was_there:
        return "the machine or its runtime folder was reset"
    return explain_exit(evidence_of(report))
