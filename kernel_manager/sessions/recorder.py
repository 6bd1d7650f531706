"""Records in a session's history what another Jupyter client runs on its kernel."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field

from kernel_manager.errors import StorageError
from kernel_manager.execution.channels import Channels, Message
from kernel_manager.execution.events import DisplayUpdated
from kernel_manager.execution.exit_cause import explain_exit
from kernel_manager.execution.outputs import OutputCollector, OutputLimits
from kernel_manager.execution.result import ExecutionResult, Status
from kernel_manager.execution.runner import evidence_of
from kernel_manager.kernelside.spool import read_spool
from kernel_manager.provisioning.live_kernel import ExitReport, LiveKernel
from kernel_manager.sessions.cell_log import CellLog
from kernel_manager.sessions.lock import RunningCell
from kernel_manager.sessions.outcome import outcome

#: Message ids of one cell that are remembered to tell the spool's copies; the spool holds fewer.
_REMEMBERED_IDS = 50_000


@dataclass(slots=True)
class _Watched:
    cell: RunningCell
    count: int | None
    collector: OutputCollector
    updates: dict[str, DisplayUpdated] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    started: float = field(default_factory=time.monotonic)


class Recorder:
    """Follows IOPub from its making until :meth:`close`.

    ``failure`` is what kept it from recording a cell; the other client is not disturbed by that.
    """

    def __init__(self, cells: CellLog, kernel: LiveKernel, channels: Channels, limits: OutputLimits) -> None:
        self._cells = cells
        self._kernel = kernel
        self._channels = channels
        self._limits = limits
        self._watched: dict[str, _Watched] = {}
        self._last_ended = ""
        self.failure: StorageError | None = None
        channels.on_other = self._on_message
        kernel.exited.add_done_callback(self._on_exit)

    def close(self) -> None:
        """Stop following; a cell that still runs is left noted as running, for the next holder of the lock."""
        self._channels.on_other = None
        self._kernel.exited.remove_done_callback(self._on_exit)

    def _on_message(self, channel: str, message: Message) -> None:
        """Take a message of somebody else's request."""
        if channel != "iopub":
            return
        msg_id = str(message["parent_header"].get("msg_id", ""))
        try:
            self._on_iopub(msg_id, message)
        except StorageError as exc:
            self.failure = exc

    def _on_iopub(self, msg_id: str, message: Message) -> None:
        if message["msg_type"] == "execute_input":
            self._begin(msg_id, message["content"])
        elif (watched := self._watched.get(msg_id)) is None or not _is_new(message, watched):
            return
        elif message["msg_type"] == "status":
            if message["content"].get("execution_state") == "idle":
                self._end(msg_id, *outcome(watched.collector))
        else:
            for event in watched.collector.handle(message):
                if isinstance(event, DisplayUpdated) and len(watched.updates) < self._limits.max_outputs:
                    watched.updates[event.display_id] = event

    def _begin(self, msg_id: str, content: Message) -> None:
        if msg_id in self._watched or msg_id == self._last_ended:
            return
        count = content.get("execution_count")
        cell = RunningCell(secrets.token_hex(6), msg_id, self._kernel.folder.kernel_id)
        self._cells.began(cell, str(content.get("code", "")), source="attach")
        self._watched[msg_id] = _Watched(cell, count if isinstance(count, int) else None, OutputCollector(self._limits))

    def _end(self, msg_id: str, status: Status, cause: str | None) -> None:
        watched = self._watched.pop(msg_id)
        self._last_ended = msg_id
        result = ExecutionResult(
            status=status,
            execution_count=watched.count,
            outputs=watched.collector.outputs,
            duration_s=round(time.monotonic() - watched.started, 6),
            cause=cause,
            state_lost=status == "died",
        )
        self._cells.updated(watched.updates)
        self._cells.ended(watched.cell.cell_id, result, watched.collector.display_ids)

    def _on_exit(self, exited: asyncio.Future[ExitReport]) -> None:
        """The kernel is gone; what had not arrived yet is in its spool."""
        for message in map(self._channels.parse, read_spool(self._kernel.folder.spool)):
            if message is not None:
                self._on_message("iopub", message)
        self._channels.on_other = None
        cause = explain_exit(evidence_of(exited.result()))
        for msg_id in list(self._watched):
            try:
                self._end(msg_id, "died", cause)
            except StorageError as exc:
                self.failure = exc


def _is_new(message: Message, watched: _Watched) -> bool:
    msg_id = message["header"]["msg_id"]
    if msg_id in watched.seen:
        return False
    if len(watched.seen) < _REMEMBERED_IDS:
        watched.seen.add(msg_id)
    return True
