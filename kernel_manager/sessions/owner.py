"""Whose kernel it is: a small file in the kernel's folder, so that every process can tell."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from kernel_manager.errors import StorageError
from kernel_manager.provisioning.runtime import KernelFolder, write_private

_FILE = "owner.json"


@dataclass(frozen=True, slots=True)
class Owner:
    """The session that a kernel was started for."""

    user_id: str
    session_id: str

    @classmethod
    def read(cls, folder: KernelFolder) -> Owner | None:
        """Return the owner, or None for a kernel of another Jupyter application."""
        try:
            values = json.loads((folder.path / _FILE).read_text())
            return cls(str(values["user_id"]), str(values["session_id"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, folder: KernelFolder) -> None:
        """Sign a kernel's folder; raises StorageError."""
        try:
            write_private(folder.path / _FILE, json.dumps(asdict(self)))
        except OSError as exc:
            raise StorageError(f"cannot write into {folder.path} ({exc.strerror}); free some space or set RUNTIME_DIR") from exc
