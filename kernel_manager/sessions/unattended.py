"""Cells that run with nobody there: the process that began them was killed, and they went on."""

from __future__ import annotations

import asyncio

from kernel_manager.errors import StorageError
from kernel_manager.provisioning.runtime import Runtime
from kernel_manager.sessions.lock import SessionLock
from kernel_manager.sessions.places import DataFolder


async def runs_unattended(data: DataFolder, runtime: Runtime, user_id: str) -> bool:
    """Whether a cell of the user may be running that no process of the service waits for."""
    return await asyncio.to_thread(_runs, data, runtime, user_id)


def _runs(data: DataFolder, runtime: Runtime, user_id: str) -> bool:
    for places in data.sessions_of(user_id):
        try:
            cell = SessionLock(places.lock).noted_cell()
        except StorageError:
            return True  # who cannot look must not remove anything
        if cell is not None and runtime.folder(cell.kernel_id).is_supervised():
            return True
    return False
