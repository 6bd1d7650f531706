"""Measuring and removing a folder that strangers have filled."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


def size_of_tree(folder: Path) -> int:
    """Return the bytes of the files below a folder, as far as their paths can be named; links are not followed."""
    total, waiting = 0, [str(folder)]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    return total


def remove_tree(folder: Path) -> None:
    """Remove a folder with all that is in it, however deep, long or locked its paths are; links are not followed.

    Raises OSError. It may be called again then.
    """
    top = os.open(folder, _FOLDER)
    try:
        while names := os.listdir(top):  # noqa: PTH208  (of a descriptor)
            for name in names:
                _remove(name, top)
    finally:
        os.close(top)
    folder.rmdir()


def _remove(name: str, top: int) -> None:
    """Remove a file; of a folder, bring up the folders in it to the top, and remove the rest."""
    try:
        os.unlink(name, dir_fd=top)
    except (IsADirectoryError, PermissionError):
        below = _opened(name, top)
        try:
            for inner in os.listdir(below):  # noqa: PTH208  (as above)
                _unlink_or_bring_up(inner, below, top)
        finally:
            os.close(below)
        os.rmdir(name, dir_fd=top)


def _opened(name: str, top: int) -> int:
    try:
        below = os.open(name, _FOLDER, dir_fd=top)
    except PermissionError:
        _unlock(name, top)
        return os.open(name, _FOLDER, dir_fd=top)
    os.fchmod(below, 0o700)
    return below


def _unlink_or_bring_up(name: str, below: int, top: int) -> None:
    try:
        os.unlink(name, dir_fd=below)
    except (IsADirectoryError, PermissionError):
        try:
            os.rename(name, secrets.token_hex(12), src_dir_fd=below, dst_dir_fd=top)
        except PermissionError:  # a folder that changes its parent is written to
            _unlock(name, below)
            os.rename(name, secrets.token_hex(12), src_dir_fd=below, dst_dir_fd=top)


def _unlock(name: str, where: int) -> None:
    """Give the owner the rights on a folder, and on nothing that a link leads to."""
    if not hasattr(os, "O_PATH"):
        os.chmod(name, 0o700, dir_fd=where)
        return
    path = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=where)
    try:
        os.chmod(f"/proc/self/fd/{path}", 0o700)  # noqa: PTH101  (of a descriptor)
    finally:
        os.close(path)
