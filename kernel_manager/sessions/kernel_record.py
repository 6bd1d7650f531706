"""Which kernel a session has: a small file beside its history, so that another process finds the kernel."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from kernel_manager.errors import StorageError

#: The values of SANDBOX, from the one that allows the most.
_SANDBOXES = ("none", "auto", "strict")
_LAXEST = _SANDBOXES[0]


@dataclass(frozen=True, slots=True)
class KernelRecord:
    """The session's kernel; ``kernel_id`` is None when it has none. ``started_at`` is in seconds since the epoch.

    ``used`` says that a cell was sent to it. ``sandbox`` and ``network`` are the settings that it was started with; of one whose
    record does not tell the worst is thought. ``lost_cause`` says why the variables of an earlier kernel are gone, until the
    result of a cell has said so.
    """

    kernel_id: str | None = None
    generation: str = ""
    started_at: float = 0.0
    used: bool = False
    sandbox: str = _LAXEST
    network: bool = True
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
                sandbox=str(values.get("sandbox", _LAXEST)),
                network=values.get("network") is not False,
                lost_cause=_text_or_none(values["lost_cause"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return cls()

    def allows_more_than(self, sandbox: str, network: bool) -> bool:
        """Whether the kernel was started with settings that keep code in less well than these."""
        own = self.sandbox if self.sandbox in _SANDBOXES else _LAXEST
        return (self.network and not network) or _SANDBOXES.index(own) < _SANDBOXES.index(sandbox)

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
