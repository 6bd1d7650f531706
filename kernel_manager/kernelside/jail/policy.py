"""What the code in a jail sees and may use. Data: read it as a policy."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

MEBIBYTE: Final = 1024 * 1024

NAMESPACES: Final = frozenset({"user", "pid", "mount", "network", "ipc", "uts", "cgroup"})

# The system as far as programs need it to run; read-only, and left out where a system has no such path. Of /etc only what
# holds no secret, by name.
SYSTEM_PATHS: Final = (
    "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
    "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32", "/usr/libexec", "/usr/share",
    "/etc/alternatives", "/etc/crypto-policies", "/etc/fonts", "/etc/gai.conf", "/etc/ld.so.cache", "/etc/ld.so.conf",
    "/etc/ld.so.conf.d", "/etc/locale.alias", "/etc/localtime", "/etc/magic", "/etc/mime.types", "/etc/pki/ca-trust/extracted",
    "/etc/pki/tls/cert.pem", "/etc/pki/tls/certs", "/etc/protocols", "/etc/services", "/etc/ssl/cert.pem", "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf", "/etc/timezone", "/nix/store",
)  # fmt: skip

# Within what is shown, what the host's package managers lock: a stranger who locks it first makes them wait for ever.
HIDDEN_PATHS: Final = ("/usr/lib/sysimage",)
HIDDEN_NAMES: Final = (".lock", "in-use.lock")  # in the folders of the interpreter

DEVICES: Final = ("null", "zero", "full", "random", "urandom")

# What programs read about the machine; every other entry of /proc that is not a process is covered.
PROC_FILES: Final = frozenset({
    "cpuinfo", "diskstats", "filesystems", "loadavg", "meminfo", "mounts", "net", "self", "stat", "sys", "thread-self", "uptime",
    "version", "vmstat",
})  # fmt: skip

# Of what the host counts per user, one jail gets no more than this.
USER_QUOTAS: Final = {"max_fanotify_groups": 0, "max_fanotify_marks": 0, "max_inotify_instances": 32, "max_inotify_watches": 8192}

# The memory of all TCP connections of a host is one pool, which one jail could empty. (least, default, most bytes a socket)
TCP_BUFFERS: Final = {"tcp_rmem": "4096 131072 212992", "tcp_wmem": "4096 16384 212992"}

TEMPORARY: Final = "/tmp"  # noqa: S108  (the jail's own)
SHARED: Final = "/dev/shm"  # noqa: S108
WORKSPACE: Final = "/workspace"
FILES: Final = "/files"
PACKAGES: Final = "/packages"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one jail may use. Sizes in bytes; ``None`` leaves a limit out."""

    memory: int | None = 1024 * MEBIBYTE  # all processes together, by cgroup or supervisor
    data: int | None = 896 * MEBIBYTE  # what one process may allocate; the allocation that goes beyond is a MemoryError
    tasks: int | None = 256  # processes and threads together
    cpus: float | None = 1.0  # 0.5 is half of one processor
    open_files: int = 1024  # one process
    file_size: int = 1024 * MEBIBYTE  # one file
    temporary: int = 256 * MEBIBYTE  # /tmp
    shared: int = 256 * MEBIBYTE  # /dev/shm
    temporary_files: int = 16_384  # inodes, in each of the two
    terminals: int = 32


@dataclass(frozen=True, slots=True)
class JailPolicy:
    """One kernel's jail.

    ``privileged`` says who builds it: root, which gives the kernel the unprivileged user ``host_uid``:``host_gid`` of the
    host, or an ordinary user, whose own ids these two then must be. Inside, the user is ``uid``:``gid`` either way (without
    a user namespace, ``host_uid``:``host_gid``). Paths are the host's.
    """

    workspace: str  # seen as /workspace, the only folder of the host that can be written
    host_uid: int
    host_gid: int
    privileged: bool
    environment: tuple[str, ...] = ()  # folders of the interpreter and its packages, seen where they are
    files: str | None = None  # seen as /files
    packages: str | None = None  # seen as /packages; the parent of what changes, because a mount stays with its folder
    sockets: str | None = None  # the kernel's own sockets, bound before; seen where it is, read-only
    system: tuple[str, ...] = SYSTEM_PATHS
    limits: Limits = field(default_factory=Limits)
    network: bool = False  # the host's, loopback included
    resolvers: str = ""  # the text of /etc/resolv.conf, for jails with a network
    namespaces: frozenset[str] = NAMESPACES
    system_calls: bool = True  # the system call filter
    memory_counted: bool = True  # by a cgroup; else memory that no process shows is denied
    uid: int = 1000
    gid: int = 1000
    user: str = "kernel"
    home: str = f"{TEMPORARY}/home"  # made anew, below /tmp
    hostname: str = "threadbook"
    machine_id: str = "0" * 31 + "1"
    variables: tuple[tuple[str, str], ...] = ()  # the whole environment
    oom_score_adj: int = 500  # when the whole machine runs out of memory, kernels go before services

    def __post_init__(self) -> None:
        if unknown := self.namespaces - NAMESPACES:
            raise ValueError(f"unknown namespaces: {', '.join(sorted(unknown))}")
        if ("mount" in self.namespaces) != ("pid" in self.namespaces):
            raise ValueError("the pid and mount namespaces go together: /proc must show the jail's own processes")
        if not self.privileged and self.namespaces and "user" not in self.namespaces:
            raise ValueError("an ordinary user makes namespaces only within a user namespace")
        if self.privileged and (self.host_uid == 0 or self.host_gid == 0):
            raise ValueError("root's jails need an unprivileged host_uid and host_gid")

    @property
    def clone_namespaces(self) -> frozenset[str]:
        """The namespaces that init is born into.

        Root makes them as root and the user namespace last, so that no user of the jail owns its mounts or network; an
        ordinary user needs a user namespace to make them at all, and gets the second, inner one last.
        """
        wanted = self.namespaces - {"user"} if self.privileged else self.namespaces
        return wanted - {"network"} if self.network else wanted


def environment_paths(executable: str, *prefixes: str) -> tuple[str, ...]:
    """The folders to show so that *executable* runs with these prefixes (``sys.prefix``, ``sys.base_prefix``)."""
    from os.path import dirname, realpath

    folders = {folder for prefix in prefixes for folder in (prefix, realpath(prefix))}
    folders.add(dirname(dirname(realpath(executable))))
    return tuple(sorted(folders - {"/", "/usr"}))
