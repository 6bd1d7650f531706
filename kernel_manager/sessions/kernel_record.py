"""Which kernel a session has: a small file beside its history, so that another process finds the kernel."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from kernel_manager.errors import StorageError


@dataclass(frozen=True, slots=True)
class KernelRecord:
    """The session's kernel; ``kernel_id`` is None when it has none. ``started_at`` is in seconds since the epoch.

    ``used`` says that a cell was sent to it. ``lost_cause`` says why the variables of an earlier kernel are gone, until the
    result of a cell has said so.
    """

    kernel_id: str | None = None
    generation: str = ""
    started_at: float = 0.0
    used: bool = False
    lost_cause: str | None = None

    @classmethod
    def read(cls, path: Path) -> KernelRecord:
        """Return the record; that of a session without a kernel if there is none, or none that can be read."""
        try:
            values = json.loads(path.read_text())
            return cls(
                kernel_id=_text_or_none(values["kernel_id"]),
                generation=str(values["generation"]),
                started_at=float(values["started_at"]),
                used=values["used"] is True,
                lost_cause=_text_or_none(values["lost_cause"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return cls()

    def write(self, path: Path) -> None:
        """Replace the record; raises StorageError."""
        new = path.with_suffix(".new")
        try:
            new.write_text(json.dumps(asdict(self)))
            new.replace(path)
        except OSError as exc:
            raise StorageError(f"cannot write {path} ({exc.strerror}); free some space") from exc


def _text_or_none(value: object) -> str | None:
    return None if value is None else str(value)
