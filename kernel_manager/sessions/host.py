"""What a session needs from the service around it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import zmq.asyncio

from kernel_manager.config import Settings
from kernel_manager.files.store import FileStore
from kernel_manager.packages.desk import PackageDesk
from kernel_manager.provisioning.launcher import KernelRequest
from kernel_manager.provisioning.live_kernel import LiveKernel
from kernel_manager.provisioning.runtime import Runtime
from kernel_manager.sessions.places import DataFolder


class KernelSource(Protocol):
    """Gives sessions their kernels, within the operator's limits."""

    async def start(self, user_id: str, session_id: str, request: KernelRequest) -> tuple[LiveKernel, str]:
        """Return a new kernel, which may be connected to, and its environment's generation.

        Called by whoever holds the session's lock.

        Raises LimitError when no room can be made, KernelStartError when no kernel comes up.
        """

    async def clear(self) -> None:
        """Write down the end of kernels that ended with nobody there, and remove their folders."""


@dataclass(frozen=True, slots=True)
class SessionHost:
    """The parts of the service that all sessions share. ``clock`` gives the time in UTC."""

    settings: Settings
    data: DataFolder
    runtime: Runtime
    context: zmq.asyncio.Context
    kernels: KernelSource
    files: FileStore
    packages: PackageDesk
    clock: Callable[[], datetime]
