"""Which protections this host gives: tried, not guessed. For ``threadbook doctor`` and for the choice of a policy.

Runs in a process with one thread, like the one that will fork kernels; takes about a second. Everything happens in children.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import resource
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn

from . import cgroup, entrance, executable, libc, namespaces, syscalls
from .cgroup import Place
from .errors import JailError
from .policy import MEBIBYTE, JailPolicy, Limits

_NO_USER_NAMESPACES: Final = (
    "allow unprivileged user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone=1, "
    "kernel.apparmor_restrict_unprivileged_userns=0); in a container, run it with --security-opt seccomp=unconfined"
)
_NO_MOUNTS: Final = (
    "Linux 5.12 or newer is needed; in a container also --security-opt seccomp=unconfined --security-opt systempaths=unconfined "
    "--security-opt apparmor=unconfined, or run it with --privileged"
)
_NO_CGROUP: Final = (
    "run the service as root or let systemd delegate a control group to it (Delegate=yes); in a container, --cgroupns=private "
    "with a writable /sys/fs/cgroup"
)
_ADVICE: Final = {
    "user namespace": _NO_USER_NAMESPACES,
    "pid namespace": _NO_MOUNTS,
    "mount namespace": _NO_MOUNTS,
    "network namespace": "the kernel needs CONFIG_NET_NS; in a container, see the mount namespace",
    "ipc namespace": "the kernel needs CONFIG_IPC_NS",
    "uts namespace": "the kernel needs CONFIG_UTS_NS",
    "cgroup namespace": "the kernel needs CONFIG_CGROUPS; without it a kernel sees the name of its control group",
    "unprivileged user": "start the service as an ordinary user, or as root with the capabilities SETUID, SETGID and SYS_ADMIN",
    "capabilities": "see the user namespace",
    "no new privileges": "Linux 3.5 or newer is needed",
    "system call filter": f"the kernel needs CONFIG_SECCOMP_FILTER, and a machine of {' or '.join(syscalls.MACHINES)}",
    "init out of reach": "see the pid namespace and the system call filter",
    "interpreter out of reach": "install the kernel environment's Python as another user, or allow user namespaces",
    "memory limit": _NO_CGROUP,
    "task limit": _NO_CGROUP,
    "processor limit": _NO_CGROUP,
}
_SHARED_NETWORK: Final = (
    "KERNEL_NETWORK is on: code reaches whatever this machine reaches, its own services and its local network included; "
    "set it to off, or put a firewall around the service"
)
_FEW_TASKS: Final = 8
_NAMESPACE_OF: Final = {f"{name} namespace": name for name in namespaces.CLONE_FLAGS}


@dataclass(frozen=True, slots=True)
class Protection:
    """One protection: does this host give it, by which means, and what to do where it does not."""

    name: str
    held: bool
    means: str
    advice: str


@dataclass(frozen=True, slots=True)
class Findings:
    """The protections in the order of reading, and the strongest policy that works here."""

    protections: tuple[Protection, ...]
    policy: JailPolicy

    @property
    def missing(self) -> tuple[Protection, ...]:
        """What this host does not give."""
        return tuple(protection for protection in self.protections if not protection.held)


def probe(policy: JailPolicy, places: Mapping[str, Place]) -> Findings:
    """Try what *policy* asks for. Raises :class:`JailError` if nothing works for a reason that no weaker policy avoids.

    The workspace is replaced by one of the probe's. *places* are those of :func:`.cgroup.find`.
    """
    folder = tempfile.mkdtemp(prefix="threadbook-probe-")
    try:
        if policy.privileged:
            os.chown(folder, policy.host_uid, policy.host_gid)
        few = replace(policy.limits, tasks=_FEW_TASKS)
        usable, report = _strongest(replace(policy, workspace=folder, files=None, packages=None, sockets=None, limits=few))
        groups = _try_groups(places)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    usable = replace(usable, memory_counted="memory" in groups)
    final = replace(policy, namespaces=usable.namespaces, system_calls=usable.system_calls, memory_counted=usable.memory_counted)
    return Findings((*_isolation(final, report), *_limits(report, groups)), final)


def _strongest(policy: JailPolicy) -> tuple[JailPolicy, dict[str, Any]]:
    """Take away what fails until the rest works; the policy that does, and what was seen in its jail."""
    while True:
        try:
            return policy, _look_inside(policy)
        except JailError as exc:
            weaker = _without(policy, exc.protection)
            if weaker == policy:
                raise
            policy = weaker


def _without(policy: JailPolicy, protection: str) -> JailPolicy:
    if protection.startswith("namespaces "):
        return replace(policy, namespaces=_closed(policy, frozenset(filter(_cloneable(policy), policy.namespaces))))
    if protection == "system call filter":
        return replace(policy, system_calls=False)
    name = _NAMESPACE_OF.get(protection)
    return policy if name is None else replace(policy, namespaces=_closed(policy, policy.namespaces - {name}))


def _closed(policy: JailPolicy, kept: frozenset[str]) -> frozenset[str]:
    """Without the namespaces that only make sense together with one that is gone."""
    if not {"mount", "pid"} <= kept:
        kept -= {"mount", "pid"}
    return kept if policy.privileged or "user" in kept else frozenset()


def _cloneable(policy: JailPolicy) -> Callable[[str], bool]:
    """Whether a process can be born into a namespace of a kind (and a user namespace, where that is the way to it)."""

    def try_one(name: str) -> bool:
        flags = namespaces.CLONE_FLAGS[name] | (0 if policy.privileged else namespaces.CLONE_FLAGS["user"])
        try:
            pid = libc.call("clone", flags | signal.SIGCHLD)
        except OSError:
            return False
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        return True

    return try_one


def _look_inside(policy: JailPolicy) -> dict[str, Any]:
    """Build the jail and have a look around in it. Raises :class:`JailError` for the step that failed."""
    with tempfile.NamedTemporaryFile() as secret, socket.create_server(("127.0.0.1", 0)) as server:
        inner, outer = os.pipe()
        plan = entrance.plan(policy, [outer], [outer])
        outside, port = _namespace_ids(), server.getsockname()[1]
        try:
            pid = namespaces.spawn(policy)
        except JailError:
            os.close(inner)
            os.close(outer)
            raise
        if pid == 0:
            _run_init(plan, outer, lambda: _seen(outside, secret.name, port))
        os.close(outer)
        with open(inner, encoding="utf-8") as file:
            answer: dict[str, Any] = json.loads(file.read() or "{}")
        os.waitpid(pid, 0)
    if "failed" in answer:
        raise JailError(*answer["failed"])
    return answer


def _run_init(plan: entrance.Plan, outer: int, look: Callable[[], dict[str, Any]]) -> NoReturn:
    try:
        entrance.enter(plan)
        kernel = entrance.start_kernel(plan)
        if kernel.pid == 0:
            kernel.wait()
            os.write(outer, json.dumps(look()).encode())
        else:
            os.waitpid(kernel.pid, 0)
    except JailError as exc:
        os.write(outer, json.dumps({"failed": [exc.step, exc.reason]}).encode())
    except BaseException as exc:  # noqa: BLE001  (nothing may return into the caller's code)
        os.write(outer, json.dumps({"failed": ["probe", repr(exc)]}).encode())
    os._exit(0)


def _namespace_ids() -> dict[str, str]:
    links = {"mount": "mnt", "network": "net"}
    return {name: os.readlink(f"/proc/self/ns/{links.get(name, name)}") for name in namespaces.CLONE_FLAGS}


def _seen(outside: dict[str, str], secret: str, port: int) -> dict[str, Any]:
    """What the kernel's process finds when it tries."""
    status = _status()
    own = [f"{name} namespace" for name, link in _namespace_ids().items() if link != outside[name]]
    held = {
        "mount namespace": not os.path.exists(secret) and _refused(lambda: os.mkdir("/probe"), errno.EROFS),
        "pid namespace": os.getppid() == 1,
        "network namespace": _refused(lambda: socket.create_connection(("127.0.0.1", port), 1).close(), errno.ECONNREFUSED),
    }
    return {
        **{name: held.get(name, True) for name in own},
        "unprivileged user": os.geteuid() != 0,
        "capabilities": all(int(status[name], 16) == 0 for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")),
        "no new privileges": status["NoNewPrivs"] == "1",
        "system call filter": status["Seccomp"] == "2" and _refused(lambda: libc.call("unshare", 0), errno.EPERM),
        "tasks by rlimit": _FEW_TASKS // 2 <= _forks_until_refused() < _FEW_TASKS,
        "init out of reach": os.getppid() == 1 and _refused(lambda: open("/proc/1/environ").close(), errno.EACCES),
    }


def _forks_until_refused() -> int:
    """How many children this process gets. Before Linux 5.14 all processes of the host's user count, not the jail's alone."""
    inner, outer = os.pipe()
    children: list[int] = []
    with suppress(BlockingIOError):
        while len(children) < 2 * _FEW_TASKS:
            children.append(os.fork())
            if children[-1] == 0:
                os.close(outer)
                os.read(inner, 1)
                os._exit(0)
    os.close(outer)
    os.close(inner)
    for pid in children:
        os.waitpid(pid, 0)
    return len(children)


def _status() -> dict[str, str]:
    with open("/proc/self/status", encoding="utf-8") as file:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in file)}


def _refused(attempt: Callable[[], object], number: int) -> bool:
    try:
        attempt()
    except OSError as exc:
        return exc.errno == number
    return False


def _isolation(policy: JailPolicy, report: dict[str, Any]) -> list[Protection]:
    found = [
        _protection(f"{name} namespace", bool(report.get(f"{name} namespace")), "namespace")
        for name in sorted(_NAMESPACE_OF.values())
    ]
    if policy.network:
        found = [replace(item, advice=_SHARED_NETWORK) if item.name == "network namespace" else item for item in found]
    means = "host user given up" if policy.privileged else "the service's own user"
    unprivileged = policy.host_uid != 0 and bool(report.get("unprivileged user"))
    found.append(_protection("unprivileged user", unprivileged, means))
    for name in ("capabilities", "no new privileges", "system call filter", "init out of reach"):
        found.append(_protection(name, bool(report.get(name)), "kernel"))
    safe = policy.privileged or not executable.is_exposed() or "user" in policy.namespaces
    found.append(_protection("interpreter out of reach", safe, "read-only mount" if executable.is_exposed() else "another owner"))
    return found


def _limits(report: dict[str, Any], groups: Mapping[str, int]) -> list[Protection]:
    supervisor = "supervisor" if report.get("pid namespace") else ""
    rlimit = "rlimit" if report.get("tasks by rlimit") else supervisor
    means = {"memory limit": ("memory", supervisor), "task limit": ("pids", rlimit), "processor limit": ("cpu", "")}
    return [
        _protection(
            name, controller in groups or bool(otherwise), f"cgroup {groups[controller]}" if controller in groups else otherwise
        )
        for name, (controller, otherwise) in means.items()
    ]


def _protection(name: str, held: bool, means: str) -> Protection:
    return Protection(name, held, means if held else "none", "" if held else _ADVICE[name])


def _try_groups(places: Mapping[str, Place]) -> dict[str, int]:
    """The controllers that do limit, with their version: each is put to the test by a process that goes too far."""
    tests = {"memory": _memory_is_limited, "pids": _tasks_are_limited, "cpu": _processors_are_limited}
    found: dict[str, int] = {}
    for name, test in tests.items():
        with suppress(JailError, OSError):
            if name in places and test({name: places[name]}):
                found[name] = places[name].version
    return found


def _in_group(
    limits: Limits, places: Mapping[str, Place], work: Callable[[], object], judge: Callable[[cgroup.Group], bool]
) -> bool:
    group = cgroup.create(f"threadbook-probe-{os.getpid()}", limits, places)
    inner, outer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            os.close(outer)
            os.read(inner, 1)
            work()
        os._exit(0)
    try:
        os.close(inner)
        group.add(pid)
        os.close(outer)
        os.waitpid(pid, 0)
        return judge(group)
    finally:
        group.close()
        while not group.remove():
            group.kill()


def _memory_is_limited(places: Mapping[str, Place]) -> bool:
    def take_too_much() -> None:
        block = mmap.mmap(-1, 64 * MEBIBYTE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for offset in range(0, len(block), mmap.PAGESIZE):
            block[offset] = 1

    return _in_group(Limits(memory=16 * MEBIBYTE), places, take_too_much, lambda group: bool(group.usage().oom_kills))


def _tasks_are_limited(places: Mapping[str, Place]) -> bool:
    def fork_twice() -> None:
        if os.fork() == 0:
            with suppress(OSError):
                if os.fork() == 0:
                    os._exit(0)
                os.wait()
            os._exit(0)
        os.wait()

    return _in_group(Limits(tasks=2), places, fork_twice, lambda group: bool(group.usage().refused_forks))


def _processors_are_limited(places: Mapping[str, Place]) -> bool:
    place = places["cpu"]

    def burn() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
        end = time.monotonic() + 0.12
        while time.monotonic() < end:
            pass

    def throttled(group: cgroup.Group) -> bool:
        with open(f"{place.folder}/{group.name}/cpu.stat", encoding="ascii") as file:
            counters = dict(line.split() for line in file)
        return int(counters.get("nr_throttled", 0)) > 0

    return _in_group(Limits(cpus=0.1), places, burn, throttled)
