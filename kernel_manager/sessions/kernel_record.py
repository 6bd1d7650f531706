"""Which kernel a session has: a small file beside its history, so that another process finds the kernel."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from kernel_manager.errors import StorageError


@dataclass(frozen=True, slots=True)
class KernelRecord:
    """``started_at`` is in seconds since the epoch."""

    kernel_id: str
    generation: str
    started_at: float

    @classmethod
    def read(cls, path: Path) -> KernelRecord | None:
        """Return the record, or None if the session has no kernel."""
        try:
            values = json.loads(path.read_text())
            return cls(str(values["kernel_id"]), str(values["generation"]), float(values["started_at"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Replace the record."""
        new = path.with_suffix(".new")
        try:
            new.write_text(json.dumps(asdict(self)))
            os.replace(new, path)
        except OSError as exc:
            raise StorageError(f"cannot write {path} ({exc.strerror}); free some space") from exc
