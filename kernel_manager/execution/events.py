"""What happens while a cell runs, as a tagged union.

A cell yields any number of these and ends with exactly one :class:`CellFinished`. ``index`` counts the
outputs of the running cell from 0 and stays valid until :class:`OutputsCleared`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kernel_manager.execution.result import ExecutionResult, Output


@dataclass(frozen=True, slots=True)
class SessionWaiting:
    """Another process drives the session; the cell starts when that one is done. ``holder_pid`` may be unknown."""

    holder_pid: int | None


@dataclass(frozen=True, slots=True)
class PackagesInstalling:
    """Packages are being installed before the cell goes on; the cell's clock does not run. ``line`` says how far that is."""

    packages: tuple[str, ...]
    line: str


@dataclass(frozen=True, slots=True)
class PackagesInstalled:
    """Packages were installed for the cell, as ``name==version``: those it asked for, and ``added``, with what they need."""

    installed_packages: tuple[str, ...]
    added: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CellStarted:
    """The kernel began to run the cell."""

    execution_count: int | None


@dataclass(frozen=True, slots=True)
class OutputAdded:
    """A new output came."""

    index: int
    output: Output


@dataclass(frozen=True, slots=True)
class StreamExtended:
    """The stream output at ``index`` grew by ``text``."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class OutputReplaced:
    """The output at ``index`` is now ``output`` (a display was updated)."""

    index: int
    output: Output


@dataclass(frozen=True, slots=True)
class DisplayUpdated:
    """A display of an earlier cell was updated by its ``display_id``."""

    display_id: str
    data: dict[str, Any]
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class OutputsCleared:
    """All outputs of the running cell so far are gone (``clear_output``)."""


@dataclass(frozen=True, slots=True)
class InputRequested:
    """The code waits in ``input()`` or ``getpass()``; call ``answer(text)``, or ``answer(None)`` for end of file."""

    prompt: str
    password: bool
    answer: Callable[[str | None], None] = field(compare=False)


@dataclass(frozen=True, slots=True)
class CellFinished:
    """The cell is over; always the last event."""

    result: ExecutionResult


OutputEvent = OutputAdded | StreamExtended | OutputReplaced | DisplayUpdated | OutputsCleared
Event = SessionWaiting | PackagesInstalling | PackagesInstalled | CellStarted | OutputEvent | InputRequested | CellFinished
