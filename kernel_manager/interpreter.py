"""The composition root: opens what a service needs, in order, and closes it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kernel_manager.config import Settings
from kernel_manager.database.opening import adopted, database_of
from kernel_manager.database.protocol import Database
from kernel_manager.errors import DatabaseError
from kernel_manager.execution.channels import make_context
from kernel_manager.files.leases import Leases
from kernel_manager.files.reconciler import Places
from kernel_manager.files.store import FileStore
from kernel_manager.files.user_file import FileLimits
from kernel_manager.housekeeping import CleanupReport, Housekeeping, refresh_selections
from kernel_manager.packages.approved import ApprovedPackages
from kernel_manager.packages.desk import PackageDesk
from kernel_manager.packages.environments import Environments
from kernel_manager.packages.installer import InstallLimits
from kernel_manager.packages.renewal import Renewal
from kernel_manager.packages.user_packages import UserPackages
from kernel_manager.packages.uv import PackageSource
from kernel_manager.provisioning.kernel_environment import KernelEnvironment
from kernel_manager.provisioning.runtime import Runtime
from kernel_manager.provisioning.sandbox import SandboxReport, examine
from kernel_manager.sessions.host import SessionHost
from kernel_manager.sessions.kernel_pool import KernelPool
from kernel_manager.sessions.manager import SessionManager
from kernel_manager.sessions.names import check_id, folder_name
from kernel_manager.sessions.places import DataFolder
from kernel_manager.sessions.session import Session, SessionInfo
from kernel_manager.sessions.unattended import runs_unattended

Progress = Callable[[str], None]

_MB = 2**20
_OPEN_NETWORK = "open: code reaches what this machine reaches, its own services included"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Interpreter:
    """The interpreter of one data folder; see :func:`open_interpreter`.

    ``files`` are the files of all users, ``database`` their records and whatever else is remembered, ``packages`` what is
    installed for them.
    """

    def __init__(
        self,
        settings: Settings,
        manager: SessionManager,
        environments: Environments,
        pool: KernelPool,
        files: FileStore,
        database: Database,
        housekeeping: Housekeeping,
        packages: PackageDesk,
        data: DataFolder,
    ) -> None:
        self.settings = settings
        self.environments = environments
        self.files = files
        self.database = database
        self.packages = packages
        self._manager = manager
        self._pool = pool
        self._housekeeping = housekeeping
        self._data = data

    async def session(self, user_id: str | int, session_id: str = "default", *, create: bool = True) -> Session:
        """Return a user's session; it is made if it is new.

        Raises UsageError for an id that cannot be one, UnknownSessionError if ``create`` is false and there is none.
        """
        return await self._manager.get(user_id, session_id, create=create)

    async def sessions(self) -> list[SessionInfo]:
        """Return every session of the data folder."""
        return await self._manager.infos()

    @property
    def sessions_here(self) -> list[Session]:
        """The sessions that this process uses now, without a look at the disk."""
        return self._manager.here

    async def has_room(self, user_id: str | int) -> bool:
        """Whether a user can have one more kernel now without another one ending for it."""
        return await asyncio.to_thread(self._pool.has_room, check_id(user_id, "the user id"))

    async def remove_session(self, user_id: str | int, session_id: str) -> None:
        """End a session's kernel and delete everything of it; files that were handed in stay.

        Raises UnknownSessionError if there is none, StorageError if it cannot be deleted.
        """
        await self._manager.remove(user_id, session_id)

    async def refresh_selections(self) -> None:
        """Have sessions that see chosen files let go now of those that their owners removed. Raises StorageError."""
        await asyncio.to_thread(refresh_selections, self._data)

    async def stop_all(self) -> int:
        """End every kernel and the zygote; return the number of kernels."""
        return await self._manager.stop_all()

    async def prepare(self) -> None:
        """Build the kernel environment if there is none, so that the first cell does not have to."""
        await self._pool.prepare()

    async def examine_sandbox(self) -> SandboxReport:
        """Try which protections this machine gives kernels; raises ServiceError if that is not possible."""
        return await examine(self.settings, KernelEnvironment.at(await self._pool.environment_root()).python)

    async def cleanup(self) -> CleanupReport:
        """Remove now what has expired or was abandoned; return what went."""
        return await self._housekeeping.cleanup()

    async def user_packages(self, user_id: str | int) -> UserPackages:
        """What was installed for a user in the present environment; :meth:`prepare` makes one for what is to be installed."""
        folder = folder_name(check_id(user_id, "the user id"))
        environment = await asyncio.to_thread(self.environments.current)
        return UserPackages(self.packages, folder, environment.generation if environment else None)

    async def status(self) -> dict[str, Any]:
        """Return the state of the service, ready for JSON. Sizes are in MB."""
        infos = await self.sessions()
        environment = await asyncio.to_thread(self.environments.status)
        sandbox = self.settings.sandbox if sys.platform == "linux" else "none"
        return {
            "data_dir": str(self.settings.data_dir),
            "runtime_dir": str(self.settings.runtime_path),
            "environment": environment,
            "venv_exists": environment["python"] is not None,
            "package_count": environment["package_count"],
            "packages": await asyncio.to_thread(self.packages.counts, environment["generation"]),
            "sessions": len(infos),
            "sessions_by_state": dict(sorted(Counter(info.state for info in infos).items())),
            "kernels": sum(info.kernel_pid is not None for info in infos),
            "database": self.database.location,
            **await self._status_of_files(),
            "disk_free_mb": round(shutil.disk_usage(self.settings.data_dir).free / _MB, 1),
            "sandbox": sandbox,
            "kernel_network": _OPEN_NETWORK if self.settings.kernel_network or sandbox == "none" else "off",
        }

    async def _status_of_files(self) -> dict[str, Any]:
        try:
            totals = await self.files.totals()
        except DatabaseError as exc:
            return {"total_user_files": None, "total_file_size_mb": None, "users_with_files": None, "database_error": str(exc)}
        return {
            "total_user_files": totals["files"],
            "total_file_size_mb": round(totals["size"] / _MB, 2),
            "users_with_files": totals["users"],
        }


@contextlib.asynccontextmanager
async def open_interpreter(
    settings: Settings | None = None,
    *,
    progress: Progress | None = None,
    database: Any = None,
    housekeeping: bool = True,
    clock: Callable[[], datetime] = _utc_now,
    source: PackageSource | None = None,
) -> AsyncIterator[Interpreter]:
    """Open the interpreter; kernels outlive it.

    ``settings`` default to the environment's. ``progress`` gets one line for each step when the kernel environment
    must be built first. ``database`` is used instead of the one that the settings name, and stays open: one of ours, or a
    database object of pymongo's asynchronous client or of Motor. Without ``housekeeping`` nothing is cleaned up or renewed in
    the background. ``source`` says where packages come from, if not from where uv is set up to take them. Raises SettingsError
    or StorageError.
    """
    settings = settings or Settings.load()
    data, runtime = DataFolder(settings.data_dir), Runtime(settings.runtime_path)
    data.open()
    runtime.open()
    environments = Environments.from_settings(settings, source)
    packages = make_desk(settings, source)

    async def environment_root() -> Path:
        return (await environments.ensure_async(progress)).root

    pool = KernelPool(settings, data, runtime, environment_root, packages, clock)
    async with contextlib.AsyncExitStack() as stack:
        records = _database_of(settings, database, clock)
        if database is None:
            stack.push_async_callback(records.close)
        files = _files_of(settings, data, runtime, records, clock)
        context = make_context()
        stack.callback(context.destroy, linger=0)
        stack.push_async_callback(pool.aclose)
        manager = SessionManager(SessionHost(settings, data, runtime, context, pool, files, packages, clock))
        stack.push_async_callback(manager.aclose)
        await stack.enter_async_context(manager.culling())
        rounds = Housekeeping(settings, data, runtime, files, pool, clock)
        if housekeeping:
            await stack.enter_async_context(rounds.running())
            renewal = Renewal(environments, packages, settings.environment_renewal_days, manager.quiet_for, clock)
            await stack.enter_async_context(renewal.running())
        yield Interpreter(settings, manager, environments, pool, files, records, rounds, packages, data)


def _database_of(settings: Settings, database: Any, clock: Callable[[], datetime]) -> Database:
    if database is None:
        return database_of(settings, clock)
    return adopted(database, clock, prefix=settings.mongodb_collection_prefix or "")


def _files_of(
    settings: Settings, data: DataFolder, runtime: Runtime, database: Database, clock: Callable[[], datetime]
) -> FileStore:
    leases = Leases(data.file_folders, lambda user_id: runs_unattended(data, runtime, user_id))
    places = Places(data.file_folders, data.files, data.workspace)
    return FileStore(places, FileLimits.of(settings), database, leases, clock)


def make_desk(settings: Settings, source: PackageSource | None = None) -> PackageDesk:
    """The packages of the settings' data folder; raises SettingsError for a file of approved packages that cannot be used."""
    limits = InstallLimits(settings.max_packages_mb * 2**20, settings.package_install_timeout)
    approved = ApprovedPackages.load(settings.approved_packages)
    return PackageDesk(settings.data_dir / "packages", settings.environments_path, approved, limits, source)


async def get_interpreter_status(db_handler: Any = None, settings: Settings | None = None) -> dict[str, Any]:
    """Return the state of the service, ready for JSON; see :meth:`Interpreter.status` for what is in it.

    ``db_handler`` is a database to use instead of the one that the settings name.
    """
    async with open_interpreter(settings, database=db_handler, housekeeping=False) as interpreter:
        return await interpreter.status()


async def cleanup_expired_files(db_handler: Any = None, settings: Settings | None = None) -> int:
    """Remove expired files from disk and database, and whatever else is due; return how many files went.

    ``db_handler`` as in :func:`get_interpreter_status`.
    """
    async with open_interpreter(settings, database=db_handler, housekeeping=False) as interpreter:
        return len((await interpreter.cleanup()).files)
