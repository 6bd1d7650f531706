"""What one cell came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Status = Literal["ok", "error", "timeout", "interrupted", "died"]

#: An nbformat 4.5 output dict: ``stream``, ``display_data``, ``execute_result`` or ``error``.
Output = dict[str, Any]


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that a cell wrote or changed in its working folder.

    ``path`` is absolute and as the service sees it; ``filename`` is relative to the working folder;
    ``size`` is in bytes.
    """

    filename: str
    path: str
    size: int
    mime: str


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """The collected result of one cell.

    ``duration_s`` counts only the time in which the cell's own code ran. ``cause`` says in one sentence why
    a cell did not end well, or is None. ``state_lost`` is true when the kernel that held the session's
    variables is gone, whatever ended it.
    """

    status: Status
    execution_count: int | None = None
    outputs: list[Output] = field(default_factory=list)
    files: list[WrittenFile] = field(default_factory=list)
    installed_packages: list[str] = field(default_factory=list)
    duration_s: float = 0.0
    cause: str | None = None
    state_lost: bool = False

    @property
    def ok(self) -> bool:
        """Whether the cell ran to its end without an error."""
        return self.status == "ok"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name, ready for JSON."""
        return asdict(self)
