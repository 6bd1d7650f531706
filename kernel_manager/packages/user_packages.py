"""What was installed for one user, as a person asks for it outside of a cell."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from kernel_manager.errors import PackageInstallError, PackageRefusedError
from kernel_manager.packages.desk import PackageDesk, Place
from kernel_manager.packages.overlay import OverlayContent

Progress = Callable[[str], None]


class UserPackages:
    """The packages of the user whose folder is ``folder``, in the present environment and those that kernels are still in."""

    def __init__(self, desk: PackageDesk, folder: str, generation: str | None) -> None:
        self.generation = generation
        self._desk = desk
        self._folder = folder

    def content(self) -> OverlayContent:
        """What is installed: every package with its version, and what was asked for."""
        return self._desk.overlay(self._folder, self.generation).content() if self.generation else OverlayContent()

    async def install(self, texts: Sequence[str], progress: Progress = lambda _line: None) -> dict[str, str]:
        """Install what is asked for, such as ``polars>=1``, for every environment that kernels of the user may be in.

        Returns what was added, by name with its version. Raises PackageRefusedError, PackageInstallError or StorageError.
        """
        if self.generation is None:
            raise PackageInstallError("there is no kernel environment to add to; run `threadbook env build`")
        shortage = self._desk.missing_by_name(texts)
        if shortage.notes:
            raise PackageRefusedError("; ".join(shortage.notes[:5]))
        others = {overlay.folder.name for overlay in self._desk.overlays_of(self._folder)} - {self.generation}
        added: dict[str, str] = {}
        for generation in (*sorted(others), self.generation):
            place = Place(self._folder, generation, Path(os.devnull))
            try:
                added = dict((await self._desk.install(place, shortage.wanted, progress)).added)
            except PackageInstallError:
                if generation == self.generation:
                    raise
        return added

    async def reset(self) -> int:
        """Remove all of them, in every environment; return how many packages that were."""
        return await self._desk.reset(self._folder)
