"""The end of a session's kernel: brought about, and written down by whoever holds the session's lock then."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace

from kernel_manager.execution.exit_cause import explain_exit
from kernel_manager.execution.runner import evidence_of
from kernel_manager.provisioning.live_kernel import ExitReport, LiveKernel
from kernel_manager.provisioning.runtime import KernelFolder
from kernel_manager.sessions import history as log
from kernel_manager.sessions.history import History
from kernel_manager.sessions.kernel_record import KernelRecord
from kernel_manager.sessions.places import SessionPlaces

logger = logging.getLogger(__name__)

#: Ends of a kernel that the user asked for: no surprise, so nothing to explain with the next cell.
_ASKED_FOR = frozenset({"stop", "restart"})
#: Seconds that a kernel has to end once it was killed; only a process stuck in the system takes longer.
_PATIENCE_S = 10.0
#: Seconds within which a kernel's supervisor answers; it does nothing that takes long.
_ANSWER_S = 5.0


async def end_in(folder: KernelFolder, reason: str) -> bool:
    """End the kernel of a folder and all that it started, whatever it does; return whether there was one."""
    answers = True
    try:
        async with asyncio.timeout(_ANSWER_S):
            kernel = await LiveKernel.attach(folder)
    except TimeoutError:
        answers = False
        kernel = await LiveKernel.reach(folder)
    if kernel is None:
        return False
    async with contextlib.aclosing(kernel):
        if answers:
            kernel.kill(reason)
        else:
            logger.warning("the supervisor of kernel %s does not answer and is killed", folder.kernel_id)
            kernel.kill_supervisor()
        done, _ = await asyncio.wait({kernel.exited}, timeout=_PATIENCE_S)
    if not done:
        logger.warning("kernel %s (pid %d) does not end", folder.kernel_id, kernel.pid)
    return True


def has_ended(folder: KernelFolder) -> bool:
    """Whether the kernel of a folder is gone; its supervisor writes the report before it goes itself."""
    return folder.is_reported or not folder.is_supervised()


def bury(places: SessionPlaces, history: History, folder: KernelFolder, report: ExitReport, *, told: bool = False) -> None:
    """Write down how a kernel ended, unless somebody has, and remove its folder.

    ``told`` says that the result of a cell has said so already. Raises StorageError, and can be called again then.
    """
    record = KernelRecord.read(places.kernel)
    if record.kernel_id == folder.kernel_id:
        cause = _end_cause(folder, report)
        history.append(log.KernelEnded(folder.kernel_id, cause, state_lost=record.used))
        replace(record, kernel_id=None, used=False, lost_cause=_to_tell(record, report, cause, told)).write(places.kernel)
    folder.remove()


def _to_tell(record: KernelRecord, report: ExitReport, cause: str, told: bool) -> str | None:
    """What the next cell's result has to say about lost variables."""
    if told or report.killed_by in _ASKED_FOR:
        return None
    return cause if record.used else record.lost_cause


def _end_cause(folder: KernelFolder, report: ExitReport) -> str:
    if not folder.path.exists():
        return "the machine or its runtime folder was reset"
    return explain_exit(evidence_of(report))
