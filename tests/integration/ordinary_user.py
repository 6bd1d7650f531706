"""Starts a program as an ordinary user who can read what root keeps for itself: run as root, in a process of its own.

``python ordinary_user.py UID JSON-LIST-OF-FOLDERS PROGRAM ARGUMENTS…``: in a mount namespace of its own, whatever bars the way to
a folder is covered by an empty file system in which only that folder is shown, at its own path. Nothing is copied.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from pathlib import Path

CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000

libc = ctypes.CDLL(None, use_errno=True)


def become(uid: int, shown: list[str]) -> None:
    """Make ``shown`` readable and be the user ``uid``."""
    _check(libc.unshare(CLONE_NEWNS), "unshare")
    _mount("none", "/", None, MS_REC | MS_PRIVATE)
    barred: dict[str, list[str]] = {}
    for folder in shown:
        if (bar := _bar(folder)) is not None:
            barred.setdefault(bar, []).append(folder)
    for bar, folders in barred.items():
        _open_up(bar, folders)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def _bar(folder: str) -> str | None:
    """The topmost folder on the way that strangers may not enter."""
    way = [*reversed(Path(folder).parents), Path(folder)]
    return next((str(step) for step in way if not step.stat().st_mode & 0o001), None)


def _open_up(bar: str, folders: list[str]) -> None:
    kept = {folder: os.open(folder, os.O_PATH | os.O_DIRECTORY) for folder in folders}
    _mount("tmpfs", bar, "tmpfs", 0, "mode=0755")
    for folder, descriptor in kept.items():
        Path(folder).mkdir(mode=0o755, parents=True, exist_ok=True)
        _mount(f"/proc/self/fd/{descriptor}", folder, None, MS_BIND)
        os.close(descriptor)


def _mount(source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind)]
    _check(libc.mount(*words, ctypes.c_ulong(flags), os.fsencode(options)), f"mount {target}")


def _check(status: int, what: str) -> None:
    if status != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    become(int(sys.argv[1]), json.loads(sys.argv[2]))
    os.execv(sys.argv[3], sys.argv[3:])
