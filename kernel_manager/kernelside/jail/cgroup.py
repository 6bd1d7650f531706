"""Control groups: one per kernel, of version 2 where it is delegated to us, of version 1 where the host has that."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from .errors import JailError
from .policy import Limits

CONTROLLERS: Final = ("memory", "pids", "cpu")
_GROUP_OF_GROUPS: Final = "threadbook"
_GROUP_OF_SERVICE: Final = "threadbook-service"
_PERIOD_MICROSECONDS: Final = 100_000
_LEAST_QUOTA_MICROSECONDS: Final = 1_000
_TCP_SHARE: Final = 16


@dataclass(frozen=True, slots=True)
class Place:
    """Where a controller's groups can be made: the folder of our own group in the hierarchy that has it."""

    version: int
    folder: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What a group uses and used. ``None``: its controller does not tell.

    ``memory`` is anonymous and shared memory in bytes, without the page cache; ``peak`` the most bytes charged, cache
    included; ``oom_kills`` how many of its processes the kernel killed at the limit; ``refused_forks`` how often the limit of
    tasks was met.
    """

    memory: int | None
    peak: int | None
    oom_kills: int | None
    tasks: int | None
    refused_forks: int | None


def places(mountinfo: str, membership: str) -> dict[str, Place]:
    """Controller to place, from the texts of ``/proc/self/mountinfo`` and ``/proc/self/cgroup``. Pure.

    Version 1 names its controllers in the tables; a version 2 hierarchy is listed as ``""``, its top as ``"/"``, and its
    controllers stand in its folders.
    """
    own = {name: path for names, path in _memberships(membership) for name in names.split(",")}
    found: dict[str, Place] = {}
    for kind, options, root, point in _hierarchies(mountinfo):
        version = 2 if kind == "cgroup2" else 1
        for name in [""] if version == 2 else [option for option in options if option in own]:
            if (path := _below(own.get(name), root)) is not None and name not in found:
                found[name] = Place(version, point + path)
                if version == 2:
                    found["/"] = Place(version, point)
    return found


def _memberships(membership: str) -> Iterator[tuple[str, str]]:
    for line in membership.splitlines():
        _, names, path = line.split(":", 2)
        yield names, path


def _hierarchies(mountinfo: str) -> Iterator[tuple[str, list[str], str, str]]:
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if rest[0] in ("cgroup", "cgroup2"):
            yield rest[0], rest[2].split(","), fields[3], fields[4]


def _below(path: str | None, root: str) -> str | None:
    """The part of *path* below the group *root* that is mounted; a container sees only its own."""
    if path is None or root == "/":
        return path if path != "/" else ""
    if path == root or path.startswith(f"{root}/"):
        return path[len(root) :]
    return None


def find() -> dict[str, Place]:
    """The places of this process: of ``memory``, ``pids``, ``cpu`` and ``freezer`` those that can be used.

    May make a group for ours, and enable controllers in it. In a group that was delegated to us its processes, ours, may have
    to move to a child: a group has either processes or children with controllers.
    """
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        mountinfo = file.read()
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        known = places(mountinfo, file.read())
    usable = {name: place for name, place in known.items() if name in (*CONTROLLERS, "freezer") and _is_ours(place.folder)}
    if "" in known:
        folder, controllers = unified(known[""].folder, known["/"].folder)
        usable = dict.fromkeys(controllers, Place(2, folder)) | usable
    return usable


def _is_ours(folder: str) -> bool:
    return os.access(folder, os.W_OK | os.X_OK) and os.access(f"{folder}/cgroup.procs", os.W_OK)


def unified(own: str, top: str) -> tuple[str, list[str]]:
    """Where in a version 2 hierarchy our groups go, and with which controllers.

    Into our own group if it was delegated to us; else, for root, into one at the top: to change a group that systemd (or a login)
    manages would move processes that are not ours.
    """
    if _is_delegated(own, top):
        return own, delegate(own, evacuate=True) if _is_ours(own) else []
    if not _is_ours(top):
        return top, []
    folder = f"{top}/{_GROUP_OF_GROUPS}"
    delegate(top)
    os.makedirs(folder, exist_ok=True)
    return folder, delegate(folder)


def _is_delegated(own: str, top: str) -> bool:
    if own == top or os.stat(own).st_uid != 0:
        return True
    for name in ("user.delegate", "trusted.delegate"):  # systemd's marks
        with suppress(OSError):
            return os.getxattr(own, name) == b"1"
    return False


def delegate(folder: str, evacuate: bool = False) -> list[str]:
    """Let children of the version 2 group *folder* have our controllers; those that they then have."""
    available = set(_read(f"{folder}/cgroup.controllers").split())
    wanted: list[str] = [name for name in CONTROLLERS if name in available]
    if set(wanted) <= set(_read(f"{folder}/cgroup.subtree_control").split()):
        return wanted
    try:
        _enable(folder, wanted)
    except OSError as exc:
        if exc.errno != errno.EBUSY or not evacuate:
            return []
        with suppress(OSError):
            _evacuate(folder)
            _enable(folder, wanted)
    enabled = set(_read(f"{folder}/cgroup.subtree_control").split())
    return [name for name in wanted if name in enabled]


def _enable(folder: str, controllers: list[str]) -> None:
    _write(f"{folder}/cgroup.subtree_control", " ".join(f"+{name}" for name in controllers))


def _evacuate(folder: str) -> None:
    leaf = f"{folder}/{_GROUP_OF_SERVICE}"
    os.makedirs(leaf, exist_ok=True)
    for pid in _read(f"{folder}/cgroup.procs").split():
        _write(f"{leaf}/cgroup.procs", pid)


@dataclass(slots=True)
class Group:
    """The group of one kernel. Made by :func:`create` outside the jail, used by init through descriptors opened then."""

    name: str
    folders: dict[str, Place]  # controller → this group's folder
    _doors: list[int] = field(default_factory=list)
    _quota: int | None = None
    _burst: int | None = None
    _counters: dict[str, int] = field(default_factory=dict)

    @property
    def held(self) -> frozenset[str]:
        """The controllers that limit this group."""
        return frozenset(self.folders) & frozenset(CONTROLLERS)

    def descriptors(self) -> list[int]:
        """What init keeps: nothing but this group's own files."""
        shares = [descriptor for descriptor in (self._quota, self._burst) if descriptor is not None]
        return [*self._doors, *shares, *self._counters.values()]

    def add(self, pid: int) -> None:
        """Move a process, with all its threads, into the group; its children will be born there. Only once: the doors close."""
        for descriptor in self._doors:
            _write_to(descriptor, str(pid), "control group")
            os.close(descriptor)
        self._doors.clear()

    def set_cpus(self, cpus: float) -> None:
        """Change the share of processors while the group runs; nothing happens where no controller limits it."""
        if self._quota is None:
            return
        if self._burst is not None:  # it may never be more than the quota
            _write_to(self._burst, "0", "processors")
        _write_to(self._quota, _quota(self.folders["cpu"].version, cpus), "processors")
        if self._burst is not None:
            _write_to(self._burst, str(_microseconds(cpus)), "processors")

    def usage(self) -> Usage:
        """Read the counters: by descriptor, which works inside the jail too, or else by path."""
        memory, pids = self.folders.get("memory"), self.folders.get("pids")
        used = peak = kills = tasks = refused = None
        if memory is not None:
            anonymous, shared = ("total_rss", "total_shmem") if memory.version == 1 else ("anon", "shmem")
            table = _table(self._text(memory, "memory.stat"))
            used = table.get(anonymous, 0) + table.get(shared, 0)
            peak = _number(self._text(memory, "memory.max_usage_in_bytes" if memory.version == 1 else "memory.peak"))
            events = self._text(memory, "memory.oom_control" if memory.version == 1 else "memory.events")
            kills = _table(events).get("oom_kill")
        if pids is not None:
            tasks = _number(self._text(pids, "pids.current"))
            refused = _table(self._text(pids, "pids.events")).get("max")
        return Usage(used, peak, kills, tasks, refused)

    def _text(self, place: Place, name: str) -> str:
        path = f"{place.folder}/{name}"
        if path in self._counters:
            return os.pread(self._counters[path], 65_536, 0).decode()
        return _read(path) if os.path.exists(path) else ""

    def processes(self) -> set[int]:
        """The pids in the group, as this process's pid namespace numbers them."""
        return {int(pid) for folder in self._unique() for pid in _read(f"{folder}/cgroup.procs").split()}

    def kill(self) -> bool:
        """Kill everything in the group, by path (outside the jail); True when nothing is left. Call it until then.

        Version 2 does it at once. Elsewhere the group is frozen or forbidden to fork first, so that a bomb cannot outrun it.
        """
        for place in self.folders.values():
            if place.version == 2 and os.path.exists(f"{place.folder}/cgroup.kill"):
                _write(f"{place.folder}/cgroup.kill", "1")
        self._hold(True)
        left = self.processes()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._hold(False)
        return not left

    def freeze(self, frozen: bool) -> bool:
        """Stop or continue everything in the group; False where no controller can."""
        for name, place in self.folders.items():
            if place.version == 2:
                _write(f"{place.folder}/cgroup.freeze", str(int(frozen)))
                return True
            if name == "freezer":
                _write(f"{place.folder}/freezer.state", "FROZEN" if frozen else "THAWED")
                return True
        return False

    def _hold(self, held: bool) -> None:
        pids = self.folders.get("pids")
        if pids is not None and held:
            _write(f"{pids.folder}/pids.max", "0")
        with suppress(OSError):
            self.freeze(held)

    def close(self) -> None:
        """Close the descriptors; what goes by path still works, where the path leads."""
        for descriptor in self.descriptors():
            os.close(descriptor)
        self._doors.clear()
        self._counters.clear()
        self._quota = self._burst = None

    def remove(self) -> bool:
        """Remove the group's folders; False while a process is still in it. Removed already is removed."""
        for folder in self._unique():
            try:
                os.rmdir(folder)
            except FileNotFoundError:
                continue
            except OSError as exc:
                if exc.errno == errno.EBUSY:
                    return False
                raise
        return True

    def _unique(self) -> list[str]:
        return list(dict.fromkeys(place.folder for place in self.folders.values()))


def create(name: str, limits: Limits, where: Mapping[str, Place]) -> Group:
    """Make the group *name* with these limits in the places that :func:`find` gave. Raises :class:`JailError`.

    *name* comes from ids of ours. The group holds descriptors until it is closed; it stays until it is removed.
    """
    if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
        raise JailError("control group", f"{name!r} is no name for a group")
    group = Group(name, {controller: Place(place.version, f"{place.folder}/{name}") for controller, place in where.items()})
    try:
        for folder in group._unique():
            os.mkdir(folder, 0o755)
        _limit(group, limits)
        _open(group)
    except OSError as exc:
        group.close()
        group.remove()
        raise JailError(f"control group {name}", exc) from exc
    return group


def _limit(group: Group, limits: Limits) -> None:
    if (place := group.folders.get("memory")) and limits.memory is not None:
        _limit_memory(place, limits.memory)
    if (place := group.folders.get("pids")) and limits.tasks is not None:
        _write(f"{place.folder}/pids.max", str(limits.tasks))
    if (place := group.folders.get("cpu")) and limits.cpus is not None:
        if place.version == 1:
            _write(f"{place.folder}/cpu.cfs_period_us", str(_PERIOD_MICROSECONDS))
        _write(f"{place.folder}/{_cpu_file(place)}", _quota(place.version, limits.cpus))
        # what was not used in one period may be in the next: a short piece of work on two processors is not held up
        _write_if_there(f"{place.folder}/{_burst_file(place)}", str(_microseconds(limits.cpus)))


def _limit_memory(place: Place, memory: int) -> None:
    if place.version == 2:
        _write(f"{place.folder}/memory.max", str(memory))
        _write_if_there(f"{place.folder}/memory.swap.max", "0")
        return
    _write(f"{place.folder}/memory.limit_in_bytes", str(memory))
    _write_if_there(f"{place.folder}/memory.memsw.limit_in_bytes", str(memory))
    _write_if_there(f"{place.folder}/memory.swappiness", "0")
    # Version 1 counts the buffers of connections apart.
    _write_if_there(f"{place.folder}/memory.kmem.tcp.limit_in_bytes", str(memory // _TCP_SHARE))


def _cpu_file(place: Place) -> str:
    return "cpu.max" if place.version == 2 else "cpu.cfs_quota_us"


def _burst_file(place: Place) -> str:
    return "cpu.max.burst" if place.version == 2 else "cpu.cfs_burst_us"


def _quota(version: int, cpus: float) -> str:
    return f"{_microseconds(cpus)} {_PERIOD_MICROSECONDS}" if version == 2 else str(_microseconds(cpus))


def _microseconds(cpus: float) -> int:
    """Of processor time in a period."""
    return max(int(cpus * _PERIOD_MICROSECONDS), _LEAST_QUOTA_MICROSECONDS)


_COUNTERS: Final = (
    "memory.stat", "memory.max_usage_in_bytes", "memory.peak", "memory.oom_control", "memory.events", "pids.current",
    "pids.events",
)  # fmt: skip


def _open(group: Group) -> None:
    """Open now what init will use: inside the jail no path leads here, and rights are judged at opening."""
    for folder in group._unique():
        group._doors.append(os.open(f"{folder}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC))
    if place := group.folders.get("cpu"):
        group._quota = os.open(f"{place.folder}/{_cpu_file(place)}", os.O_WRONLY | os.O_CLOEXEC)
        if os.path.exists(path := f"{place.folder}/{_burst_file(place)}"):
            group._burst = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    for name in _COUNTERS:
        counted = group.folders.get(name.partition(".")[0])
        if counted is not None and os.path.exists(path := f"{counted.folder}/{name}"):
            group._counters[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)


@contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _write(path: str, text: str) -> None:
    with _opened(path, os.O_WRONLY) as descriptor:
        os.write(descriptor, text.encode())


def _write_if_there(path: str, text: str) -> None:
    """Swap limits exist only where the machine accounts for swap."""
    if os.path.exists(path):
        _write(path, text)


def _write_to(descriptor: int, text: str, step: str) -> None:
    try:
        os.write(descriptor, text.encode())
    except OSError as exc:
        raise JailError(step, exc) from exc


def _table(text: str) -> dict[str, int]:
    pairs = [line.split() for line in text.splitlines()]
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _number(text: str) -> int | None:
    return int(text) if text.strip().isdigit() else None
