"""Where sessions ask for packages: what a cell lacks, what of it may be installed, and the installation."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kernel_manager.errors import PackageInstallError, PackageRefusedError, StorageError
from kernel_manager.packages.approved import Approved, ApprovedPackages
from kernel_manager.packages.cell_imports import CellImports, read_imports
from kernel_manager.packages.import_errors import Lack
from kernel_manager.packages.in_thread import in_thread
from kernel_manager.packages.installer import Installation, Installer, InstallLimits, Wanted
from kernel_manager.packages.overlay import Overlay, OverlayContent, holds_module
from kernel_manager.packages.uv import PackageSource

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Whose packages: the name of the user's folder, the environment generation, and the working folder of the code."""

    user: str
    generation: str
    workspace: Path


@dataclass(slots=True)
class Shortage:
    """What is missing and may be installed, and lines about what may not."""

    wanted: list[Wanted] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, wanted: Wanted) -> None:
        """Want one more package, once."""
        if wanted not in self.wanted:
            self.wanted.append(wanted)


class PackageDesk:
    """The packages of one data folder. ``overlays`` holds all users' overlays, ``environments`` the generations."""

    def __init__(
        self,
        overlays: Path,
        environments: Path,
        approved: ApprovedPackages,
        limits: InstallLimits,
        source: PackageSource | None = None,
    ) -> None:
        self.approved = approved
        self._overlays = overlays
        self._environments = environments
        self._installer = Installer(environments, approved, limits, source)
        self._base_names: dict[str, tuple[Path, frozenset[str]]] = {}
        self._restored: set[Path] = set()

    # --- overlays -------------------------------------------------------------------------------------------------

    def overlay(self, user: str, generation: str) -> Overlay:
        """The overlay of a user's folder and a generation; it need not exist."""
        return Overlay(self._overlays / user / generation)

    async def prepare(self, user: str, generation: str) -> None:
        """Have the overlay's folder, before a kernel starts; raises StorageError."""
        overlay = self.overlay(user, generation)
        if not overlay.current.is_dir():
            await asyncio.to_thread(overlay.prepare)

    def overlays_of(self, user: str) -> list[Overlay]:
        """The overlays that a user has, the newest generation last."""
        return [Overlay(path) for path in sorted((self._overlays / user).glob("g-*")) if path.is_dir()]

    def users(self) -> list[str]:
        """The names of the folders of all users that have overlays."""
        return sorted(path.name for path in self._overlays.glob("*") if path.is_dir())

    def counts(self, generation: str | None) -> dict[str, int]:
        """How many users have packages of their own in a generation, how many packages these are, and their bytes."""
        contents = [self.overlay(user, generation).content() for user in self.users()] if generation else []
        filled = [content for content in contents if content.packages]
        return {
            "users": len(filled),
            "installed": sum(len(content.packages) for content in filled),
            "approved": len(self.approved),
            "size_mb": round(sum(content.size for content in filled) / 1e6),
        }

    # --- what is missing ------------------------------------------------------------------------------------------

    def missing_in(self, code: str, place: Place) -> Shortage:
        """What a cell lacks, as far as its text tells; raises PackageInstallError if its environment is gone."""
        imports = read_imports(code)
        shortage = Shortage()
        if imports != CellImports():
            for module in imports.modules:
                self._look_for(module, place, shortage)
            self._read_pip_lines(imports, place, shortage)
        return shortage

    def missing_after(self, lack: Lack, place: Place) -> Shortage:
        """What a cell lacked, as its error tells."""
        shortage = Shortage()
        for module in lack.modules:
            if self._look_for(module, place, shortage):
                return shortage
        for name in lack.names:
            package = self.approved.imported_as(name) or self.approved.named(name)
            if package is not None:
                if not self._has_package(package, place):
                    shortage.add(Wanted.plainly(package))
                return shortage
        unknown = lack.modules[-1] if lack.modules else lack.names[0]
        if not self._has(unknown.partition(".")[0], place):
            shortage.notes.append(self.approved.advice(unknown))
        return shortage

    def came_meanwhile(self, lack: Lack, place: Place) -> str | None:
        """The approved package that a cell lacked and that is there by now: another session of the user installed it."""
        if len(lack.modules) != 1 or "." in lack.modules[0]:
            return None
        package = self.approved.imported_as(lack.modules[0])
        return package.name if package is not None and self._has(lack.modules[0], place) else None

    def missing_by_name(self, texts: Sequence[str]) -> Shortage:
        """What was asked for by name, such as ``polars>=1``."""
        shortage = Shortage()
        for text in texts:
            found = self.approved.requirement_of(text)
            if found is None:
                shortage.notes.append(self.approved.refusal(text))
            else:
                shortage.add(Wanted(*found))
        return shortage

    def _read_pip_lines(self, imports: CellImports, place: Place, shortage: Shortage) -> None:
        asked = self.missing_by_name(imports.wanted)
        shortage.notes += asked.notes
        shortage.notes += [f"{item!r} was not followed: packages come from the operator's index" for item in imports.refused]
        for wanted in asked.wanted:
            if wanted.requirement.versions or wanted.requirement.extras or not self._has_package(wanted.package, place):
                shortage.add(wanted)

    def _look_for(self, module: str, place: Place, shortage: Shortage) -> bool:
        """Want the package that a dotted name comes from, unless it is there; return whether it is approved."""
        name = self.approved.import_name(module)
        package = self.approved.imported_as(module)
        if name is None or package is None:
            return False
        if not self._has(name, place) and name.partition(".")[0] not in sys.stdlib_module_names:
            for each in (package, *filter(None, map(self.approved.named, package.companions))):
                if each is package or not self._has_package(each, place):
                    shortage.add(Wanted.plainly(each))
        return True

    def _has_package(self, package: Approved, place: Place) -> bool:
        return all(self._has(name, place) for name in package.imports)

    def _has(self, module: str, place: Place) -> bool:
        """Whether a dotted name can be imported: from the environment, the overlay, or the working folder."""
        folder, names = self._base(place.generation)
        if "." not in module:
            if module in names:
                return True
        elif holds_module(folder, module):
            return True
        return holds_module(place.workspace, module) or self.overlay(place.user, place.generation).has(module)

    def _base(self, generation: str) -> tuple[Path, frozenset[str]]:
        if generation not in self._base_names:
            folder = next((self._environments / generation / "lib").glob("python3*/site-packages"), None)
            if folder is None:
                raise PackageInstallError(f"the kernel environment {generation} is gone; restart the session")
            self._base_names[generation] = folder, frozenset(path.name.split(".")[0] for path in folder.iterdir())
        return self._base_names[generation]

    # --- installing -----------------------------------------------------------------------------------------------

    async def install(self, place: Place, wanted: Sequence[Wanted], progress: Progress = lambda _line: None) -> Installation:
        """As :meth:`Installer.install`, in a thread; ``progress`` is called in the loop. Cancelling it ends the work."""
        return await self._install(self.overlay(place.user, place.generation), wanted, progress)

    async def _install(self, overlay: Overlay, wanted: Sequence[Wanted], progress: Progress) -> Installation:
        loop = asyncio.get_running_loop()

        def report(line: str) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(progress, line)

        def work(is_cancelled: Callable[[], bool]) -> Installation:
            overlay.prepare()
            return self._installer.install(overlay, wanted, report, is_cancelled)

        return await in_thread(work)

    def to_restore(self, user: str, generation: str) -> list[Wanted]:
        """What the user had in the newest other generation and this one lacks, if nothing was installed in it; asked once."""
        overlay = self.overlay(user, generation)
        if overlay.folder in self._restored:
            return []
        self._restored.add(overlay.folder)
        if overlay.content() != OverlayContent():
            return []
        others = [other.content() for other in self.overlays_of(user) if other.folder != overlay.folder]
        had = next((content.requested for content in reversed(others) if content.requested), ())
        return [wanted for wanted in self.missing_by_name(had).wanted if not self._is_in_base(wanted.package, generation)]

    def _is_in_base(self, package: Approved, generation: str) -> bool:
        try:
            _, names = self._base(generation)
        except PackageInstallError:  # it is only about to be there
            return False
        return all(name.partition(".")[0] in names for name in package.imports)

    def rebuild(self, generation: str, is_cancelled: Callable[[], bool], until: float) -> list[str]:
        """Install in a new generation what every user had in an earlier one; return a line for each that could not be.

        Who is not reached ``until`` then (on the monotonic clock) gets it when it is needed. Blocks; raises Cancelled.
        """
        failures: list[str] = []
        for user in self.users():
            if time.monotonic() > until:
                return [*failures, "the packages of all users take too long"]
            wanted = self.to_restore(user, generation)
            if not wanted:
                continue
            try:
                overlay = self.overlay(user, generation)
                overlay.prepare()
                self._installer.install(overlay, wanted, is_cancelled=is_cancelled)
            except (PackageInstallError, PackageRefusedError, StorageError) as exc:
                self._restored.discard(self.overlay(user, generation).folder)
                failures.append(f"packages of {user}: {exc}")
        return failures

    async def reset(self, user: str) -> int:
        """Remove all that was installed for a user, in every generation; return how many packages that were."""
        return await asyncio.to_thread(lambda: sum(map(_emptied, self.overlays_of(user))))

    def remove_orphans(self, generations: Iterable[str]) -> list[str]:
        """Remove overlays of generations that are gone; returns their folders, relative."""
        kept = set(generations)
        gone = [overlay for user in self.users() for overlay in self.overlays_of(user) if overlay.folder.name not in kept]
        return [str(overlay.folder.relative_to(self._overlays)) for overlay in gone if overlay.remove()]


def _emptied(overlay: Overlay) -> int:
    with overlay.locked():
        content = overlay.content()
        if content.packages:
            overlay.switch(overlay.new_version())
            overlay.tidy()
        return len(content.packages)
