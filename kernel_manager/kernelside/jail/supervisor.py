"""The jail's own bookkeeper: adds up what its processes use, for hosts that give us no control group."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Final

from .policy import SHARED, TEMPORARY, Limits

_MOST_LOCKS: Final = 5_000
_LOCKS_READ: Final = 1 << 19
_SOCKET_BUFFER: Final = 212_992  # at least; for TCP the jail sets it


@dataclass(frozen=True, slots=True)
class Total:
    """``memory`` in bytes, anonymous and shared; ``tasks``: processes and threads, init left out."""

    memory: int
    tasks: int


def measure(limit: int | None = None, own_network: bool = True) -> Total:
    """Add up the processes that this process's /proc shows (in a jail: the jail's), files in memory, and sockets.

    What a socket holds nobody tells: with a network of its own, every socket counts with the most it can hold. Resident sizes
    are quick to read, but count a page for every process that shares it with the zygote or a fork. Only where they pass
    *limit* the proportional sizes are asked for, which takes the operating system a walk through the pages.
    """
    pids = _pids()
    in_files = _temporary_files()
    in_sockets = _sockets() * socket_buffer() if own_network else 0
    tasks = sum(map(_tasks, pids))
    upper = in_files + in_sockets + sum(map(_resident, pids))
    if limit is None or upper <= limit:
        return Total(upper, tasks)
    sizes = [_proportional(pid) for pid in pids]
    # Files in memory that a process has mapped are in both sums: count the larger one.
    in_memory = sum(size[0] for size in sizes) + max(in_files, sum(size[1] for size in sizes))
    return Total(in_memory + in_sockets, tasks)


def has_too_many_locks(descriptor: int) -> bool:
    """Whether the processes here hold more locks on files than anybody needs; *descriptor* is of the jail's ``/proc/locks``.

    A lock is small, but nothing else limits their number. The operating system takes ten milliseconds to tell. Locks of open
    files, which every jail sees, are not counted: the filter denies them.
    """
    found = position = 0
    while position < _LOCKS_READ and found <= _MOST_LOCKS:
        text = os.pread(descriptor, 65_536, position)
        if not text:
            break
        position += len(text)
        found += text.count(b" POSIX ")
    return found > _MOST_LOCKS


@cache
def socket_buffer() -> int:
    """The most bytes that a socket holds. To be asked once outside the jail, where the host's setting can be read."""
    sizes = [_SOCKET_BUFFER]
    for name in ("rmem_default", "wmem_default"):
        with suppress(OSError), open(f"/proc/sys/net/core/{name}", encoding="ascii") as file:
            sizes.append(int(file.read()))
    return max(sizes)


def excess(total: Total, limits: Limits) -> str | None:
    """Which limit *total* is over: ``"memory"``, ``"tasks"`` or none. Pure."""
    if limits.memory is not None and total.memory > limits.memory:
        return "memory"
    if limits.tasks is not None and total.tasks > limits.tasks:
        return "tasks"
    return None


def _pids() -> list[int]:
    own = os.getpid()
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != own]


def _resident(pid: int) -> int:
    """Anonymous and shared resident memory, and the tables that say where it is."""
    return sum(_fields(f"/proc/{pid}/status", ("RssAnon:", "RssShmem:", "VmPTE:")))


def _proportional(pid: int) -> tuple[int, int]:
    """Anonymous and shared memory, each page divided by its sharers; a process that hides them counts in full."""
    anonymous, shared = _fields(f"/proc/{pid}/smaps_rollup", ("Pss_Anon:", "Pss_Shmem:"))
    if not (anonymous or shared):
        return _resident(pid), 0
    (tables,) = _fields(f"/proc/{pid}/status", ("VmPTE:",))
    return anonymous + tables, shared


def _fields(path: str, names: Iterable[str]) -> list[int]:
    """The named sizes in bytes; 0 where the process is gone or the file cannot be read."""
    table: dict[str, int] = {}
    with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            words = line.split()
            if len(words) == 3 and words[2] == "kB":
                table[words[0]] = int(words[1]) * 1024
    return [table.get(name, 0) for name in names]


def _tasks(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


def _temporary_files() -> int:
    sizes = map(os.statvfs, (TEMPORARY, SHARED))
    return sum((size.f_blocks - size.f_bfree) * size.f_frsize for size in sizes)


def _sockets() -> int:
    with suppress(OSError), open("/proc/net/sockstat", encoding="ascii") as file:
        return int(file.readline().split()[2])
    return 0
