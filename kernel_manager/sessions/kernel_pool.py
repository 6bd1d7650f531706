"""Live kernels of all sessions and processes: counts them, makes room, starts new ones."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kernel_manager.config import Settings
from kernel_manager.errors import KernelStartError, LimitError, StorageError
from kernel_manager.files.file_lock import FileLock
from kernel_manager.packages.desk import PackageDesk
from kernel_manager.provisioning.factory import make_launcher
from kernel_manager.provisioning.kernel_environment import KernelEnvironment
from kernel_manager.provisioning.launcher import KernelRequest, Launcher
from kernel_manager.provisioning.live_kernel import ExitReport, LiveKernel
from kernel_manager.provisioning.runtime import KernelFolder, Runtime
from kernel_manager.sessions import culling
from kernel_manager.sessions.ending import bury, end_in, has_ended
from kernel_manager.sessions.history import History
from kernel_manager.sessions.lock import SessionLock
from kernel_manager.sessions.owner import Owner
from kernel_manager.sessions.places import DataFolder, SessionPlaces

#: How often room is looked for anew when a kernel that was to make room has begun a cell meanwhile.
_ATTEMPTS = 5
#: Seconds that a kernel has to say how it is.
_HELLO_PATIENCE_S = 2.0
#: Seconds for which the application that ended an ownerless kernel may still read how it ended.
_KEEP_ENDED_S = 60.0

#: Returns the root of the kernel environment to use now; builds it when there is none.
EnvironmentRoot = Callable[[], Awaitable[Path]]


@dataclass(frozen=True, slots=True)
class _Found:
    """A kernel that has not said that it ended. ``owner`` is None for one of another Jupyter application."""

    folder: KernelFolder
    owner: Owner | None


class KernelPool:
    """Starts kernels within MAX_KERNELS and MAX_KERNELS_PER_USER. ``clock`` gives the time in UTC."""

    def __init__(
        self,
        settings: Settings,
        data: DataFolder,
        runtime: Runtime,
        environment_root: EnvironmentRoot,
        packages: PackageDesk,
        clock: Callable[[], datetime],
    ) -> None:
        self._packages = packages
        self._settings = settings
        self._data = data
        self._runtime = runtime
        self._environment_root = environment_root
        self._clock = clock
        self._launcher: Launcher | None = None
        self._launcher_root: Path | None = None
        self._admitting = asyncio.Lock()

    async def start(self, user_id: str, session_id: str, request: KernelRequest) -> tuple[LiveKernel, str]:
        """See :class:`~kernel_manager.sessions.host.KernelSource`."""
        await self.prepare()  # before the kernel takes a place: building an environment takes its time
        folder = await self._admit(Owner(user_id, session_id), request.kernel_id)
        try:
            return await self._start_in(folder, request)
        except BaseException:
            folder.remove()
            raise

    async def _start_in(self, folder: KernelFolder, request: KernelRequest) -> tuple[LiveKernel, str]:
        """Start a kernel of the present generation; if another one became that meanwhile, one of that."""
        while True:
            launcher = await self._current_launcher()
            await self._packages.prepare(request.user, launcher.generation)
            try:
                kernel = await LiveKernel.launch(folder, launcher, request, self._settings.kernel_start_timeout)
            except KernelStartError:
                if (await self._current_launcher()).generation == launcher.generation:
                    raise
            else:
                return kernel, launcher.generation

    async def prepare(self) -> None:
        """Have the kernel environment built."""
        await self._current_launcher()

    async def environment_root(self) -> Path:
        """The root of the kernel environment, built if there is none."""
        return await self._environment_root()

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

    # --- room -----------------------------------------------------------------------------------------------------

    def has_room(self, user_id: str) -> bool:
        """Whether one more kernel of a user fits without another one having to end."""
        owners = [kernel.owner for kernel in self._found()]
        own = sum(owner is not None and owner.user_id == user_id for owner in owners)
        return len(owners) < self._settings.max_kernels and own < self._settings.max_kernels_per_user

    async def _admit(self, owner: Owner, kernel_id: str) -> KernelFolder:
        """Make the folder of a new kernel; from then on it counts, for every process."""
        async with self._admitting, _held(FileLock(self._runtime.root / "room.lock")):
            await self._make_room(owner.user_id)
            folder = self._runtime.folder(kernel_id)
            try:
                self._runtime.create(kernel_id=kernel_id)
                owner.write(folder)
            except StorageError:
                folder.remove()
                raise
        return folder

    async def _make_room(self, user_id: str) -> None:
        for _ in range(_ATTEMPTS):
            leaving = await self._choose(user_id)
            ended = [await self._end(found) for found in leaving]
            if all(ended):
                return
        raise LimitError("The service's kernels are all being used; try again in a moment.")

    async def _choose(self, user_id: str) -> list[_Found]:
        """Return the kernels that have to end so that one more of this user fits; raises LimitError."""
        found = {kernel.folder.kernel_id: kernel for kernel in self._found()}
        own = sum(kernel.owner is not None and kernel.owner.user_id == user_id for kernel in found.values())
        limit, own_limit = self._settings.max_kernels, self._settings.max_kernels_per_user
        if len(found) < limit and own < own_limit:
            return []  # without asking any kernel whether it lives: each would have to wake up
        alive = [seen for kernel in found.values() if (seen := await self._seen(kernel)) is not None]
        answer = culling.make_room(alive, user_id, limit, own_limit)
        if isinstance(answer, culling.Refusal):
            raise LimitError(answer.reason)
        return [found[kernel.session_key] for kernel in answer]

    def _found(self) -> Iterator[_Found]:
        for folder in self._runtime.folders():
            if not folder.is_reported:
                yield _Found(folder, Owner.read(folder))

    async def _seen(self, found: _Found) -> culling.LiveKernel | None:
        """A kernel as the culling sees it, or None if it is gone. Its key is the kernel's id."""
        kernel_id = found.folder.kernel_id
        if found.owner is None:
            return culling.LiveKernel(kernel_id, "", busy=True, last_used=0.0) if found.folder.is_supervised() else None
        places = self._places(found.owner)
        if SessionLock(places.lock).held_elsewhere():
            # a cell runs in it, or it is being started
            return culling.LiveKernel(kernel_id, found.owner.user_id, busy=True, last_used=_modified(places.lock))
        busy = await _runs_a_cell(found.folder)
        if busy is None:
            return None
        return culling.LiveKernel(kernel_id, found.owner.user_id, busy=busy, last_used=_modified(places.lock))

    async def _end(self, found: _Found) -> bool:
        """End an idle kernel, unless a cell has begun in its session."""
        assert found.owner is not None
        places = self._places(found.owner)
        if not places.exists:
            await end_in(found.folder, "limit")
            found.folder.remove()
            return True
        lock = SessionLock(places.lock)
        if not lock.try_drive():
            return False
        try:
            await end_in(found.folder, "limit")
            self._bury(found.folder, found.owner, lock)
        finally:
            lock.release()
        return True

    # --- what ended kernels leave ---------------------------------------------------------------------------------

    async def clear(self) -> None:
        """See :class:`~kernel_manager.sessions.host.KernelSource`."""
        for folder in self._runtime.folders():
            owner = Owner.read(folder)
            if owner is not None and has_ended(folder):
                self._clear_owned(folder, owner)
            elif owner is None and folder.is_reported and time.time() - _modified(folder.exit_file) > _KEEP_ENDED_S:
                folder.remove()

    def _clear_owned(self, folder: KernelFolder, owner: Owner) -> None:
        places = self._places(owner)
        if not places.exists:
            folder.remove()
            return
        lock = SessionLock(places.lock)
        if lock.try_drive():
            try:
                if has_ended(folder):
                    self._bury(folder, owner, lock)
            finally:
                lock.release()

    def _bury(self, folder: KernelFolder, owner: Owner, lock: SessionLock) -> None:
        """As :func:`~kernel_manager.sessions.burial.bury`; what an unrecorded cell left is kept for its session."""
        if lock.left_running() is not None:
            return
        places = self._places(owner)
        bury(places, History(places.history, self._clock), folder, ExitReport.read(folder))

    def _places(self, owner: Owner) -> SessionPlaces:
        return self._data.session(owner.user_id, owner.session_id)


async def _runs_a_cell(folder: KernelFolder) -> bool | None:
    """Whether a cell runs whose service was killed; None if the kernel is gone."""
    try:
        kernel = await asyncio.wait_for(LiveKernel.attach(folder), _HELLO_PATIENCE_S)
    except TimeoutError:
        return True
    if kernel is None:
        return None
    await kernel.aclose()
    return kernel.was_running


@contextlib.asynccontextmanager
async def _held(lock: FileLock) -> AsyncIterator[None]:
    await lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _modified(path: Path, otherwise: float = 0.0) -> float:
    """When a file was last written, in seconds since the epoch."""
    try:
        return path.stat().st_mtime
    except OSError:
        return otherwise
