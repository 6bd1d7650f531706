"""The end of a cell whose service was killed: the cell went on, and what came of it belongs into the history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from kernel_manager.execution.channels import Channels
from kernel_manager.execution.result import ExecutionResult, WrittenFile
from kernel_manager.execution.runner import CellLimits, CellRun
from kernel_manager.kernelside.spool import read_spool
from kernel_manager.provisioning.live_kernel import LiveKernel
from kernel_manager.provisioning.runtime import KernelFolder
from kernel_manager.sessions.cell_log import CellLog
from kernel_manager.sessions.host import SessionHost
from kernel_manager.sessions.lock import RunningCell
from kernel_manager.sessions.outcome import outcome
from kernel_manager.sessions.session_kernel import SessionKernel

_RESET = "the machine or its runtime folder was reset while the cell ran; run it again"
_NEVER_SENT = "the service was ended before the kernel got the cell, so it did not run; run it again"


async def recover(
    left: RunningCell,
    kernel: SessionKernel,
    cells: CellLog,
    host: SessionHost,
    limits: CellLimits,
    written_since: Callable[[datetime], list[WrittenFile]],
) -> None:
    """Wait for the end of a cell that an earlier holder of the lock had sent, and record it.

    ``written_since`` tells which files were written since a moment: nobody looked before the cell began.
    """
    folder = host.runtime.folder(left.kernel_id)
    if await kernel.attach(left.kernel_id):
        live, channels = kernel.connection()
    elif folder.connection_file.exists():
        live, channels = LiveKernel.ended(folder), Channels(folder.connection(), host.context)
    else:
        cells.ended(left.cell_id, ExecutionResult("died", cause=_RESET, state_lost=True), {})
        return
    run = CellRun(live, channels, limits, lambda _event: None)
    run.resume(left.msg_id, deadline_hit=live.deadline_hit)
    result = await run.finished()
    live.disarm()  # the clock that the killed service had started
    had_ended = result.status == "died" and _had_ended(left.msg_id, folder, channels)
    begun = cells.begun_at(left.cell_id)
    result = replace(_corrected(result, run, had_ended=had_ended), files=written_since(begun) if begun is not None else [])
    cells.ended(left.cell_id, result, run.collector.display_ids)


def _corrected(result: ExecutionResult, run: CellRun, *, had_ended: bool) -> ExecutionResult:
    """Tell from the outputs what the reply would have said."""
    if result.status == "ok" and result.execution_count is None:
        return replace(result, status="interrupted", cause=_NEVER_SENT)
    if result.status == "error" or had_ended:
        status, cause = outcome(run.collector)
        return replace(result, status=status, cause=cause, state_lost=False)
    return result


def _had_ended(msg_id: str, folder: KernelFolder, channels: Channels) -> bool:
    """Whether a cell was over before its kernel died."""
    return any(
        message["parent_header"].get("msg_id") == msg_id and message["content"].get("execution_state") == "idle"
        for message in map(channels.parse, read_spool(folder.spool))
        if message is not None and message["msg_type"] == "status"
    )
