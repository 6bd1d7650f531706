"""A session: one user's kernel, its queue of cells and its history.

Cells run one at a time, in the order in which they were asked for. The session's lock is held while one runs, so that
several processes may use one session; who comes later waits and is told so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from kernel_manager.errors import ClosedError, KernelStartError, ServiceError, StorageError
from kernel_manager.execution.artifacts import ArtifactLimits, changed, snapshot, unseen
from kernel_manager.execution.channels import Message
from kernel_manager.execution.events import CellFinished, DisplayUpdated, Event, OutputReplaced, SessionWaiting
from kernel_manager.execution.outputs import OutputLimits
from kernel_manager.execution.result import ExecutionResult, Output, WrittenFile
from kernel_manager.execution.runner import CellLimits
from kernel_manager.execution.workspace import WorkspaceQuota, keep_within
from kernel_manager.files.selection import FileRef
from kernel_manager.files.user_file import UserFile
from kernel_manager.packages.desk import Place
from kernel_manager.sessions import history as log
from kernel_manager.sessions.asked_cell import AskedCell, Emit
from kernel_manager.sessions.cell_log import CellLog
from kernel_manager.sessions.cell_packages import CellPackages
from kernel_manager.sessions.history import History, SessionHistory
from kernel_manager.sessions.host import SessionHost
from kernel_manager.sessions.lock import RunningCell, SessionLock
from kernel_manager.sessions.owner import Owner
from kernel_manager.sessions.recorder import Recorder
from kernel_manager.sessions.recovery import recover
from kernel_manager.sessions.sent_cell import SentCell
from kernel_manager.sessions.session_kernel import SessionKernel, State
from kernel_manager.sessions.sync_soon import SyncSoon
from kernel_manager.sessions.variables import Variables

logger = logging.getLogger(__name__)

#: Events that wait for a slow consumer; beyond that, repaints of one output are left out.
_QUEUE_LIMIT = 5_000
_COMPLETION_TIMEOUT_S = 3.0
#: How long `stop` waits to write down what it did; whoever drives the session does so otherwise.
_STOP_PATIENCE_S = 5.0


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
        self._sync = SyncSoon(self._history)
        self._selection = host.data.selection(self._places)
        self._lock = SessionLock(self._places.lock)
        self._cell_log = CellLog(self._history, self._lock, self._places)
        self._kernel = SessionKernel(host, Owner(user_id, session_id), self._places, self._history, self._on_kernel_exit)
        self._fifo = asyncio.Lock()
        self._waiting = 0
        self._cells: set[AskedCell] = set()
        self._running: AskedCell | None = None
        self._tidying: asyncio.Task[None] | None = None
        self._closed = False
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
        return self._kernel.live is not None

    @property
    def kernel_pid(self) -> int | None:
        """The process of the kernel that this process is connected to, if it is to one."""
        return None if self._kernel.live is None else self._kernel.live.pid

    def create(self) -> None:
        """Make the session on disk if it is not there yet; raises StorageError."""
        self._places.create()
        if not self._places.exists:
            self._history.append(log.SessionCreated(self.session_id, self.user_id))

    def read_history(self) -> SessionHistory:
        """Everything that was run here, and what came of it."""
        return self._cell_log.read()

    def say(self, role: log.Role, name: str, text: str) -> None:
        """Record what somebody said, so that notebooks and contexts have it; raises StorageError.

        ``name`` is the display name (cut at 200 characters), ``text`` is Markdown (cut at 200,000, with a note). It needs
        no turn: what is said while a cell runs comes after that cell in the notebook.
        """
        self._check_open()
        self.create()
        self._history.append(log.Said(role, name, text))
        self._sync.ask()

    async def hand_in(self, files: Sequence[Path]) -> None:
        """Put files where ``load_file`` finds them; raises UsageError or StorageError."""
        self._check_open()
        await self._place(files)

    async def adopt(self, entries: Sequence[log.Entry]) -> None:
        """Record what another history or a notebook says, without running anything; its cells count as imported."""
        async with self._turn():
            for entry in entries:
                for record in log.records_of(entry):
                    self._history.append(record)
            self._sync.ask()

    async def info(self, story: SessionHistory | None = None) -> SessionInfo:
        """The session's state now. Who has just read its history hands it in."""
        if story is None:
            story = await asyncio.to_thread(self.read_history)
        status = await self._kernel.status(driven=self._lock.held_elsewhere())
        times = [cell.finished_at or cell.started_at for cell in story.cells]
        return SessionInfo(
            session_id=self.session_id,
            user_id=self.user_id,
            state=status.state,
            kernel_pid=status.pid,
            connection_file=status.connection_file,
            created_at=log.timestamp(story.created_at) if story.created_at else None,
            last_used=log.timestamp(times[-1]) if times else None,
            cells=len(story.cells),
            folder=str(self.folder),
        )

    # --- which files it sees --------------------------------------------------------------------------------------

    @property
    def selects_files(self) -> bool:
        """Whether the session sees chosen files only, not all of its user's."""
        return self._selection.active

    async def files(self) -> list[UserFile]:
        """Return the files that ``load_file`` finds here, the newest first. Raises DatabaseError, StorageError."""
        if not self._selection.active:
            return await self._host.files.list(self.user_id)
        return await self._host.files.pick(await asyncio.to_thread(self._selection.files))

    async def select_files(self, files: Sequence[FileRef]) -> None:
        """Have the session see these files and no others from now on, whoever's they are.

        The kernel ends, and its variables with it: it keeps the files that it was born with. This is not taken back: what
        others did in a session that they were let into could wait for more.
        """
        self._check_open()
        self.withdraw("the session's files were changed before the cell began")
        await self._kernel.end("stop")
        async with self._turn():
            await self._end_for_good()
            await asyncio.to_thread(self._selection.choose, files)

    async def add_files(self, files: Sequence[FileRef]) -> None:
        """Have the session see these, too, if it sees chosen files only."""
        await asyncio.to_thread(self._selection.add, files)

    # --- running --------------------------------------------------------------------------------------------------

    async def run(
        self,
        code: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  (the kernel's supervisor keeps it, not the caller's event loop)
        files: Sequence[Path] = (),
        cell_id: str | None = None,
        source: log.Source = "run",
    ) -> AsyncGenerator[Event]:
        """Run a cell and yield its events as they come; the last one is CellFinished.

        ``files`` are put where ``load_file`` finds them, first. ``timeout`` is in seconds. ``cell_id`` is that of an
        imported cell that runs now, ``source`` tells the history for whom it runs. Who stops iterating interrupts the cell;
        the session stays usable.
        """
        queue: asyncio.Queue[Event | None] = asyncio.Queue()

        def emit(event: Event) -> None:
            if queue.qsize() < _QUEUE_LIMIT or not isinstance(event, (OutputReplaced, DisplayUpdated)):
                queue.put_nowait(event)

        cell = self._ask(AskedCell(code, timeout, files, emit, cell_id, source))
        cell.task.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (event := await queue.get()) is not None:
                yield event
            yield CellFinished(cell.task.result())
        finally:
            await self._give_up(cell)

    async def execute(
        self,
        code: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  (as above)
        files: Sequence[Path] = (),
    ) -> ExecutionResult:
        """Run a cell and return its result. Questions of the code (``input()``) get no answer."""
        cell = self._ask(AskedCell(code, timeout, files, _answer_nothing))
        try:
            return await asyncio.shield(cell.task)
        finally:
            await self._give_up(cell)

    def _ask(self, cell: AskedCell) -> AskedCell:
        self._check_open()
        self._cells.add(cell)
        cell.start(self._drive(cell), name=f"cell of session {self.session_id}")
        cell.task.add_done_callback(lambda _: self._cells.discard(cell))
        return cell

    async def _give_up(self, cell: AskedCell) -> None:
        if not cell.task.done():
            await cell.give_up(self._kernel.live, self._host.settings.interrupt_grace)

    async def _drive(self, cell: AskedCell) -> ExecutionResult:
        try:
            async with self._turn(cell.emit):
                notes: list[str] = []
                if cell.withdrawn is None:
                    notes += await self._place(cell.files)
                    await self._kernel.ensure()
                if cell.withdrawn is not None:
                    return cell.withdrawn
                async with self._host.files.using(self.user_id):
                    return await self._run_with_packages(cell, notes)
        except KernelStartError:
            if cell.withdrawn is None:
                raise
            return cell.withdrawn  # whoever withdrew it ended the kernel that was being started
        except asyncio.CancelledError:
            # who still waits for it was not cancelled: the interpreter is being closed
            self._check_open()
            raise

    @contextlib.asynccontextmanager
    async def _turn(self, emit: Emit = lambda _event: None) -> AsyncIterator[None]:
        """Have this session for oneself, with everything in order that an earlier holder of its lock may have left."""
        self._waiting += 1
        try:
            async with self._fifo:
                self._check_open()
                self.create()
                await self._lock.drive(lambda pid: emit(SessionWaiting(pid)))
                try:
                    await self._recover(emit)
                    if self._selection.active:
                        await asyncio.to_thread(self._selection.refresh)
                    yield
                finally:
                    self._lock.release()
        finally:
            self._waiting -= 1
            self.last_used = asyncio.get_running_loop().time()

    async def _recover(self, emit: Emit) -> None:
        if (left := self._cell_log.left_running()) is not None:
            emit(SessionWaiting(None))
            async with self._host.files.using(self.user_id):
                await recover(left, self._kernel, self._cell_log, self._host, self._limits(left.timeout), self._written_since)

    def _written_since(self, begun: datetime) -> list[WrittenFile]:
        """What lies in the working folder and was not there, or not like this, at that moment."""
        return changed(unseen(int(begun.timestamp() * 1e9), self._artifact_limits()), self.workspace).files

    async def _place(self, files: Sequence[Path]) -> list[str]:
        """Make the files the user's; return what has to be said about that."""
        notes = []
        for path in files:
            added = await self._host.files.add(self.user_id, path.name, path)
            await self.add_files([FileRef(self.user_id, added.file.file_id)])
            notes += [f"{file.filename} was removed to make room for {path.name}" for file in added.removed]
            notes += [added.note] if added.note else []
        return notes

    async def _run_with_packages(self, cell: AskedCell, notes: Sequence[str]) -> ExecutionResult:
        place = Place(self._places.user_folder, self._kernel.generation, self.workspace)
        packages = CellPackages(self._host.packages, place, cell)
        self._running = cell
        try:
            interrupted = await packages.before()
            return interrupted or cell.withdrawn or await self._run_cell(cell, packages, notes)
        finally:
            self._running = None
            cell.over()

    async def _run_cell(self, cell: AskedCell, packages: CellPackages, notes: Sequence[str]) -> ExecutionResult:
        limits = self._limits(cell.timeout)
        before = snapshot(self.workspace, self._artifact_limits())
        sending = SentCell(cell.cell_id or secrets.token_hex(6), cell, limits, self._note_answer)
        self._kernel.mark_used()
        result = await self._send(sending)
        if await packages.after(result):
            result = await self._send(sending.again())
        sending.show_held()
        removed = keep_within(self.workspace, self._quota())
        scan = changed(before, self.workspace)
        said = _notes([*notes, *removed, *scan.skipped, *packages.notes])
        result = replace(result, files=scan.files, outputs=[*result.outputs, *said], installed_packages=packages.installed)
        result = _with_loss(result, self._kernel.lost_cause)
        for update in self._cell_log.updated(sending.updates):
            cell.emit(update)
        self._cell_log.ended(sending.cell_id, result, sending.display_ids)
        self._sync.ask()
        await self._settle_kernel(told=result.state_lost)
        return result

    def _note_answer(self, cell_id: str, prompt: str, answer: str) -> None:
        try:
            self._cell_log.answered(cell_id, prompt, answer)
        except StorageError as exc:
            logger.warning("session %s: an answer to input() is not in the history: %s", self.session_id, exc)

    async def _send(self, sending: SentCell) -> ExecutionResult:
        kernel, channels = self._kernel.connection()
        run = sending.new_run(kernel, channels)
        noted = RunningCell(sending.cell_id, run.msg_id, kernel.folder.kernel_id, sending.limits.timeout)
        self._cell_log.began(noted, sending.cell.code, sending.cell.source)
        return await sending.send()

    async def _settle_kernel(self, *, told: bool) -> None:
        """Draw the conclusions of a result that is recorded already; a failure must not take it from who waits for it."""
        try:
            self._kernel.mark_told()
            await self._kernel.bury(told=told)
        except StorageError as exc:
            logger.warning("session %s: %s", self.session_id, exc)

    def _limits(self, timeout: float | None) -> CellLimits:
        settings = self._host.settings
        return CellLimits(
            timeout=settings.code_execution_timeout if timeout is None else timeout,
            grace=settings.interrupt_grace,
            input_timeout=settings.input_timeout,
            wall=settings.code_wall_timeout,
            outputs=OutputLimits(
                max_text=settings.max_output_text_kb * 1024,
                max_outputs=settings.max_outputs,
                max_total=settings.max_output_mb * 2**20,
            ),
        )

    def _artifact_limits(self) -> ArtifactLimits:
        settings = self._host.settings
        return ArtifactLimits(max_files=settings.max_artifacts, max_file_bytes=settings.max_file_size_mb * 2**20)

    def _quota(self) -> WorkspaceQuota:
        settings = self._host.settings
        return WorkspaceQuota(settings.max_session_files, settings.max_session_files_mb * 2**20)

    # --- control --------------------------------------------------------------------------------------------------

    async def interrupt(self) -> None:
        """Interrupt the running cell, whichever process runs it; nothing happens when none does."""
        self._check_open()
        if self._running is not None:
            self._running.interrupt()
        else:
            await self._kernel.interrupt(driven=self._lock.held_elsewhere())

    async def restart(self) -> None:
        """End the kernel, whatever it does, and start a fresh one: the variables are gone, the history stays.

        Cells of this process that were still waiting do not run any more.
        """
        self._check_open()
        self.withdraw("the session was restarted before the cell began")
        await self._kernel.end("restart")
        async with self._turn():
            await self._kernel.ensure()

    async def stop(self) -> None:
        """End the kernel, whatever it does; the next cell starts a fresh one.

        Cells of this process that were still waiting do not run any more.
        """
        self._check_open()
        self.withdraw("the session was stopped before the cell began")
        await self._kernel.end("stop")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_PATIENCE_S), self._turn():
                await self._end_for_good()

    async def _end_for_good(self) -> None:
        """For the holder of the turn: end the kernel that may have been just starting, and write down its end."""
        await self._kernel.end("stop")
        await self._kernel.bury()

    def withdraw(self, cause: str) -> None:
        """Have the cells of this process that still wait not run; ``cause`` is the cause of their results."""
        for cell in self._cells:
            cell.withdraw(cause)

    async def end_idle(self, reason: Literal["idle", "limit"]) -> bool:
        """End the kernel unless a cell runs or waits, in whichever process; return whether it was ended."""
        if self._closed or self.busy:
            return False
        async with self._fifo:
            if not self._lock.try_drive():
                return False
            try:
                if self._cell_log.left_running() is not None:
                    return False
                await self._kernel.end(reason)
                await self._kernel.bury()
            finally:
                self._lock.release()
        return True

    async def settle(self) -> None:
        """Wait for the cell that a killed process left running, if there is one, until its end is in the history."""
        async with self._turn():
            pass

    async def warm_up(self) -> None:
        """Have a kernel ready before the first cell."""
        async with self._turn():
            await self._kernel.ensure()

    @contextlib.asynccontextmanager
    async def recording(self) -> AsyncIterator[Path]:
        """Hold the session for another Jupyter client: yield the connection file, and record what that client runs.

        Raises StorageError at the end if something could not be recorded.
        """
        async with self._turn(), self._host.files.using(self.user_id):
            await self._kernel.ensure()
            kernel, channels = self._kernel.connection()
            self._kernel.mark_used()
            kernel.lease()
            recorder = Recorder(self._cell_log, kernel, channels, self._limits(None).outputs)
            try:
                yield kernel.folder.connection_file
            finally:
                recorder.close()
                await self._kernel.bury()
                await self._kernel.disconnect()
            if recorder.failure is not None:
                raise recorder.failure

    # --- asking the kernel ----------------------------------------------------------------------------------------

    async def complete(self, code: str, cursor: int) -> Completion:
        """Ask the kernel for completions at ``cursor``; none while a cell runs or when there is no kernel."""
        reply = await self._ask_kernel("complete_request", {"code": code, "cursor_pos": cursor})
        matches = [str(match) for match in reply.get("matches", [])][:500]
        return Completion(matches, int(reply.get("cursor_start", cursor)), int(reply.get("cursor_end", cursor)))

    async def is_complete(self, code: str) -> str:
        """Whether ``code`` is a whole cell: ``complete``, ``incomplete``, ``invalid`` or ``unknown``."""
        return str((await self._ask_kernel("is_complete_request", {"code": code})).get("status", "unknown"))

    async def variables(self) -> Variables | None:
        """Ask a live kernel what it holds; None while a cell runs, when there is no kernel, or when it does not answer.

        A kernel that lives from an earlier process is found again; none is started for this.
        """
        if not self.has_kernel and not self.busy and (await self.info()).state == "idle":
            await self.warm_up()
        reply = await self._ask_kernel("variables_request", {})
        return None if reply.get("status") != "ok" else Variables.of(reply)

    async def _ask_kernel(self, msg_type: str, content: Message) -> Message:
        """The reply's content; empty while a cell runs, when there is no kernel, or when it does not answer."""
        channels = self._kernel.channels
        if channels is None or self.busy:
            return {}
        try:
            return await channels.request("shell", msg_type, content, _COMPLETION_TIMEOUT_S)
        except (TimeoutError, ClosedError):
            return {}

    # --- the end --------------------------------------------------------------------------------------------------

    def _on_kernel_exit(self) -> None:
        if not self.busy and not self._closed and self._tidying is None:
            self._tidying = asyncio.create_task(self._tidy_up(), name=f"tidying session {self.session_id}")

    async def tidy(self) -> None:
        """Let go of a kernel that has ended while nothing ran; nothing happens otherwise."""
        if self._kernel.ended and not self.busy:
            self._on_kernel_exit()
        if self._tidying is not None:
            await asyncio.wait({self._tidying})

    async def _tidy_up(self) -> None:
        try:
            async with self._turn():
                await self._kernel.bury()
        except ServiceError as exc:
            logger.warning("session %s: %s", self.session_id, exc)
        finally:
            self._tidying = None

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the interpreter was closed; open it again")

    async def aclose(self) -> None:
        """Interrupt what runs here, disconnect, and make sure that the history is on disk; the kernel lives on."""
        self._closed = True
        await asyncio.gather(*(self._give_up(cell) for cell in list(self._cells)))
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.wait({self._tidying})
        await self._kernel.aclose()
        await self._sync.flush()
        self._history.close()


def _answer_nothing(event: Event) -> None:
    answer = getattr(event, "answer", None)
    if answer is not None:
        answer(None)


def _notes(skipped: Sequence[str]) -> list[Output]:
    if not skipped:
        return []
    return [{"output_type": "stream", "name": "stderr", "text": "".join(f"{note}\n" for note in skipped)}]


def _with_loss(result: ExecutionResult, lost_cause: str | None) -> ExecutionResult:
    """Say with the first cell in a fresh kernel that the old one's state is gone."""
    if lost_cause is None:
        return result
    note = f"this cell ran in a fresh kernel, the earlier variables are lost: {lost_cause}"
    return replace(result, state_lost=True, cause=f"{result.cause}; {note}" if result.cause else note)
