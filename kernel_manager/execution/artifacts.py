"""Which files a cell wrote or changed in its working folder.

The folder belongs to the code, which may be hostile and may still be running, so it is read as a stranger's: by
descriptor, without following a link anywhere, without opening any file, and bounded in entries, depth and names.
A file counts as unchanged if its inode, size, and times of content and status were all there before; code can set
the time of the content but not that of the status. A file that was renamed counts as written, one whose
folder was renamed does not.

Not reported at all: names that start with a dot, and the caches in ``_NO_ARTIFACTS``. Left out and said so:

* links, pipes, sockets and devices;
* files with a second name (hard links): nothing tells whose file the other name is. Where links to files of
  others are possible, code could have the service read what it cannot read itself; results rarely
  have two names, so leaving them out costs little;
* files over the size limit, and everything past the limits of :class:`ArtifactLimits`.

What is listed was true during the scan. Whoever opens a listed ``path`` later must again follow no links and take
regular files only.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from kernel_manager.execution.result import WrittenFile
from kernel_manager.files.mime import mime_type

_NO_ARTIFACTS = frozenset({"__pycache__", "node_modules", "lost+found"})
#: Longer paths exist, but no system call takes them.
_MAX_PATH_BYTES = 4_095
_MAX_NOTES = 20
#: The clock of file times may lag this much behind the one that tells the time.
_CLOCK_LAG_NS = 10_000_000

_Stamp = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class ArtifactLimits:
    """``max_files`` reported, ``max_file_bytes`` of each, ``max_entries`` looked at in one scan, ``max_depth`` of folders."""

    max_files: int
    max_file_bytes: int
    max_entries: int = 20_000
    max_depth: int = 32


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was in a folder: a stamp (inode, size, mtime_ns, ctime_ns) of everything that is no folder.

    ``complete`` is false if a limit or a permission kept something from being seen; then a file without a stamp
    counts as written only if its status changed at ``taken_ns`` (nanoseconds since the epoch) or later.
    """

    stamps: frozenset[_Stamp]
    complete: bool
    taken_ns: int
    limits: ArtifactLimits


def unseen(since_ns: int, limits: ArtifactLimits) -> Snapshot:
    """What stands for a look that nobody took: all that changed since a moment (nanoseconds since the epoch) was written."""
    return Snapshot(frozenset(), complete=False, taken_ns=since_ns, limits=limits)


@dataclass(frozen=True, slots=True)
class ArtifactScan:
    """The files that a cell wrote or changed, by name, and one line for whatever was left out.

    In ``filename`` unprintable characters and bytes that are no UTF-8 are escaped. ``path`` is the real one: it may
    hold newlines and, for bytes that are no UTF-8, surrogate escapes, which strict UTF-8 writers refuse.
    """

    files: list[WrittenFile]
    skipped: list[str]


def snapshot(folder: Path, limits: ArtifactLimits) -> Snapshot:
    """Note what is in ``folder``, which may be missing; never raises OSError."""
    taken_ns = time.time_ns() - _CLOCK_LAG_NS
    walk = _Walk(limits)
    stamps = frozenset(_stamp(found.info) for found in walk.everything(folder))
    return Snapshot(stamps, walk.complete, taken_ns, limits)


def changed(before: Snapshot, folder: Path) -> ArtifactScan:
    """Return what is in ``folder`` now and was not, or not like this, in ``before``; never raises OSError."""
    walk = _Walk(before.limits)
    report = _Report(folder.absolute(), before.limits)
    for found in walk.everything(folder):
        if _is_new(found.info, before):
            report.add(found)
    return ArtifactScan(report.files, report.notes() + walk.notes())


@dataclass(frozen=True, slots=True)
class _Found:
    """Something that is no folder, at ``name`` relative to the working folder."""

    name: str
    info: os.stat_result


class _Walk:
    """One bounded pass over a folder, by name, which remembers what it could not see."""

    def __init__(self, limits: ArtifactLimits) -> None:
        self._limits = limits
        self._entries_left = limits.max_entries
        self._missing = False
        self._truncated = False
        self._too_deep = 0
        self._unreadable = 0

    @property
    def complete(self) -> bool:
        """Whether nothing that was there stayed unseen."""
        return not (self._truncated or self._too_deep or self._unreadable)

    def everything(self, folder: Path) -> Iterator[_Found]:
        try:
            with _opened(folder) as descriptor:
                yield from self._below(descriptor, "", 1)
        except FileNotFoundError:
            self._missing = True
        except OSError:
            self._unreadable += 1

    def notes(self) -> list[str]:
        notes = []
        if self._missing:
            notes.append("the working folder is gone")
        if self._truncated:
            notes.append(f"more than {self._limits.max_entries:,} entries in the folder; the others were not looked at")
        if self._too_deep:
            notes.append(f"folders not looked into, because they lie {self._limits.max_depth} deep: {self._too_deep:,}")
        if self._unreadable:
            notes.append(f"entries that could not be read: {self._unreadable:,}")
        return notes

    def _below(self, descriptor: int, prefix: str, depth: int) -> Iterator[_Found]:
        # A folder is listed as a whole before its subfolders, so that one deep or full subfolder hides less.
        for entry in self._listed(descriptor):
            try:
                if not entry.is_dir(follow_symlinks=False):
                    yield _Found(prefix + entry.name, entry.stat(follow_symlinks=False))
                elif depth == self._limits.max_depth:
                    self._too_deep += 1
                else:
                    with _opened(entry.name, inside=descriptor) as subfolder:
                        yield from self._below(subfolder, f"{prefix}{entry.name}/", depth + 1)
            except FileNotFoundError:
                continue
            except OSError:
                self._unreadable += 1

    def _listed(self, descriptor: int) -> list[os.DirEntry[str]]:
        listed = []
        with os.scandir(descriptor) as entries:
            for entry in entries:
                if not self._entries_left:
                    self._truncated = True
                    break
                self._entries_left -= 1
                if not entry.name.startswith(".") and entry.name not in _NO_ARTIFACTS:
                    listed.append(entry)
        listed.sort(key=attrgetter("name"))
        return listed


class _Report:
    """The files to report and the notes on those that are not."""

    def __init__(self, folder: Path, limits: ArtifactLimits) -> None:
        self.files: list[WrittenFile] = []
        self._folder = folder
        self._limits = limits
        self._refused: list[str] = []
        self._more_refused = 0
        self._more_files = 0

    def add(self, found: _Found) -> None:
        path = self._folder / found.name
        if reason := _refusal(found.info, path, self._limits):
            self._refuse(f"{_shortened(shown_name(found.name))}: {reason}")
        elif len(self.files) == self._limits.max_files:
            self._more_files += 1
        else:
            name = shown_name(found.name)
            self.files.append(WrittenFile(name, str(path), found.info.st_size, mime_type(path.name)))

    def notes(self) -> list[str]:
        notes = [*self._refused]
        if self._more_refused:
            notes.append(f"more entries that were left out: {self._more_refused:,}")
        if self._more_files:
            notes.append(f"files past the {self._limits.max_files:,} that are listed: {self._more_files:,}")
        return notes

    def _refuse(self, note: str) -> None:
        if len(self._refused) < _MAX_NOTES:
            self._refused.append(note)
        else:
            self._more_refused += 1


def shown_name(name: str) -> str:
    r"""Return ``name`` with unprintable characters escaped, and bytes that are no UTF-8 as ``\xff``."""
    if name.isprintable():
        return name
    return "".join(char if char.isprintable() else _escaped(char) for char in name)


@contextmanager
def _opened(folder: Path | str, inside: int | None = None) -> Iterator[int]:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(folder, flags, dir_fd=inside)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _stamp(info: os.stat_result) -> _Stamp:
    return info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns


def _is_new(info: os.stat_result, before: Snapshot) -> bool:
    return _stamp(info) not in before.stamps and (before.complete or info.st_ctime_ns >= before.taken_ns)


def _refusal(info: os.stat_result, path: Path, limits: ArtifactLimits) -> str | None:
    if not stat.S_ISREG(info.st_mode):
        return "no regular file"
    if info.st_nlink > 1:
        return "a hard link, whose other name may be anybody's"
    if info.st_size > limits.max_file_bytes:
        return f"{info.st_size:,} bytes, more than the {limits.max_file_bytes:,} that a file may have"
    if len(os.fsencode(path)) > _MAX_PATH_BYTES:
        return "its path is too long"
    return None


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


def _shortened(text: str, keep: int = 200) -> str:
    return text if len(text) <= keep else f"{text[: keep // 2]}…{text[-keep // 2 :]}"
