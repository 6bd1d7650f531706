"""The file system of a jail: a small root of its own, with parts of the host's bound into it.

Needs Linux 5.12. Everything is mounted below a stage on the host, in the jail's mount namespace; then the stage becomes the
root and the host's file systems are let go.
"""

from __future__ import annotations

import ctypes
import os
import posixpath
from dataclasses import dataclass
from functools import cache
from typing import Final

from .namespaces import open_quotas
from .network import bound_buffers
from .policy import DEVICES, FILES, HIDDEN_NAMES, HIDDEN_PATHS, PACKAGES, PROC_FILES, SHARED, TEMPORARY, WORKSPACE, JailPolicy
from .script import AT_FDCWD, Slot, Step, step, write_file

_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 0x1, 0x2, 0x4, 0x8
_MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x20, 0x1000, 0x4000, 0x40000
_MNT_DETACH: Final = 0x2

# The same four as MS_* above, as mount_setattr(2) numbers them.
_READ_ONLY, _NO_SETUID, _NO_DEVICES, _NO_EXECUTION = 0x1, 0x2, 0x4, 0x8
_AT_SYMLINK_NOFOLLOW, _AT_REMOVEDIR, _AT_EMPTY_PATH, _AT_RECURSIVE = 0x100, 0x200, 0x1000, 0x8000
_OPEN_TREE_CLONE, _OPEN_TREE_CLOEXEC = 0x1, os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH: Final = 0x4

_STAGES: Final = ("/sys", "/mnt", "/media", "/srv", "/opt")
_OLD: Final = "/.old"
_EMPTY: Final = "/var/empty"
_ROOT_OPTIONS: Final = "size=4m,nr_inodes=4096,mode=755"
_LOCKS: Final = "/proc/locks"  # opened for init before it is covered
_ENDLESS: Final = 1 << 62
_NOBODY: Final = "nobody:x:65534:65534:nobody:/:/bin/false\n"
_DEVICE_LINKS: Final = {"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}


class _MountAttributes(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "user_namespace")]


@dataclass(frozen=True, slots=True)
class Entry:
    """A path that the jail shares with the host: a folder, a file, or a symbolic link with the text ``link``."""

    path: str
    is_folder: bool = False
    link: str | None = None


@cache
def entries(paths: tuple[str, ...]) -> tuple[Entry, ...]:
    """What lies at *paths* on the host, parents before children; what is missing or below another is left out."""
    found: list[Entry] = []
    for path in sorted(set(paths)):
        if any(path.startswith(f"{entry.path}/") for entry in found):
            continue
        if os.path.islink(path):
            found.append(Entry(path, link=os.readlink(path)))
        elif os.path.exists(path):
            found.append(Entry(path, os.path.isdir(path)))
    return tuple(found)


@cache
def hidden_entries(system: tuple[str, ...], environment: tuple[str, ...]) -> tuple[Entry, ...]:
    """What lies within the shown folders and must not be seen."""
    shown = [entry.path for entry in entries(system + environment) if entry.is_folder]
    paths = [*HIDDEN_PATHS, *(f"{folder}/{name}" for folder in environment for name in HIDDEN_NAMES)]
    within = [path for path in paths if any(path.startswith(f"{folder}/") for folder in shown)]
    return tuple(entry for entry in entries(tuple(within)) if entry.link is None)


@cache
def covered_proc_entries() -> tuple[Entry, ...]:
    """The entries of /proc that a jail does not show: neither a process nor on the policy's list."""
    names = [name for name in sorted(os.listdir("/proc")) if not name.isdigit() and name not in PROC_FILES]
    return tuple(Entry(name, os.path.isdir(f"/proc/{name}")) for name in names if not os.path.islink(f"/proc/{name}"))


@cache
def stage() -> str:
    """A folder that every host has and nothing is shared from."""
    return next(folder for folder in _STAGES if os.path.isdir(folder))


class _Builder:
    """Collects the steps; ``root`` is where the jail's root is being built."""

    def __init__(self, root: str, folders: frozenset[str] = frozenset("/")) -> None:
        self.root = root
        self.steps: list[Step] = []
        self._folders = set(folders)

    @property
    def folders(self) -> frozenset[str]:
        """The folders that are there after the steps."""
        return frozenset(self._folders)

    def folder(self, path: str, mode: int = 0o755) -> None:
        if path in self._folders:
            return
        self.folder(posixpath.dirname(path))
        self._folders.add(path)
        self._add(f"folder {path}", "mkdirat", AT_FDCWD, self._at(path), mode)

    def file(self, path: str, text: str = "") -> None:
        self.folder(posixpath.dirname(path))
        self.steps += write_file(f"file {path}", self.root + path, text, mode=0o644)

    def open(self, path: str, into: Slot) -> None:
        self._add(f"open {path}", "openat", AT_FDCWD, os.fsencode(path), os.O_RDONLY | os.O_CLOEXEC, into=into)

    def zeros(self, path: str) -> None:
        """A file that reads as zeros for longer than anybody reads, and takes no space."""
        self.file(path)
        self._add(f"file {path}", "truncate", self._at(path), _ENDLESS)

    def link(self, path: str, text: str) -> None:
        self.folder(posixpath.dirname(path))
        self._add(f"link {path}", "symlinkat", os.fsencode(text), AT_FDCWD, self._at(path))

    def owner(self, path: str, uid: int, gid: int) -> None:
        self._add(f"owner of {path}", "fchownat", AT_FDCWD, self._at(path), uid, gid)

    def new(self, kind: str, path: str, flags: int, options: str = "") -> None:
        """Mount a new file system."""
        self.folder(path)
        arguments = (kind.encode(), self._at(path), kind.encode(), flags | _MS_NOSUID, options.encode())
        self._add(f"mount {path}", "mount", *arguments)

    def show(self, source: str, path: str, attributes: int) -> None:
        """Bind *source*, a path of ours, and what is mounted below it, to *path*, which exists."""
        self._add(f"mount {path}", "mount", os.fsencode(source), self._at(path), None, _MS_BIND | _MS_REC, None)
        self._restrict(path, AT_FDCWD, self._at(path), _AT_RECURSIVE, attributes)

    def hide(self, path: str, is_folder: bool) -> None:
        """Cover *path*, which exists, by something empty."""
        source = self.root + _EMPTY if is_folder else "/dev/null"
        self.folder(_EMPTY)
        self.show(source, path, _READ_ONLY | _NO_EXECUTION)

    def show_folder(self, source: str, path: str, attributes: int) -> None:
        """Bind the folder *source*, in which strangers write: a link in its place is not followed."""
        self.folder(path)
        flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_SYMLINK_NOFOLLOW | _AT_RECURSIVE
        self._add(f"open {source}", "open_tree", AT_FDCWD, os.fsencode(source), flags, into=Slot.TREE)
        self._restrict(path, Slot.TREE, b"", _AT_EMPTY_PATH | _AT_RECURSIVE, attributes)
        self._add(f"mount {path}", "move_mount", Slot.TREE, b"", AT_FDCWD, self._at(path), _MOVE_MOUNT_F_EMPTY_PATH)
        self._add(f"mount {path}", "close", Slot.TREE)

    def _restrict(self, path: str, folder: int | Slot, at: bytes, flags: int, attributes: int) -> None:
        wanted = _MountAttributes(set=attributes | _NO_SETUID)
        self._add(f"restrict {path}", "mount_setattr", folder, at, flags, wanted, ctypes.sizeof(wanted))

    def _add(
        self, what: str, call: str, *arguments: int | bytes | ctypes.Structure | Slot | None, into: Slot | None = None
    ) -> None:
        self.steps.append(step(what, call, *arguments, into=into))

    def _at(self, path: str) -> bytes:
        return os.fsencode(self.root + path)


@dataclass(frozen=True, slots=True)
class Common:
    """The steps that do not depend on whose jail it is, and the folders that are there after them."""

    steps: tuple[Step, ...]
    folders: frozenset[str]


def common(policy: JailPolicy) -> Common:
    """Begin the jail's root: what it shares with the host, and what it has of its own."""
    builder = _Builder(stage())
    _own_etc(builder, policy)
    _temporary(builder, policy)
    _shared(builder, policy)
    _devices(builder, policy)
    _proc(builder, policy)
    return Common((*_open_stage(), *builder.steps), builder.folders)


def own(policy: JailPolicy, folders: frozenset[str]) -> list[Step]:
    """Go on with what is only this kernel's: its user and its folders."""
    builder = _Builder(stage(), folders)
    uid, gid = (policy.uid, policy.gid) if "user" in policy.namespaces else (policy.host_uid, policy.host_gid)
    builder.file("/etc/passwd", f"root:x:0:0:root:/:/bin/false\n{policy.user}:x:{uid}:{gid}::{policy.home}:/bin/sh\n{_NOBODY}")
    builder.file("/etc/group", f"root:x:0:\n{policy.user}:x:{gid}:\nnogroup:x:65534:\n")
    if policy.privileged:
        builder.owner(policy.home, policy.host_uid, policy.host_gid)
    builder.show_folder(policy.workspace, WORKSPACE, _NO_DEVICES)
    for source, path in ((policy.files, FILES), (policy.packages, PACKAGES), (policy.sockets, policy.sockets)):
        if source is not None and path is not None:
            builder.show_folder(source, path, _READ_ONLY | _NO_DEVICES)
    return builder.steps


def _open_stage() -> list[Step]:
    root = os.fsencode(stage())
    return [
        step("umask", "umask", 0o022),
        step("private mounts", "mount", None, b"/", None, _MS_REC | _MS_PRIVATE, None),
        step("root", "mount", b"root", root, b"tmpfs", _MS_NOSUID | _MS_NODEV, _ROOT_OPTIONS.encode()),
        step("root", "mkdirat", AT_FDCWD, root + _OLD.encode(), 0o700),
    ]


def _own_etc(builder: _Builder, policy: JailPolicy) -> None:
    texts = {
        "hosts": f"127.0.0.1 localhost {policy.hostname}\n::1 localhost\n",
        "hostname": f"{policy.hostname}\n",
        "machine-id": f"{policy.machine_id}\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
        "resolv.conf": policy.resolvers,
    }
    for name, text in texts.items():
        builder.file(f"/etc/{name}", text)


def _temporary(builder: _Builder, policy: JailPolicy) -> None:
    limits = policy.limits
    for path, size in ((TEMPORARY, limits.temporary), (SHARED, limits.shared)):
        builder.new("tmpfs", path, _MS_NODEV, f"size={size},nr_inodes={limits.temporary_files},mode=1777")
    builder.folder(policy.home, 0o700)


def _shared(builder: _Builder, policy: JailPolicy) -> None:
    for entry in entries(policy.system + policy.environment):
        if entry.link is not None:
            builder.link(entry.path, entry.link)
            continue
        (builder.folder if entry.is_folder else builder.file)(entry.path)
        builder.show(entry.path, entry.path, _READ_ONLY | _NO_DEVICES)
    for entry in hidden_entries(policy.system, policy.environment):
        builder.hide(entry.path, entry.is_folder)


def _devices(builder: _Builder, policy: JailPolicy) -> None:
    # To map the device shared gives shared memory without a file, which only a control group can count.
    names = DEVICES if policy.memory_counted else [name for name in DEVICES if name != "zero"]
    if not policy.memory_counted:
        builder.zeros("/dev/zero")
    for name in names:
        builder.file(f"/dev/{name}")
        builder.show(f"/dev/{name}", f"/dev/{name}", _READ_ONLY | _NO_EXECUTION)
    options = f"newinstance,ptmxmode=0666,mode=0600,max={policy.limits.terminals}"
    builder.new("devpts", "/dev/pts", _MS_NOEXEC, options)
    for name, text in _DEVICE_LINKS.items():
        builder.link(f"/dev/{name}", text)


def _proc(builder: _Builder, policy: JailPolicy) -> None:
    """The jail's own processes, and of the machine only what programs read about it."""
    builder.new("proc", "/proc", _MS_NODEV | _MS_NOEXEC)
    builder.steps += open_quotas(f"{builder.root}/proc")
    if not policy.memory_counted and os.path.exists(_LOCKS):
        builder.open(f"{builder.root}{_LOCKS}", Slot.LOCKS)
    if "network" in policy.clone_namespaces:
        builder.steps += bound_buffers(f"{builder.root}/proc")
    builder.show(f"{builder.root}/proc/sys", "/proc/sys", _READ_ONLY | _NO_DEVICES | _NO_EXECUTION)
    for entry in covered_proc_entries():
        builder.hide(f"/proc/{entry.path}", entry.is_folder)


def enter_stage() -> list[Step]:
    """Make the jail's root the root: nothing of the host's is reachable afterwards but what was shown."""
    root, old = os.fsencode(stage()), _OLD.encode()
    read_only = _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV
    return [
        step("pivot_root", "pivot_root", root, root + old),
        step("pivot_root", "chdir", b"/"),
        step("let go of the host", "umount2", old, _MNT_DETACH),
        step("let go of the host", "unlinkat", AT_FDCWD, old, _AT_REMOVEDIR),
        step("read-only root", "mount", None, b"/", None, read_only, None),
        step("workspace", "chdir", WORKSPACE.encode()),
    ]
