"""Limits of a single process, which its children inherit."""

from __future__ import annotations

import ctypes
import os
import resource
from typing import Final

from .errors import JailError
from .policy import MEBIBYTE, Limits
from .script import Step, step

# Not 0: a program of the host that is to take cores (`core_pattern` with a pipe) is started all the same; 1 stops that too.
_NO_CORE: Final = 1
_STACK: Final = 8 * MEBIBYTE
_LOCKED_MEMORY: Final = 64 * 1024
_PENDING_SIGNALS: Final = 1024


class _Limit(ctypes.Structure):
    _fields_ = [("soft", ctypes.c_uint64), ("hard", ctypes.c_uint64)]


def no_cores() -> Step:
    """Let no process of the jail leave a core. For init and all below it; the filter then keeps it so."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    value = _NO_CORE if hard == resource.RLIM_INFINITY else min(_NO_CORE, hard)
    return step("core dumps", "setrlimit", resource.RLIMIT_CORE, _Limit(value, value))


def values(limits: Limits, born_with: int = 0) -> dict[int, int]:
    """The limits of the kernel's process, as ``RLIMIT_*`` to value; *born_with* are the bytes of data it has from its parent."""
    table = {
        resource.RLIMIT_FSIZE: limits.file_size,
        resource.RLIMIT_MEMLOCK: _LOCKED_MEMORY,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_NICE: 0,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_RTPRIO: 0,
        resource.RLIMIT_SIGPENDING: _PENDING_SIGNALS,
        resource.RLIMIT_STACK: _STACK,
    }
    if limits.data is not None:
        table[resource.RLIMIT_DATA] = born_with + limits.data
    if limits.tasks is not None:
        table[resource.RLIMIT_NPROC] = limits.tasks
    return table


def apply(limits: Limits) -> None:
    """Set them for this process, soft and hard; what is lower already stays."""
    for number, value in values(limits, _data()).items():
        _, hard = resource.getrlimit(number)
        lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(number, (lowest, lowest))
        except (OSError, ValueError) as exc:
            raise JailError(f"limit {number}", exc) from exc


def _data() -> int:
    """What RLIMIT_DATA counts of this process: private memory that can be written, used or not."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
