"""The composition root: opens what a service needs, in order, and closes it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kernel_manager.config import Settings
from kernel_manager.execution.channels import make_context
from kernel_manager.packages.approved import ApprovedPackages
from kernel_manager.packages.desk import PackageDesk
from kernel_manager.packages.environments import Environments
from kernel_manager.packages.installer import InstallLimits
from kernel_manager.packages.renewal import Renewal
from kernel_manager.packages.user_packages import UserPackages
from kernel_manager.packages.uv import PackageSource
from kernel_manager.provisioning.runtime import Runtime
from kernel_manager.sessions.host import SessionHost
from kernel_manager.sessions.kernel_pool import KernelPool
from kernel_manager.sessions.manager import SessionManager
from kernel_manager.sessions.names import check_id, folder_name
from kernel_manager.sessions.places import DataFolder
from kernel_manager.sessions.session import Session, SessionInfo

Progress = Callable[[str], None]


class Interpreter:
    """The interpreter of one data folder; see :func:`open_interpreter`."""

    def __init__(
        self,
        settings: Settings,
        manager: SessionManager,
        environments: Environments,
        pool: KernelPool,
        packages: PackageDesk,
    ) -> None:
        self.settings = settings
        self.environments = environments
        self.packages = packages
        self._manager = manager
        self._pool = pool

    async def session(self, user_id: str | int, session_id: str = "default", *, create: bool = True) -> Session:
        """Return a user's session; it is made if it is new.

        Raises UsageError for an id that cannot be one, UnknownSessionError if ``create`` is false and there is none.
        """
        return await self._manager.get(user_id, session_id, create=create)

    async def sessions(self) -> list[SessionInfo]:
        """Return every session of the data folder."""
        return await self._manager.infos()

    async def stop_all(self) -> int:
        """End every kernel and the zygote; return the number of kernels."""
        return await self._manager.stop_all()

    async def prepare(self) -> None:
        """Build the kernel environment if there is none, so that the first cell does not have to."""
        await self._pool.prepare()

    async def user_packages(self, user_id: str | int) -> UserPackages:
        """What was installed for a user in the present environment; :meth:`prepare` makes one for what is to be installed."""
        folder = folder_name(check_id(user_id, "the user id"))
        environment = await asyncio.to_thread(self.environments.current)
        return UserPackages(self.packages, folder, environment.generation if environment else None)

    async def status(self) -> dict[str, Any]:
        """Return the state of the service, ready for JSON."""
        infos = await self.sessions()
        environment = await asyncio.to_thread(self.environments.status)
        return {
            "data_dir": str(self.settings.data_dir),
            "runtime_dir": str(self.settings.runtime_path),
            "environment": environment,
            "packages": await asyncio.to_thread(self.packages.counts, environment["generation"]),
            "sessions": len(infos),
            "sessions_by_state": dict(sorted(Counter(info.state for info in infos).items())),
            "kernels": sum(info.kernel_pid is not None for info in infos),
        }


@contextlib.asynccontextmanager
async def open_interpreter(
    settings: Settings | None = None, *, progress: Progress | None = None, source: PackageSource | None = None
) -> AsyncIterator[Interpreter]:
    """Open the interpreter; kernels outlive it.

    ``settings`` default to the environment's. ``progress`` gets one line for each step when the kernel environment
    must be built first. ``source`` says where packages come from, if not from where uv is set up to take them.
    Raises SettingsError or StorageError.
    """
    settings = settings or Settings.load()
    data, runtime = DataFolder(settings.data_dir), Runtime(settings.runtime_path)
    data.open()
    runtime.open()
    environments = Environments.from_settings(settings, source)
    packages = make_desk(settings, source)

    async def environment_root() -> Path:
        return (await environments.ensure_async(progress)).root

    def clock() -> datetime:
        return datetime.now(UTC)

    pool = KernelPool(settings, data, runtime, environment_root, packages, clock)
    async with contextlib.AsyncExitStack() as stack:
        context = make_context()
        stack.callback(context.destroy, linger=0)
        stack.push_async_callback(pool.aclose)
        manager = SessionManager(SessionHost(settings, data, runtime, context, pool, packages, clock))
        stack.push_async_callback(manager.aclose)
        await stack.enter_async_context(manager.culling())
        renewal = Renewal(environments, packages, settings.environment_renewal_days, manager.quiet_for, clock)
        await stack.enter_async_context(renewal.running())
        yield Interpreter(settings, manager, environments, pool, packages)


def make_desk(settings: Settings, source: PackageSource | None = None) -> PackageDesk:
    """The packages of the settings' data folder; raises SettingsError for a file of approved packages that cannot be used."""
    limits = InstallLimits(settings.max_packages_mb * 2**20, settings.package_install_timeout)
    approved = ApprovedPackages.load(settings.approved_packages)
    return PackageDesk(settings.data_dir / "packages", settings.environments_path, approved, limits, source)
