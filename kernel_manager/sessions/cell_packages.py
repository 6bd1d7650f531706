"""The packages of one cell: installed before it runs, or after it failed for one; what is to be told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeVar

from kernel_manager.errors import PackageInstallError, PackageRefusedError, StorageError
from kernel_manager.execution.events import PackagesInstalled, PackagesInstalling
from kernel_manager.execution.result import ExecutionResult
from kernel_manager.packages.desk import PackageDesk, Place, Shortage
from kernel_manager.packages.import_errors import Lack, last_error, read_lack
from kernel_manager.packages.installer import Wanted
from kernel_manager.packages.rerun import had_no_effect
from kernel_manager.sessions.asked_cell import AskedCell

_INTERRUPTED = "the cell was interrupted while its packages were being installed; nothing of it ran"
_MAX_NOTES = 10
_T = TypeVar("_T")


class CellPackages:
    """See the module. ``installed`` is for the result, as ``name==version``; ``notes`` are lines for its outputs."""

    def __init__(self, desk: PackageDesk, place: Place, cell: AskedCell) -> None:
        self._desk = desk
        self._place = place
        self._cell = cell
        self._failed: set[str] = set()
        self.installed: list[str] = []
        self.notes: list[str] = []

    async def before(self) -> ExecutionResult | None:
        """Install what the cell's text says it needs. Returns the result of a cell that was interrupted meanwhile."""
        try:
            restored = self._desk.to_restore(self._place.user, self._place.generation)
            shortage = self._desk.missing_in(self._cell.code, self._place)
        except (PackageInstallError, StorageError, OSError):
            return None  # the cell will say what it misses
        self._note(*shortage.notes)
        # what the cell needs comes by itself if what the user had before cannot be restored
        for wanted in (restored, shortage.wanted):
            if wanted and not await self._install(wanted, counted=wanted is not restored):
                return self._cell.withdrawn or ExecutionResult("interrupted", cause=_INTERRUPTED)
        return None

    async def after(self, result: ExecutionResult) -> bool:
        """Install what the error that ended the cell says was missing; return whether the cell may run again."""
        error = last_error(result.outputs)
        lack = read_lack(str(error["ename"]), str(error["evalue"])) if error is not None and result.status == "error" else None
        if error is None or lack is None:
            return False
        try:
            shortage = self._desk.missing_after(lack, self._place)
        except (PackageInstallError, OSError):
            return False
        self._note(*shortage.notes)
        names = await self._come_by(shortage, lack)
        if not names:
            return False
        others = [output for output in result.outputs if output is not error]
        if not others and had_no_effect(self._cell.code, result.execution_count, error["traceback"]):
            return True
        self._note(
            f"{', '.join(names)} is installed now; a part of the cell had run already, so it was not repeated: run it again"
        )
        return False

    async def _come_by(self, shortage: Shortage, lack: Lack) -> Sequence[str]:
        """Install what a cell lacked, unless it has come meanwhile; return the packages that are there now."""
        wanted = [item for item in shortage.wanted if item.package.name not in self._failed]
        if not wanted:
            came = self._desk.came_meanwhile(lack, self._place)
            return [came] if came is not None else []
        if not await self._install(wanted) or self._desk.missing_after(lack, self._place).wanted:
            return []
        return [item.package.name for item in wanted]

    async def _install(self, wanted: Sequence[Wanted], *, counted: bool = True) -> bool:
        """Install; a failure becomes a note. Returns False if it was stopped from outside."""
        names = tuple(dict.fromkeys(item.package.name for item in wanted))

        def tell(line: str) -> None:
            self._cell.emit(PackagesInstalling(names, line))

        work = asyncio.create_task(self._desk.install(self._place, wanted, tell))
        try:
            with self._cell.waiting(work.cancel):
                done = await _outcome(work)
        except (PackageInstallError, PackageRefusedError, StorageError) as exc:
            self._failed.update(names)
            self._note(str(exc))
            return True
        if done is None:
            return False
        new = tuple(f"{name}=={done.added[name]}" for name in done.requested if name in done.added)
        if counted:
            self.installed += [name for name in new if name not in self.installed]
        if done.added:
            added = tuple(f"{name}=={version}" for name, version in done.added.items())
            self._cell.emit(PackagesInstalled(new, added))
        return True

    def _note(self, *lines: str) -> None:
        self.notes += [line for line in dict.fromkeys(lines) if line not in self.notes][: _MAX_NOTES - len(self.notes)]


async def _outcome(work: asyncio.Task[_T]) -> _T | None:
    """Wait for a task; None if it was cancelled from elsewhere. Who is cancelled itself cancels it."""
    try:
        await asyncio.wait({work})
    except asyncio.CancelledError:
        work.cancel()
        await asyncio.wait({work})
        raise
    return None if work.cancelled() else work.result()
