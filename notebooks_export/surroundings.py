"""What a session's notebook needs besides its cells, as plain data: packages and data files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from notebooks_export.code import Load


@dataclass(frozen=True, slots=True)
class Requirement:
    """A distribution that the code uses; ``version`` is None when nobody knows it."""

    name: str
    version: str | None = None

    def __str__(self) -> str:
        return self.name if self.version is None else f"{self.name}=={self.version}"


@dataclass(frozen=True, slots=True)
class Installed:
    """The distributions of an environment: by the modules that they bring, and their versions by name."""

    modules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def of_module(self, module: str) -> list[Requirement]:
        """What brings a top-level module; nothing for one of the standard library or of the session's own."""
        return [Requirement(name, self.versions[name]) for name in self.modules.get(module, ())]

    def named(self, name: str) -> Requirement | None:
        """The distribution of a name (as indexes compare names), if it is there."""
        return Requirement(name, self.versions[name]) if name in self.versions else None


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file that the code opens.

    ``place`` is where it lies in a bundle, relative to the notebook: below ``files/`` if it was handed in, and where the
    code expects it if it lay in the working folder. ``path`` is where its bytes are now, below the folder ``root``.
    ``file_id``, ``original_name`` and the times (ISO 8601) are empty for files of the working folder.
    """

    place: str
    name: str
    root: Path
    path: str
    size: int
    file_id: str = ""
    original_name: str = ""
    created_at: str = ""
    expires_at: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """See the module. ``missing`` are names that the code loads and that are not there any more.

    ``python_version`` is ``"3.12.4"``; ``base`` are requirements of the kernel itself, for the list of a bundle only;
    ``loads`` are the calls of ``load_file`` whose names are written out; ``installed`` is all that the environment has.
    """

    python_version: str | None = None
    requirements: tuple[Requirement, ...] = ()
    base: tuple[Requirement, ...] = ()
    data: tuple[DataFile, ...] = ()
    missing: tuple[str, ...] = ()
    loads: tuple[Load, ...] = ()
    installed: Installed = field(default_factory=Installed)
