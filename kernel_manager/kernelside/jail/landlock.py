"""Landlock, for the one door that a shared network leaves open: sockets that have a name but no file."""

from __future__ import annotations

import ctypes
import os
from typing import Final

from . import libc

_CREATE_RULESET_VERSION: Final = 1
_SCOPE_ABSTRACT_UNIX_SOCKET, _SCOPE_SIGNAL = 1, 2
_FIRST_WITH_SCOPES: Final = 6


class _Ruleset(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("files", "network", "scoped")]


def version() -> int:
    """The version of Landlock's interface; 0 where Linux has none or it is switched off."""
    try:
        return libc.call("landlock_create_ruleset", None, 0, _CREATE_RULESET_VERSION)
    except OSError:
        return 0


def scope() -> bool:
    """Cut this process off from abstract sockets and processes outside; False where Linux (before 6.12) cannot.

    Abstract sockets belong to a network, not to a file system: whoever shares the host's network could speak to the desktop's
    or a container runtime's. Needs no_new_privs.
    """
    if version() < _FIRST_WITH_SCOPES:
        return False
    ruleset = _Ruleset(0, 0, _SCOPE_ABSTRACT_UNIX_SOCKET | _SCOPE_SIGNAL)
    descriptor = libc.call("landlock_create_ruleset", ruleset, ctypes.sizeof(ruleset), 0)
    try:
        libc.call("landlock_restrict_self", descriptor, 0)
    finally:
        os.close(descriptor)
    return True
