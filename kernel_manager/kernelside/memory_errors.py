"""A ``MemoryError`` that says how much there was, how much there is, and what to do.

In a jail, an allocation beyond a process's limit fails before the system has to end the whole kernel: the variables are kept.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any

_MB = 1024 * 1024


class MemoryErrors:
    """Explains memory errors in the shell of a kernel; to be made before code of strangers runs."""

    def __init__(self) -> None:
        self._allowed = memory_left()

    def attach(self, shell: Any) -> None:
        """Have the shell show memory errors as :meth:`explain` puts them."""
        if self._allowed is None:
            return

        def show(
            shell: Any, kind: type[BaseException], value: BaseException, traceback: TracebackType, tb_offset: int | None = None
        ) -> None:
            told = MemoryError(self.explain(value))
            if not value.args:
                value.args = told.args
            shell.showtraceback((MemoryError, told, traceback), tb_offset=tb_offset)

        shell.set_custom_exc((MemoryError,), show)

    def explain(self, error: BaseException) -> str:
        """The error's own words, if it has any, and how things are with the memory."""
        said = str(error).rstrip(". ") or "no memory is left for this"
        peak = _status("VmHWM")
        used = f", and has used up to {peak // _MB:,} MB" if peak else ""
        allowed = round((self._allowed or 0) / _MB)
        return (
            f"{said}. This kernel may allocate {allowed:,} MB (KERNEL_MEMORY_MB){used}; its variables are kept: "
            "free what you no longer need with del, or work in smaller pieces"
        )


def memory_left() -> int | None:
    """What this process may allocate from now on, in bytes; None where nothing limits it."""
    try:
        import resource

        limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
        if limit == resource.RLIM_INFINITY:
            return None
        with open("/proc/self/statm", encoding="ascii") as file:
            return limit - int(file.read().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    except (ImportError, OSError):
        return None


def _status(name: str) -> int:
    """A size of this process in bytes, as ``/proc/self/status`` has it; 0 where it does not tell."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            return next((int(line.split()[1]) * 1024 for line in file if line.startswith(f"{name}:")), 0)
    except OSError:
        return 0
