"""Namespaces: being born into new ones, and the kernel's own user namespace."""

from __future__ import annotations

import os
import signal
from functools import cache
from typing import Final

from . import libc
from .errors import JailError
from .policy import USER_QUOTAS, JailPolicy
from .script import Slot, Step, step, write_file

CLONE_FLAGS: Final = {
    "mount": 0x00020000,
    "cgroup": 0x02000000,
    "uts": 0x04000000,
    "ipc": 0x08000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "network": 0x40000000,
}


def spawn(policy: JailPolicy) -> int:
    """Fork init into the namespaces of *policy*: 0 in init, its pid in the caller. Raises :class:`JailError` in the caller.

    The caller must have one thread: the locks of others would stay locked for ever. This is ``clone(2)`` itself, because
    ``fork(2)`` followed by ``unshare(2)`` would need a further fork to get into the pid namespace. Neither Python nor the C
    library hear of it, so their fork handlers do not run: init must do little, and only fork (properly) what then does more.
    """
    if (threads := len(os.listdir("/proc/self/task"))) != 1:
        raise JailError("fork", f"this process has {threads} threads; a fork takes only one along")
    flags = sum(CLONE_FLAGS[name] for name in policy.clone_namespaces)
    try:
        return libc.call("clone", flags | signal.SIGCHLD)
    except OSError as exc:
        raise JailError(f"namespaces {', '.join(sorted(policy.clone_namespaces))}", exc) from exc


def map_ids(policy: JailPolicy, outside_uid: int, outside_gid: int) -> list[Step]:
    """Give the user namespace that this process just got its only user and group."""
    what = "ids of the user namespace"
    return [
        # Leaving a group can gain what the group was denied; the kernel wants this settled before an unprivileged map.
        *write_file(what, "/proc/self/setgroups", "deny"),
        *write_file(what, "/proc/self/uid_map", f"{policy.uid} {outside_uid} 1"),
        *write_file(what, "/proc/self/gid_map", f"{policy.gid} {outside_gid} 1"),
    ]


def set_names(hostname: str) -> list[Step]:
    """Name the machine, as the code in the jail sees it."""
    name = hostname.encode()
    return [step("host name", "sethostname", name, len(name)), step("domain name", "setdomainname", b"(none)", 6)]


def own_user_namespace(policy: JailPolicy) -> list[Step]:
    """Move into a further user namespace, in which this process has all capabilities over nothing that exists."""
    # As an ordinary user, this process already bears the ids of the jail by now.
    outside = (policy.host_uid, policy.host_gid) if policy.privileged else (policy.uid, policy.gid)
    return [step("user namespace", "unshare", CLONE_FLAGS["user"]), *map_ids(policy, *outside)]


def open_quotas(proc: str) -> list[Step]:
    """Open the folder of the quotas through *proc*, before it becomes read-only."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    return [step("quotas of namespaces", "openat", -100, os.fsencode(f"{proc}/sys/user"), flags, into=Slot.QUOTAS)]


def set_quotas() -> list[Step]:
    """Allow this user namespace no further namespaces, and of what the host's user shares with others only a part."""
    return [item for name, quota in _quotas() for item in write_file("quota", name, str(quota), folder=Slot.QUOTAS)]


def close_quotas() -> Step:
    """Close what :func:`open_quotas` opened."""
    return step("quotas of namespaces", "close", Slot.QUOTAS)


@cache
def _quotas() -> tuple[tuple[str, int], ...]:
    names = sorted(os.listdir("/proc/sys/user"))
    return tuple((name, USER_QUOTAS.get(name, 0)) for name in names if name in USER_QUOTAS or name.endswith("_namespaces"))
