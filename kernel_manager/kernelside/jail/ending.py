"""The end of a jail: nothing in it may outlive it."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from . import libc
from .cgroup import Group
from .pids import descendants

_PR_SET_CHILD_SUBREAPER = 36


def end(init_pid: int, group: Group | None = None) -> None:
    """Kill the jail whose init, a child of this process, has the pid *init_pid*; the caller reaps it.

    With a pid namespace the kernel kills everything in it before init can be reaped, so that a reaped init is an empty jail.
    Where there is none, go on with :func:`drain` or :meth:`.cgroup.Group.kill`.
    """
    with suppress(ProcessLookupError):
        os.kill(init_pid, signal.SIGKILL)
    if group is not None:
        group.kill()


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own one ends; init needs this where it is not pid 1."""
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)


def drain() -> bool:
    """Kill and reap the descendants of this process; True when none is left. Call it until then.

    For init without a pid namespace. All are stopped before any is killed, so that a fork bomb stands still.
    """
    found = descendants(os.getpid())
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
    _reap()
    return not found


def _reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
