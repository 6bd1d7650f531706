"""What both sides can do: the measures know nothing else of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

#: From the output that announces a system call to its interrupt: a signal just before the call would not end it.
FALL_ASLEEP_S = 0.05


class CellFailedError(Exception):
    """A cell of the benchmark did not end as it must, so there is nothing to measure."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program to start. ``environ`` is added to this process's environment variables."""

    arguments: list[str]
    environ: dict[str, str] = field(default_factory=dict)


class Kernel(Protocol):
    """One kernel, or the session that has one. It starts at :meth:`start` or with its first cell."""

    async def start(self) -> None:
        """Return when the kernel is ready for a cell."""

    async def execute(self, code: str) -> None:
        """Run a cell to its end; raises CellFailedError unless it ends well."""

    async def show_figure(self, code: str) -> float:
        """Run a cell to its end; return the moment (of ``time.perf_counter``) at which its PNG was here."""

    async def interrupt(self, code: str) -> float:
        """Run a cell and interrupt it after its first output; return the seconds from there until the cell was over."""

    async def processes(self) -> list[int]:
        """The pids of all processes that are there for this kernel alone."""

    async def shared_processes(self) -> list[int]:
        """The pids of processes that it shares with the other kernels of its side."""

    def command(self, code: str) -> Command:
        """A program that runs a cell in this live kernel from a process of its own."""

    async def stop(self) -> None:
        """End the kernel; return when it has ended."""


class Contestant(Protocol):
    """One side. Leaving its context ends whatever it started."""

    async def __aenter__(self) -> Contestant:
        """Get ready."""

    async def __aexit__(self, *exc: object) -> None:
        """End every kernel."""

    async def kernel(self) -> Kernel:
        """A new user's kernel, not started yet."""


def has_png(output: dict[str, Any]) -> bool:
    """Whether an output, or the content of a display message, carries a PNG."""
    return "image/png" in output.get("data", {})


def make_folder(path: Path) -> Path:
    """Make a private folder and return it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
