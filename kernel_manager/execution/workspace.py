"""The quota of a session's working folder: what code wrote belongs to the session, and the oldest of it goes first.

The folder belongs to the code, so it is walked and changed by descriptor, without following a link anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from kernel_manager.execution.artifacts import shown_name

#: More than this is not looked at in one go; what is over the quota goes in the next one.
_MAX_ENTRIES = 200_000
#: What lies deeper stays: the jail counts it, and ends a kernel that hides much there.
_MAX_DEPTH = 64
_MAX_NAMED = 5
_MB = 1 << 20
_BLOCK = 512
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class WorkspaceQuota:
    """How many files, and how many bytes on disk all together."""

    max_files: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class WorkspaceFile:
    """A file by its ``name`` relative to the folder; ``size`` in bytes on disk, ``changed_ns`` since the epoch."""

    name: str
    size: int
    changed_ns: int


def keep_within(folder: Path, quota: WorkspaceQuota) -> list[str]:
    """Remove the oldest files that are over the quota; return a line that says so if there were any. Never raises OSError."""
    leaving = over_quota(_files_in(folder), quota)
    removed = [file for file in leaving if _unlinked(folder, file.name)]
    if not removed:
        return []
    named = ", ".join(shown_name(file.name)[:200] for file in removed[:_MAX_NAMED])
    more = f" and {len(removed) - _MAX_NAMED:,} more" if len(removed) > _MAX_NAMED else ""
    limits = f"{quota.max_files:,} files and {quota.max_bytes / _MB:g} MB"
    return [f"the session may keep {limits}, so the oldest of its files were removed: {named}{more}"]


def over_quota(files: Iterable[WorkspaceFile], quota: WorkspaceQuota) -> list[WorkspaceFile]:
    """Return the files that have to go so that the others keep within the quota, the least recently changed first."""
    oldest_first = sorted(files, key=lambda file: (file.changed_ns, file.name))
    count, total = len(oldest_first), sum(file.size for file in oldest_first)
    leaving = []
    for file in oldest_first:
        if count <= quota.max_files and total <= quota.max_bytes:
            break
        if count > quota.max_files or file.size:
            leaving.append(file)
            count, total = count - 1, total - file.size
    return leaving


def _files_in(folder: Path) -> list[WorkspaceFile]:
    found: list[WorkspaceFile] = []
    waiting, left = [""], _MAX_ENTRIES
    while waiting:
        below = waiting.pop()
        with suppress(OSError), _opened(folder, below) as descriptor, os.scandir(descriptor) as entries:
            for entry in islice(entries, left):
                left -= 1
                with suppress(OSError):
                    path = f"{below}{entry.name}"
                    if not entry.is_dir(follow_symlinks=False):
                        found.append(_file_at(path, entry.stat(follow_symlinks=False)))
                    elif path.count("/") < _MAX_DEPTH:
                        waiting.append(f"{path}/")
    return found


def _file_at(path: str, info: os.stat_result) -> WorkspaceFile:
    size = min(info.st_size, info.st_blocks * _BLOCK) if info.st_nlink == 1 else info.st_size
    return WorkspaceFile(path, size, info.st_ctime_ns)


def _unlinked(folder: Path, name: str) -> bool:
    """Remove a file, wherever the code has meanwhile put its folders; return whether it went."""
    below, slash, last = name.rpartition("/")
    try:
        with _opened(folder, below + slash) as descriptor:
            os.unlink(last, dir_fd=descriptor)
    except OSError:
        return False
    return True


@contextmanager
def _opened(folder: Path, below: str) -> Iterator[int]:
    """A folder within ``folder``, by its relative path with a slash at the end; no link on the way is followed."""
    descriptor = os.open(folder, _FOLDER)
    try:
        for part in below.split("/")[:-1]:
            inner = os.open(part, _FOLDER, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        yield descriptor
    finally:
        os.close(descriptor)
