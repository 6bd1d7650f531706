"""Opening a file in a folder that belongs to code, which may be hostile: nothing is followed, only regular files."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from kernel_manager.errors import UsageError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK a FIFO that nobody writes to would hold the caller.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def open_inside(folder: Path, name: str) -> BinaryIO:
    """Open ``name``, relative to ``folder``. Raises UsageError for whatever is not a plain file of that folder's own.

    A file with a second name (hard link) is refused: nothing tells whose the other one is.
    """
    parts = name.split("/")
    if not name or "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise UsageError(f"{name[:200]!r} is no name of a file in the session's folder; give one that a result listed")
    try:
        descriptor = _opened(folder, parts)
    except OSError as exc:
        raise UsageError(f"the session has no file {name[:200]!r} ({exc.strerror}); give one that a result listed") from exc
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode) or info.st_nlink > 1:
        os.close(descriptor)
        raise UsageError(f"{name[:200]!r} is no plain file or has a second name; copy it within the session and keep the copy")
    return os.fdopen(descriptor, "rb")


def _opened(folder: Path, parts: list[str]) -> int:
    inside = os.open(folder, _FOLDER)
    try:
        for part in parts[:-1]:
            below = os.open(part, _FOLDER, dir_fd=inside)
            os.close(inside)
            inside = below
        return os.open(parts[-1], _FILE, dir_fd=inside)
    finally:
        os.close(inside)
