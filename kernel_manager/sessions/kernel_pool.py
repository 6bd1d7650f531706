"""Live kernels of all sessions and processes: counts them, makes room, starts new ones."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from kernel_manager.config import Settings
from kernel_manager.errors import LimitError
from kernel_manager.provisioning.factory import make_launcher
from kernel_manager.provisioning.kernel_environment import KernelEnvironment
from kernel_manager.provisioning.launcher import KernelRequest, Launcher
from kernel_manager.provisioning.live_kernel import LiveKernel
from kernel_manager.provisioning.runtime import KernelFolder, Runtime, write_private
from kernel_manager.sessions import culling
from kernel_manager.sessions.lock import SessionLock
from kernel_manager.sessions.places import DataFolder

_OWNER_FILE = "owner.json"

#: Returns the root of the kernel environment to use now; builds it when there is none.
EnvironmentRoot = Callable[[], Awaitable[Path]]


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose kernel it is; written into the kernel's folder, so that every process can tell."""

    user_id: str
    session_id: str

    @classmethod
    def read(cls, folder: KernelFolder) -> Owner | None:
        """Return the owner, or None for a kernel of another Jupyter application."""
        try:
            values = json.loads((folder.path / _OWNER_FILE).read_text())
            return cls(str(values["user_id"]), str(values["session_id"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None


class KernelPool:
    """Starts kernels within MAX_KERNELS and MAX_KERNELS_PER_USER."""

    def __init__(self, settings: Settings, data: DataFolder, runtime: Runtime, environment_root: EnvironmentRoot) -> None:
        self._settings = settings
        self._data = data
        self._runtime = runtime
        self._environment_root = environment_root
        self._launcher: Launcher | None = None
        self._launcher_root: Path | None = None
        self._making_room = asyncio.Lock()

    async def start(self, user_id: str, session_id: str, request: KernelRequest) -> tuple[LiveKernel, str]:
        """See :class:`~kernel_manager.sessions.host.KernelSource`."""
        launcher = await self._current_launcher()
        async with self._making_room:
            await self._make_room(user_id)
            folder = self._runtime.create()
            write_private(folder.path / _OWNER_FILE, json.dumps({"user_id": user_id, "session_id": session_id}))
        try:
            kernel = await LiveKernel.start(
                folder, launcher, replace(request, kernel_id=folder.kernel_id), self._settings.kernel_start_timeout
            )
        except BaseException:
            folder.remove()
            raise
        return kernel, launcher.generation

    async def prepare(self) -> None:
        """Have the environment built and the zygote started."""
        await self._current_launcher()

    async def aclose(self) -> None:
        """Let go of the launcher; kernels live on."""
        if self._launcher is not None:
            await self._launcher.aclose()

    async def _current_launcher(self) -> Launcher:
        root = await self._environment_root()
        if self._launcher is None or root != self._launcher_root:
            await self.aclose()
            self._launcher, self._launcher_root = make_launcher(self._settings, KernelEnvironment.at(root)), root
        return self._launcher

    async def _make_room(self, user_id: str) -> None:
        kernels = {folder.kernel_id: (folder, self._seen(folder)) for folder in self._runtime.folders()}
        alive = {key: (folder, seen) for key, (folder, seen) in kernels.items() if seen is not None}
        settings = self._settings
        if len(alive) < min(settings.max_kernels, settings.max_kernels_per_user):
            return
        answer = culling.make_room(
            [seen for _, seen in alive.values() if seen], user_id, settings.max_kernels, settings.max_kernels_per_user
        )
        if isinstance(answer, culling.Refusal):
            raise LimitError(answer.reason)
        for chosen in answer:
            await _end(alive[chosen.session_key][0])

    def _seen(self, folder: KernelFolder) -> culling.LiveKernel | None:
        """A kernel as the culling sees it, or None if it is not alive. Its key is the kernel's id."""
        if not folder.is_supervised():
            return None
        owner = Owner.read(folder)
        if owner is None:
            return culling.LiveKernel(folder.kernel_id, "", busy=True, last_used=0.0)
        lock = self._data.session(owner.user_id, owner.session_id).lock
        busy = SessionLock(lock).held_elsewhere()
        return culling.LiveKernel(folder.kernel_id, owner.user_id, busy=busy, last_used=_modified(lock))


async def _end(folder: KernelFolder) -> None:
    kernel = await LiveKernel.attach(folder)
    if kernel is not None:
        kernel.kill("limit")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(kernel.exited), 5)
        await kernel.aclose()


def _modified(path: Path) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
