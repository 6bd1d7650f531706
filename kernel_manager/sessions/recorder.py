"""Records in a session's history what another Jupyter client runs on its kernel."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field

from kernel_manager.execution.channels import Message
from kernel_manager.execution.outputs import OutputCollector, OutputLimits
from kernel_manager.execution.result import ExecutionResult
from kernel_manager.provisioning.live_kernel import LiveKernel
from kernel_manager.sessions import history as log
from kernel_manager.sessions.history import History
from kernel_manager.sessions.lock import RunningCell, SessionLock


@dataclass(slots=True)
class _Watched:
    cell: RunningCell
    count: int | None
    collector: OutputCollector
    started: float = field(default_factory=time.monotonic)


class Recorder:
    """Follows IOPub; give :meth:`on_message` to the channels, and :meth:`close` it at the end."""

    def __init__(self, history: History, lock: SessionLock, kernel: LiveKernel, limits: OutputLimits) -> None:
        self._history = history
        self._lock = lock
        self._kernel = kernel
        self._limits = limits
        self._watched: dict[str, _Watched] = {}
        kernel.exited.add_done_callback(self._on_exit)

    def on_message(self, channel: str, message: Message) -> None:
        """Take a message of somebody else's request."""
        if channel != "iopub":
            return
        msg_id = str((message.get("parent_header") or {}).get("msg_id", ""))
        if message["msg_type"] == "execute_input":
            self._begin(msg_id, message["content"])
        elif (watched := self._watched.get(msg_id)) is None:
            return
        elif message["msg_type"] == "status":
            if message["content"].get("execution_state") == "idle":
                self._end(msg_id, "error" if watched.collector.failed else "ok")
        else:
            watched.collector.handle(message)

    def close(self) -> None:
        """Stop following; a cell that still runs is left noted as running, for the next holder of the lock."""
        self._kernel.exited.remove_done_callback(self._on_exit)

    def _begin(self, msg_id: str, content: Message) -> None:
        count = content.get("execution_count")
        cell = RunningCell(secrets.token_hex(6), msg_id, self._kernel.folder.kernel_id)
        watched = _Watched(cell, count if isinstance(count, int) else None, OutputCollector(self._limits))
        self._history.append(
            log.CellStarted(cell.cell_id, str(content.get("code", "")), msg_id, cell.kernel_id, source="attach")
        )
        self._lock.note(cell)
        self._watched[msg_id] = watched

    def _end(self, msg_id: str, status: log.Status, cause: str | None = None) -> None:
        watched = self._watched.pop(msg_id)
        result = ExecutionResult(
            status=status,
            execution_count=watched.count,
            outputs=watched.collector.outputs,
            duration_s=round(time.monotonic() - watched.started, 6),
            cause=cause,
            state_lost=status == "died",
        )
        self._history.append(log.CellFinished.of(watched.cell.cell_id, result, watched.collector.display_ids))
        self._lock.note(None)

    def _on_exit(self, _: asyncio.Future[object]) -> None:
        for msg_id in list(self._watched):
            self._end(msg_id, "died", "the kernel ended while the cell ran")
