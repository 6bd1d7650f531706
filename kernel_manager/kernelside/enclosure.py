"""What surrounds an init and its kernel: a jail, or nothing but a process of its own.

The init asks it to shut itself off, to fork the kernel inside, to judge whether a limit is passed, and to end what is left.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .jail.descriptors import close_all_but

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Forked:
    """The kernel's process: ``pid`` is 0 in it, and there ``wait`` returns when code of strangers may run."""

    pid: int
    wait: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Excess:
    """A limit that is passed: ``memory``, ``tasks`` or ``workspace``. What is not grave can be mended by an interrupt."""

    limit: str
    grave: bool


class Enclosure(Protocol):
    """The surroundings of one init."""

    #: Seconds between two calls of :meth:`excess` while a cell runs and while none does; None: there is nothing to watch.
    watch_s: tuple[float, float] | None

    def enter(self, init_keeps: Sequence[int], kernel_keeps: Sequence[int]) -> None:
        """Shut this process off. It and the kernel will keep only these descriptors; raises OSError or RuntimeError."""

    def fork(self) -> Forked:
        """Fork the kernel's process; in both, the other's descriptors are closed."""

    def trusts(self, client: socket.socket) -> bool:
        """Whether who connected to the init's socket may ask."""

    def excess(self) -> Excess | None:
        """Which limit is passed now, if any."""

    def slow_down(self, slowed: bool) -> None:
        """Between cells, leave the kernel only a part of a processor."""

    def end_all(self) -> None:
        """Kill and reap whatever the kernel has left behind."""

    def evidence(self) -> dict[str, Any]:
        """What the system counted: parts of the report of the kernel's end."""


class NoEnclosure:
    """Nothing: the kernel is a process like others of its user, and ends with its init."""

    watch_s: tuple[float, float] | None = None

    def enter(self, init_keeps: Sequence[int], kernel_keeps: Sequence[int]) -> None:
        """See :class:`Enclosure`."""
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        self._init_keeps = (0, 1, *init_keeps)
        self._kernel_keeps = (0, *kernel_keeps)

    def fork(self) -> Forked:
        """See :class:`Enclosure`."""
        init = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.setsid()
            die_with_parent(init)
            close_all_but(self._kernel_keeps)
        else:
            self.let_go()
        return Forked(pid)

    def let_go(self) -> None:
        """Close what only the kernel needs."""
        close_all_but(self._init_keeps)

    def trusts(self, client: socket.socket) -> bool:
        """See :class:`Enclosure`: only the user who runs the service."""
        return same_user(client)

    def excess(self) -> Excess | None:
        """See :class:`Enclosure`."""
        return None

    def slow_down(self, slowed: bool) -> None:
        """See :class:`Enclosure`."""

    def end_all(self) -> None:
        """See :class:`Enclosure`. Orphans of the kernel are this process's children, since it is their subreaper."""
        while True:
            for pid in _children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    os.waitpid(-1, 0)
            except ChildProcessError:
                return

    def evidence(self) -> dict[str, Any]:
        """See :class:`Enclosure`."""
        return {}


def die_with_parent(parent: int) -> None:
    """Ask to be killed when the init ends, whatever ends it."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(71)


def same_user(client: socket.socket) -> bool:
    """Only the user who runs the service may ask."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    _pid, uid, _gid = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return bool(uid == os.getuid())


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process, on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _children() -> list[int]:
    pid = os.getpid()
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []
