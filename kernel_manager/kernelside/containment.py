"""From what the operator asks for and what this host gives to the enclosure of one kernel.

A :class:`Containment` is made once, in the process that forks kernels. The host is tried, not guessed: a probe runs in a
forked child beside the imports.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
import zlib
from dataclasses import dataclass, replace
from typing import Any

from .enclosure import Enclosure, NoEnclosure
from .jail import JailError, JailPolicy, Limits, cgroup, environment_paths, libc, plan
from .jail import environment as process_environment
from .jail.policy import MEBIBYTE, WORKSPACE
from .jail.probe import Findings, Protection, probe
from .jail_enclosure import JailEnclosure
from .workspace import WorkspaceLimits

HOME = "/tmp/home"  # noqa: S108  (the jail's own)
#: Host uids of kernels, one for each user of the service: far above those that systems give to people and containers.
_UID_BASE = 1_900_000_000
_UIDS = 100_000
#: Seconds after which an empty control group is one that a killed zygote left.
_FORGOTTEN_S = 120.0
_PASSED_ON = (
    *("LANG", "MPLBACKEND", "PLOTLY_RENDERER", "MALLOC_ARENA_MAX", "OPENBLAS_THREAD_TIMEOUT", "PYTHONDONTWRITEBYTECODE", "TZ"),
)
_MAX_CHOWNED = 200_000
_LEAST_GAP_MB = 64


@dataclass(frozen=True)
class Demand:
    """What the settings ask for. Sizes in MB."""

    sandbox: str = "none"
    network: bool = False
    memory_mb: int = 1024
    processes: int = 256
    cpus: float = 1.0
    open_files: int = 1024
    file_size_mb: int = 1024
    tmp_mb: int = 256
    workspace_mb: int = 1024
    workspace_files: int = 20_000

    @classmethod
    def parse(cls, text: str) -> Demand:
        """Read what the service wrote as JSON."""
        return cls(**json.loads(text)) if text else cls()

    @property
    def limits(self) -> Limits:
        """In the jail's terms. Private memory of one process ends a little before the limit of all, with a MemoryError.

        The gap holds what a kernel touches of the memory that it was born with.
        """
        return Limits(
            memory=self.memory_mb * MEBIBYTE,
            data=(self.memory_mb - max(self.memory_mb // 8, _LEAST_GAP_MB)) * MEBIBYTE,
            tasks=self.processes,
            cpus=self.cpus,
            open_files=self.open_files,
            file_size=self.file_size_mb * MEBIBYTE,
            temporary=self.tmp_mb * MEBIBYTE,
            shared=self.tmp_mb * MEBIBYTE,
        )


class Containment:
    """How kernels are enclosed here: see :func:`find`."""

    def __init__(self, demand: Demand, findings: Findings | None, places: dict[str, cgroup.Place]) -> None:
        self._demand = demand
        self._findings = findings
        self._places = places

    @property
    def missing(self) -> list[str]:
        """The names of protections that were asked for and that this host does not give."""
        return [] if self._findings is None else [protection.name for protection in self._findings.missing]

    def report(self) -> dict[str, Any]:
        """For the service's status and for `threadbook doctor`."""
        protections = () if self._findings is None else self._findings.protections
        return {"sandbox": self._demand.sandbox, "protections": [describe(protection) for protection in protections]}

    def refusal(self) -> str | None:
        """Why no kernel may start here, if so."""
        if self._demand.sandbox != "strict" or not self.missing:
            return None
        return f"SANDBOX=strict, and this machine lacks: {', '.join(self.missing)}; run `threadbook doctor`, or set SANDBOX=auto"

    def enclosure(self, kernel_id: str, user: str, workspace: str, files: str, packages: str) -> Enclosure:
        """Make the enclosure of one kernel; raises JailError or OSError."""
        if self._findings is None or not self._findings.policy.namespaces:
            return NoEnclosure()
        policy = self._findings.policy
        uid = kernel_uid(user) if policy.privileged else policy.host_uid
        gid = uid if policy.privileged else policy.host_gid
        os.chmod(workspace, 0o700)  # code could have shut itself out of it
        if policy.privileged:
            give_workspace(workspace, uid, gid)
        for shown in (files, packages):
            # made now: what is mounted is this folder, whatever comes into it later
            os.makedirs(shown, exist_ok=True)
            os.chmod(shown, 0o755)  # noqa: S103  (the data folder is the service's alone; a kernel may be another user)
        policy = replace(policy, workspace=workspace, files=files, packages=packages, host_uid=uid, host_gid=gid)
        group = cgroup.create(f"threadbook-{kernel_id}", policy.limits, self._places) if self._places else None
        try:
            quota = self._quota(policy)
            return JailEnclosure(plan(policy, (), (), group), quota)
        except BaseException:
            if group is not None:
                group.close()
                group.remove()
            raise

    def _quota(self, policy: JailPolicy) -> WorkspaceLimits:
        demand, inside = self._demand, "mount" in policy.namespaces
        folder = WORKSPACE if inside else policy.workspace
        return WorkspaceLimits(folder, demand.workspace_mb * MEBIBYTE, demand.workspace_files, alone=inside)


def find(demand: Demand, findings: Findings | None) -> Containment:
    """Return the containment that the probe's findings allow; for ``SANDBOX=none`` there are none."""
    places = cgroup.find() if findings is not None else {}
    _forget_groups(places)
    return Containment(demand, findings, places)


def wanted_policy(demand: Demand) -> JailPolicy:
    """The policy of every kernel here, without what is a kernel's own."""
    privileged = os.geteuid() == 0
    own = os.path.dirname(os.path.abspath(__file__))
    return JailPolicy(
        workspace="/",
        host_uid=kernel_uid("") if privileged else os.geteuid(),
        host_gid=kernel_uid("") if privileged else os.getegid(),
        privileged=privileged,
        environment=tuple(sorted({*environment_paths(sys.executable, sys.prefix, sys.base_prefix), own})),
        limits=demand.limits,
        network=demand.network,
        resolvers=_resolvers() if demand.network else "",
        home=HOME,
        variables=_variables(),
    )


def look(demand: Demand) -> Findings:
    """Try what this host gives; takes about a second, all in children of this process, which has one thread."""
    return probe(wanted_policy(demand), cgroup.find())


class Looking:
    """The same in a forked child, while this process does something else; known answers are kept in ``folder``.

    An answer holds until the machine restarts, or this process is another user's or in another control group.
    """

    def __init__(self, demand: Demand, folder: str) -> None:
        self._demand = demand
        self._known = os.path.join(folder, f"sandbox-{_situation(demand)}.json")
        self._pid = 0
        if os.path.exists(self._known):
            return
        self._pid = os.fork()
        if self._pid == 0:
            status = 1
            with contextlib.suppress(BaseException):
                self._write()
                status = 0
            os._exit(status)

    def _write(self) -> None:
        try:
            answer = encode(look(self._demand))
        except (JailError, OSError) as exc:
            answer = {"failed": str(exc)}
        written = f"{self._known}.{os.getpid()}"
        with open(written, "w") as file:
            json.dump(answer, file)
        os.replace(written, self._known)

    def findings(self) -> Findings:
        """Wait for the answer; raises RuntimeError if the probe itself failed."""
        if self._pid:
            os.waitpid(self._pid, 0)
        try:
            with open(self._known) as file:
                answer = json.load(file)
        except (OSError, ValueError) as exc:
            raise RuntimeError(f"the sandbox cannot be probed: {exc}") from exc
        if "protections" not in answer:
            os.unlink(self._known)
            raise RuntimeError(f"the sandbox cannot be probed: {answer.get('failed')}")
        return decode(answer, wanted_policy(self._demand))


def _situation(demand: Demand) -> str:
    """A name for everything that an answer depends on and that can change."""
    parts = [repr(demand), str(os.geteuid()), sys.executable]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/cgroup"):
        with contextlib.suppress(OSError), open(path) as file:
            parts.append(file.read())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def encode(findings: Findings) -> dict[str, Any]:
    """What a probe found, as JSON."""
    policy = findings.policy
    return {
        "protections": [describe(protection) for protection in findings.protections],
        "namespaces": sorted(policy.namespaces),
        "system_calls": policy.system_calls,
        "memory_counted": policy.memory_counted,
    }


def decode(answer: dict[str, Any], policy: JailPolicy) -> Findings:
    """The inverse of :func:`encode`."""
    usable = replace(
        policy,
        namespaces=frozenset(answer["namespaces"]),
        system_calls=answer["system_calls"],
        memory_counted=answer["memory_counted"],
    )
    return Findings(tuple(Protection(**protection) for protection in answer["protections"]), usable)


def describe(protection: Protection) -> dict[str, Any]:
    """One protection as JSON."""
    return {"name": protection.name, "held": protection.held, "means": protection.means, "advice": protection.advice}


def hide_start(role: str) -> None:
    """Wipe this process's command line and environment from what its forks could read; ``role`` is the title that stays."""
    process_environment.scrub(f"kernelside\0{role}")
    sys.argv[:] = [""]
    sys.orig_argv[:] = []
    libc.raw()


def kernel_uid(user: str) -> int:
    """The unprivileged uid and gid of the host that a user's kernels have where the service is root."""
    return _UID_BASE + zlib.crc32(user.encode()) % _UIDS


def give_workspace(folder: str, uid: int, gid: int) -> None:
    """Make the kernel's user the owner of its working folder, and of what older kernels left there under another one.

    By descriptor and without following links; what has several names could be somebody else's, and stays as it is. So does
    what lies too deep to be walked to.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    top = os.open(folder, flags)
    try:
        if os.fstat(top).st_uid == uid:
            return
        with contextlib.suppress(RecursionError, OSError):
            _give_all_below(top, uid, gid)
        os.fchown(top, uid, gid)
    finally:
        os.close(top)


def _give_all_below(top: int, uid: int, gid: int) -> None:
    for count, (_, folders, files, at) in enumerate(os.fwalk(".", dir_fd=top)):
        for name in (*folders, *files):
            entry = os.stat(name, dir_fd=at, follow_symlinks=False)
            if entry.st_nlink == 1 or stat.S_ISDIR(entry.st_mode):
                os.chown(name, uid, gid, dir_fd=at, follow_symlinks=False)
        if count > _MAX_CHOWNED:
            break


def _variables() -> tuple[tuple[str, str], ...]:
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    own = {
        "PATH": f"{os.path.dirname(sys.executable)}:/usr/local/bin:/usr/bin:/bin",
        "HOME": HOME,
        "USER": "kernel",
        "LOGNAME": "kernel",
        "SHELL": "/bin/sh",
        "TMPDIR": "/tmp",  # noqa: S108
        "IPYTHONDIR": f"{HOME}/.ipython",
    }
    return tuple(sorted({**kept, **own}.items()))


def _resolvers() -> str:
    with contextlib.suppress(OSError), open("/etc/resolv.conf") as file:
        return file.read(4096)
    return ""


def _forget_groups(places: dict[str, cgroup.Place]) -> None:
    """Remove empty groups of kernels whose zygote was killed."""
    for folder in {place.folder for place in places.values()}:
        with contextlib.suppress(OSError):
            for entry in list(os.scandir(folder)):
                if entry.name.startswith("threadbook-") and _is_old(entry):
                    with contextlib.suppress(OSError):
                        os.rmdir(entry.path)


def _is_old(entry: os.DirEntry[str]) -> bool:
    import time

    return entry.is_dir(follow_symlinks=False) and time.time() - entry.stat().st_mtime > _FORGOTTEN_S
