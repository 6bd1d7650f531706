"""The file that a process runs: the one thing of the host's file systems that no new root hides.

``/proc/self/exe`` leads to it through the mount it was started from. Where kernels are the same host user as its owner (that
is, where the jail is built without root), they could change its mode through that link, and with it the interpreter of all.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from typing import NoReturn

from . import libc
from .errors import JailError
from .namespaces import CLONE_FLAGS

_MS_BIND, _MS_REC, _MS_SLAVE = 0x1000, 0x4000, 0x80000
_MOUNT_ATTR_RDONLY = 0x1
_AT_FDCWD = -100


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "user_namespace")]


def is_exposed() -> bool:
    """Whether the file of this process belongs to its own user, on a mount that can be written."""
    owner = os.stat("/proc/self/exe").st_uid
    read_only = os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY
    return owner == os.geteuid() != 0 and not read_only


def restart_read_only(arguments: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Execute *arguments* in this process, from a mount of the same interpreter that cannot be written.

    For an ordinary user's single-threaded process that will fork kernels, where :func:`is_exposed`. It moves to a user and a
    mount namespace of its own, with the same ids and the same files; descriptors that may pass ``execve(2)`` pass. Raises
    :class:`JailError`.
    """
    path = os.path.realpath("/proc/self/exe")
    uid, gid = os.geteuid(), os.getegid()
    try:
        libc.call("unshare", CLONE_FLAGS["user"] | CLONE_FLAGS["mount"])
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
        libc.call("mount", None, b"/", None, _MS_REC | _MS_SLAVE, None)
        _bind_read_only(os.fsencode(path))
        os.execve(path, list(arguments), environment)  # noqa: S606
    except OSError as exc:
        raise JailError("read-only executable", exc) from exc


def _bind_read_only(path: bytes) -> None:
    libc.call("mount", path, path, None, _MS_BIND, None)
    wanted = _MountAttributes(set=_MOUNT_ATTR_RDONLY)
    libc.call("mount_setattr", _AT_FDCWD, path, 0, wanted, ctypes.sizeof(wanted))
