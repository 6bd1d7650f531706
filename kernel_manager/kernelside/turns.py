"""How long a process runs before the scheduler gives the processor to another one.

A start and its first cell are one piece of work that walks through much memory. When many begin at once, each change of
turns makes a processor's caches cold; with turns this long, a crowd of new kernels takes about a fifth less processor time.
Afterwards a kernel takes short turns like everybody, so that it does not keep the others' small cells waiting.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct
import sys

LONG_TURN_NS = 100_000_000
USUAL_TURN_NS = 0
#: What the process starts does not inherit the turns. Once set, this cannot be unset without privileges.
RESET_ON_FORK = 1

_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}
#: struct sched_attr of sched_setattr(2): size, policy, flags, nice, priority, runtime, deadline, period, two clamps.
_ATTRIBUTES = struct.Struct("IIQiIQQQII")


def take_turns_of(nanoseconds: int) -> None:
    """Ask for turns of this length, 0 for the usual; nothing happens before Linux 6.12 and elsewhere."""
    number = _SCHED_SETATTR.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return
    with contextlib.suppress(OSError):
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        attributes = _ATTRIBUTES.pack(_ATTRIBUTES.size, os.SCHED_OTHER, RESET_ON_FORK, nice, 0, nanoseconds, 0, 0, 0, 0)
        ctypes.CDLL(None).syscall(number, 0, attributes, 0)
