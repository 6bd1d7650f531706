"""Capabilities: the few that lead from root to the kernel's user, and none after."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import Final

from . import libc
from .script import Step, step

CAP_SETGID: Final = 6
CAP_SETUID: Final = 7
CAP_SETPCAP: Final = 8
CAP_SYS_ADMIN: Final = 21

_VERSION_3 = 0x20080522
_PR_SET_DUMPABLE, _PR_SET_KEEPCAPS, _PR_CAPBSET_DROP, _PR_SET_SECUREBITS, _PR_CAP_AMBIENT = 4, 8, 24, 28, 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
# No rights for user 0, none kept or raised when the user changes, and all of that locked.
_SECUREBITS = 0b1110_1111


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Sets(ctypes.Structure):
    _fields_ = [
        (f"{kind}_{half}", ctypes.c_uint32) for half in ("low", "high") for kind in ("effective", "permitted", "inheritable")
    ]


@cache
def last() -> int:
    """The highest capability that this Linux knows."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        return int(file.read())


def effective(capability: int) -> bool:
    """Whether this process has *capability* in its user namespace."""
    sets = _Sets()
    libc.call("capget", _Header(_VERSION_3, 0), sets)
    return bool((sets.effective_low | sets.effective_high << 32) >> capability & 1)


def is_privileged() -> bool:
    """Whether this process is root enough to build jails as root: to make namespaces and give the kernel another user."""
    return os.geteuid() == 0 and all(map(effective, (CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_SYS_ADMIN)))


def become(uid: int, gid: int) -> list[Step]:
    """Turn root into this user for good; of its capabilities only what the last steps of the jail need is left."""
    what = f"user {uid}:{gid}"
    return [
        step(what, "setgroups", 0, None),
        step(what, "setresgid", gid, gid, gid),
        step(what, "prctl", _PR_SET_KEEPCAPS, 1),
        step(what, "setresuid", uid, uid, uid),
        _set(what, 1 << CAP_SYS_ADMIN | 1 << CAP_SETPCAP),
    ]


def drop_all() -> list[Step]:
    """Give up all capabilities, and the ways to get one back."""
    what = "capabilities"
    return [
        *(step(what, "prctl", _PR_CAPBSET_DROP, capability) for capability in range(last() + 1)),
        step(what, "prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL),
        step(what, "prctl", _PR_SET_SECUREBITS, _SECUREBITS),
        _set(what, 0),
    ]


def dumpable(wanted: bool) -> Step:
    """A process that is not dumpable leaves no core, and processes of the same user can neither read nor write its memory."""
    return step("dumpable", "prctl", _PR_SET_DUMPABLE, int(wanted))


def set_dumpable(wanted: bool) -> None:
    """Do now what :func:`dumpable` describes."""
    libc.prctl(_PR_SET_DUMPABLE, int(wanted))


def _set(what: str, capabilities: int) -> Step:
    low, high = capabilities & 0xFFFFFFFF, capabilities >> 32
    return step(what, "capset", _Header(_VERSION_3, 0), _Sets(low, low, 0, high, high, 0))
