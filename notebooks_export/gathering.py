"""What a session's notebook needs besides its cells, gathered from this machine's folders."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from kernel_manager.config import Settings
from kernel_manager.errors import StorageError
from kernel_manager.packages.environments import MANIFEST, Environment, Environments
from kernel_manager.sessions.history import SessionHistory
from kernel_manager.sessions.names import folder_name
from kernel_manager.sessions.places import DataFolder
from notebooks_export.code import mentions_listing
from notebooks_export.data_files import data_files
from notebooks_export.requirements import KERNEL, installed_in, modules_to_open, requirements_of
from notebooks_export.surroundings import Installed, Surroundings


def gather(
    history: SessionHistory, settings: Settings, workspace: Path | None, *, package_folders: Iterable[Path] = ()
) -> Surroundings:
    """Find the packages and the files of a session.

    Versions are those of the environment that its last kernel had, or of the current one if that is gone;
    ``package_folders`` are looked at besides (a user's own packages).
    """
    root = _environment_root(history, Environments(settings.environments_path))
    own = _own_packages(settings.data_dir, history.user_id, root)
    installed = installed_in([*package_folders, *own, *_site_packages(root)]) if root else Installed()
    data = data_files(history.cells, _shelf(history, settings), workspace)
    loaded = modules_to_open([*(load.name for load in data.loads), *(file.name for file in data.found if file.file_id)])
    if any(mentions_listing(cell.code) for cell in history.cells):
        loaded.add("pandas")
    kernel = installed.named(KERNEL)
    return Surroundings(
        python_version=_python_version(root) if root else None,
        requirements=requirements_of(history.cells, installed, loaded),
        base=(kernel,) if kernel else (),
        data=data.found,
        missing=data.missing,
        loads=data.loads,
        installed=installed,
    )


def _shelf(history: SessionHistory, settings: Settings) -> Path | None:
    """The folder of the files that the session's code can load: nobody gets others by naming them in a cell."""
    if not history.user_id:
        return None
    data = DataFolder(settings.data_dir)
    session = data.session(history.user_id, history.session_id)
    return session.files if session.selection.exists() else data.files(history.user_id)


def _environment_root(history: SessionHistory, environments: Environments) -> Path | None:
    if history.generation and "/" not in history.generation:
        with suppress(StorageError):
            return Environment.from_root(environments.root / history.generation).root
    current = environments.current()
    return current.root if current else None


def _own_packages(data_dir: Path, user_id: str, root: Path | None) -> list[Path]:
    """Where packages lie that were installed for the user, beside this generation of the environment."""
    return [data_dir / "packages" / folder_name(user_id) / root.name / "current"] if user_id and root else []


def _site_packages(root: Path) -> list[Path]:
    return sorted(root.glob("lib/python3*/site-packages"))


def _python_version(root: Path) -> str | None:
    with suppress(OSError, ValueError, KeyError):
        return str(json.loads((root / MANIFEST).read_text(encoding="utf-8"))["python_version"])
    return None
