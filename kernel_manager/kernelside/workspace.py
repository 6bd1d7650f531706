"""How full the working folder is, found by looking: no file system here keeps the count for us.

What hides from the look for long counts as too much: a folder that cannot be listed although it was opened up, a path that
is too long to be named, a process that shows nobody which files it holds.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_MAX_DESCRIPTORS = 100_000
#: How many times its limit a folder must hold to be grave.
_GRAVE = 2


@dataclass(frozen=True)
class WorkspaceLimits:
    """The most that may lie in the working folder: bytes on disk, and files and folders together.

    ``alone`` says that /proc shows the jail's own processes only; else what they hold open is not looked at.
    """

    folder: str
    size: int
    files: int
    alone: bool = True


class HiddenError(Exception):
    """Something in the folder, or held of it, cannot be seen."""


def share(limits: WorkspaceLimits) -> int:
    """How many times a limit is passed, as far as it matters: 0, 1 or 2. Files without a name count while they are open.

    Raises HiddenError, which may be over in a moment: a process is opaque while it starts.
    """
    size = files = 0
    try:
        for files, entry in enumerate(_entries(limits.folder), start=1):
            with contextlib.suppress(FileNotFoundError):
                size += entry.stat(follow_symlinks=False).st_blocks * 512
            if _times(size, files, limits) == _GRAVE:
                return _GRAVE
        if limits.alone:
            size += sum(_nameless(os.stat(limits.folder).st_dev))
    except OSError as exc:
        raise HiddenError(str(exc)) from exc
    return _times(size, files, limits)


def _times(size: int, files: int, limits: WorkspaceLimits) -> int:
    """Pure."""
    if size > _GRAVE * limits.size or files > _GRAVE * limits.files:
        return _GRAVE
    return int(size > limits.size or files > limits.files)


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    """Everything below ``folder``, links not followed."""
    waiting = [folder]
    while waiting:
        path = waiting.pop()
        try:
            scan = _scan(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        with scan:
            for entry in scan:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


def _scan(path: str) -> Any:
    """List a folder, opened up first if need be: it belongs to this very user."""
    try:
        return os.scandir(path)
    except PermissionError:
        os.chmod(path, 0o700)
        return os.scandir(path)


def _nameless(device: int) -> Iterator[int]:
    """The sizes on disk of files on ``device`` that processes hold open after their last name is gone; raises HiddenError."""
    seen: set[int] = set()
    for looked, path in enumerate(_descriptors()):
        if looked >= _MAX_DESCRIPTORS:
            raise HiddenError("there are too many open files to look at")
        with contextlib.suppress(OSError):
            info = os.stat(path)
            if info.st_nlink == 0 and info.st_dev == device and info.st_ino not in seen:
                seen.add(info.st_ino)
                yield info.st_blocks * 512


def _descriptors() -> Iterator[str]:
    """Of every thread: each may have descriptors of its own, and outlive the first of its process."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for thread in _listed(f"/proc/{pid}/task"):
            task = f"/proc/{pid}/task/{thread}"
            try:
                yield from (f"{task}/fd/{number}" for number in os.listdir(f"{task}/fd"))
            except PermissionError as exc:
                if not _is_ending(task):
                    raise HiddenError(f"process {pid} hides its files") from exc
            except OSError:
                continue


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # it has ended
        return []


def _is_ending(task: str) -> bool:
    """Whether a thread has given up its memory, and with that whose it is; its files follow."""
    try:
        with open(f"{task}/statm") as file:
            return not file.read().strip(" 0\n")
    except OSError:
        return True
