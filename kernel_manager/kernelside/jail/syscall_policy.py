"""Which system calls the code in a jail may make. Data: read it as a policy.

Every call of :mod:`.syscalls` stands in exactly one of :data:`ALLOWED`, :data:`CONDITIONAL`, :data:`DENIED` and
:data:`ABSENT`; what stands nowhere (calls that a newer kernel adds) is answered as if the kernel did not have it.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ArgumentTest:
    """One look at one argument: whether its half, masked, is among *values* (or, with ``inside=False``, is not).

    A filter sees the argument, never what it points to. The kernel reads most arguments as 32-bit integers, so the low
    half decides and junk in the high half changes nothing; ``high=True`` looks at the other half, for pointers.
    """

    argument: int
    values: frozenset[int]
    mask: int = 0xFFFFFFFF
    inside: bool = True
    high: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """A call *matches* when all tests of one of the *cases* hold; it is then ``allowed`` or not, and otherwise the opposite."""

    cases: tuple[tuple[ArgumentTest, ...], ...]
    allowed: bool


def only_if(*cases: tuple[ArgumentTest, ...]) -> Condition:
    """The call is allowed in these cases and denied in all others."""
    return Condition(cases, allowed=True)


def unless(*cases: tuple[ArgumentTest, ...]) -> Condition:
    """The call is denied in these cases and allowed in all others."""
    return Condition(cases, allowed=False)


def is_one_of(argument: int, *values: int, mask: int = 0xFFFFFFFF) -> ArgumentTest:
    """The argument has one of these values, looked at through *mask*."""
    return ArgumentTest(argument, frozenset(values), mask)


def has_any_bit(argument: int, mask: int) -> ArgumentTest:
    """The argument has a bit of *mask*."""
    return ArgumentTest(argument, frozenset({0}), mask, inside=False)


def is_not(argument: int, *values: int) -> ArgumentTest:
    """The argument has none of these values."""
    return ArgumentTest(argument, frozenset(values), inside=False)


ALLOWED: Final = {
    "files": """
        access chdir chown close close_range copy_file_range dup dup2 dup3 faccessat faccessat2 fadvise64 fallocate fchdir fchown
        fchownat fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd
        getdents getdents64 getxattr getxattrat lchown lgetxattr link linkat listxattr listxattrat llistxattr lremovexattr lseek
        lsetxattr lstat mkdir mkdirat newfstatat pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink
        readlinkat readv removexattr removexattrat rename renameat renameat2 rmdir sendfile setxattr setxattrat splice stat
        statfs statx symlink symlinkat sync_file_range truncate umask unlink unlinkat utime utimensat utimes write writev""",
    "waiting": """
        epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 inotify_add_watch inotify_init
        inotify_init1 inotify_rm_watch pause pipe pipe2 poll ppoll pselect6 select signalfd signalfd4 timerfd_create
        timerfd_gettime timerfd_settime""",
    "memory": """
        brk map_shadow_stack membarrier mincore mlock mlock2 mlockall mprotect mremap mseal msync munlock munlockall
        munmap pkey_alloc pkey_free pkey_mprotect""",
    "threads and locks": """
        arch_prctl futex futex_requeue futex_wait futex_waitv futex_wake get_robust_list get_thread_area rseq set_robust_list
        set_thread_area set_tid_address""",
    "processes": """
        execve execveat exit exit_group fork getpgid getpgrp getpid getppid getsid gettid setpgid setsid vfork wait4 waitid""",
    "signals": """
        restart_syscall rt_sigaction rt_sigpending rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait
        sigaltstack""",
    "identity": """
        capget capset getegid geteuid getgid getgroups getresgid getresuid getuid setfsgid setfsuid setgid setgroups setregid
        setresgid setresuid setreuid setuid uname""",
    "time": """
        alarm clock_getres clock_gettime clock_nanosleep getitimer gettimeofday nanosleep setitimer time timer_create
        timer_delete timer_getoverrun timer_gettime timer_settime times""",
    "scheduling and limits": """
        getcpu getpriority getrlimit getrusage ioprio_get sched_get_priority_max sched_get_priority_min sched_getaffinity
        sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_yield sysinfo""",
    "sockets": """
        accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg sendmsg sendto
        setsockopt shutdown""",
    "randomness": "getrandom",
    "giving up more rights": "landlock_add_rule landlock_create_ruleset landlock_restrict_self",
}

_CLONE_NAMESPACES: Final = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_CLONE_PARENT: Final = 0x00008000
_CLONE_FILES, _CLONE_THREAD = 0x00000400, 0x00010000

_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_NETLINK_ROUTE: Final = 0
_SOCK_STREAM, _SOCK_DGRAM, _SOCKET_TYPE = 1, 2, 0xF
_SOL_SOCKET, _SO_SNDBUF, _SO_RCVBUF = 1, 7, 8
_ANY_PROTOCOL, _TCP, _UDP = 0, 6, 17

_O_CREAT_OR_TMPFILE: Final = 0o100 | 0o20000000
_SETUID_OR_SETGID: Final = 0o6000
_S_IFMT, _S_IFCHR, _S_IFBLK = 0o170000, 0o020000, 0o060000

_F_SETLEASE, _F_NOTIFY, _F_SETDELEG = 1024, 1026, 1040
_F_SETOWN, _F_SETSIG, _F_SETOWN_EX = 8, 10, 15
_F_OFD_SETLK, _F_OFD_SETLKW = 37, 38
_FORBIDDEN_FCNTL: Final = (_F_SETLEASE, _F_NOTIFY, _F_SETDELEG, _F_SETOWN, _F_SETSIG, _F_SETOWN_EX)

_IOCTL_TYPE, _TERMINAL, _SOCKET = 0xFF00, 0x5400, 0x8900
_TIOCSTI, _TIOCLINUX, _TIOCSETD, _TIOCCONS = 0x5412, 0x541C, 0x5423, 0x541D
_FIOSETOWN, _SIOCSPGRP = 0x8901, 0x8902
_FORBIDDEN_IOCTL: Final = (_TIOCSTI, _TIOCLINUX, _TIOCSETD, _TIOCCONS, _FIOSETOWN, _SIOCSPGRP)
_FS_IOC_GETFLAGS, _FS_IOC_FIEMAP, _FIGETBSZ, _FICLONE, _FICLONERANGE = 0x80086601, 0xC020660B, 0x2, 0x40049409, 0x4020940D
_RNDGETENTCNT: Final = 0x80045200

_MADV_MERGEABLE, _MADV_HWPOISON, _MADV_SOFT_OFFLINE = 12, 100, 101
_RLIMIT_CORE: Final = 4

_MAP_TYPE, _MAP_SHARED, _MAP_SHARED_VALIDATE, _MAP_ANONYMOUS, _MAP_HUGETLB = 0xF, 0x1, 0x3, 0x20, 0x40000
_MFD_HUGETLB: Final = 0x4

_PRCTL_OPTIONS: Final = {
    "PR_SET_PDEATHSIG": 1, "PR_GET_PDEATHSIG": 2, "PR_GET_DUMPABLE": 3, "PR_SET_DUMPABLE": 4, "PR_GET_KEEPCAPS": 7,
    "PR_GET_TIMING": 13, "PR_SET_NAME": 15, "PR_GET_NAME": 16, "PR_GET_SECCOMP": 21, "PR_CAPBSET_READ": 23,
    "PR_GET_SECUREBITS": 27, "PR_SET_TIMERSLACK": 29, "PR_GET_TIMERSLACK": 30, "PR_MCE_KILL_GET": 34,
    "PR_SET_CHILD_SUBREAPER": 36, "PR_GET_CHILD_SUBREAPER": 37, "PR_SET_NO_NEW_PRIVS": 38, "PR_GET_NO_NEW_PRIVS": 39,
    "PR_GET_TID_ADDRESS": 40, "PR_SET_THP_DISABLE": 41, "PR_GET_THP_DISABLE": 42, "PR_CAP_AMBIENT": 47,
    "PR_SVE_SET_VL": 50, "PR_SVE_GET_VL": 51, "PR_GET_SPECULATION_CTRL": 52, "PR_PAC_RESET_KEYS": 54,
    "PR_SET_TAGGED_ADDR_CTRL": 55, "PR_GET_TAGGED_ADDR_CTRL": 56, "PR_SME_SET_VL": 63, "PR_SME_GET_VL": 64,
    "PR_SET_MDWE": 65, "PR_GET_MDWE": 66, "PR_SET_VMA": 0x53564D41, "PR_GET_AUXV": 0x41555856,
}  # fmt: skip

# Where user namespaces leave init the same user as the kernel, only this keeps the kernel's hands off it.
_NOT_INIT: Final = unless((is_one_of(0, 1),))
_NOT_INIT_AS_THREAD: Final = unless((is_one_of(0, 1),), (is_one_of(1, 1),))

CONDITIONAL: Final[dict[str, Condition]] = {
    # Threads and forks, but neither namespaces nor siblings that init would have to take for its own.
    "clone": unless((has_any_bit(0, _CLONE_NAMESPACES | _CLONE_PARENT),)),
    # Streams and datagrams over the three families; no raw or packet sockets, no vsock, kernel crypto… Netlink only to ask
    # for the interfaces of its own network: ZeroMQ aborts where it cannot (and to change any takes a capability).
    "socket": only_if(
        (is_one_of(0, _AF_UNIX),),
        (
            is_one_of(0, _AF_INET, _AF_INET6),
            is_one_of(1, _SOCK_STREAM, _SOCK_DGRAM, mask=_SOCKET_TYPE),
            is_one_of(2, _ANY_PROTOCOL, _TCP, _UDP),
        ),
        (is_one_of(0, _AF_NETLINK), is_one_of(2, _NETLINK_ROUTE)),
    ),
    "socketpair": only_if((is_one_of(0, _AF_UNIX),)),
    # A file with a setuid or setgid bit would lend the kernel's user to others on the host, where it is not mounted nosuid.
    "chmod": unless((has_any_bit(1, _SETUID_OR_SETGID),)),
    "fchmod": unless((has_any_bit(1, _SETUID_OR_SETGID),)),
    "fchmodat": unless((has_any_bit(2, _SETUID_OR_SETGID),)),
    "fchmodat2": unless((has_any_bit(2, _SETUID_OR_SETGID),)),
    "creat": unless((has_any_bit(1, _SETUID_OR_SETGID),)),
    "open": unless((has_any_bit(1, _O_CREAT_OR_TMPFILE), has_any_bit(2, _SETUID_OR_SETGID))),
    "openat": unless((has_any_bit(2, _O_CREAT_OR_TMPFILE), has_any_bit(3, _SETUID_OR_SETGID))),
    "mknod": unless((is_one_of(1, _S_IFCHR, _S_IFBLK, mask=_S_IFMT),), (has_any_bit(1, _SETUID_OR_SETGID),)),
    "mknodat": unless((is_one_of(2, _S_IFCHR, _S_IFBLK, mask=_S_IFMT),), (has_any_bit(2, _SETUID_OR_SETGID),)),
    # A lease on a file of the workspace makes whoever opens it on the host wait; who owns a descriptor gets its signals, and
    # init could be made the owner.
    "fcntl": unless((is_one_of(1, *_FORBIDDEN_FCNTL),)),
    # Terminals (but no typing into them, no line disciplines), sockets (but nobody who gets their signals), and a few harmless
    # questions about files: no attributes, quotas, subvolumes or keys that outlive the jail.
    "ioctl": only_if(
        (is_one_of(1, _TERMINAL, _SOCKET, mask=_IOCTL_TYPE), is_not(1, *_FORBIDDEN_IOCTL)),
        (is_one_of(1, _FS_IOC_GETFLAGS, _FS_IOC_FIEMAP, _FIGETBSZ, _FICLONE, _FICLONERANGE, _RNDGETENTCNT),),
    ),
    # Merging equal pages tells what others have in memory; poisoning pages breaks it.
    "madvise": unless((is_one_of(2, _MADV_MERGEABLE, _MADV_HWPOISON, _MADV_SOFT_OFFLINE),)),
    # A limit of 1 keeps cores from files and from programs of the host; 0 would only keep them from files.
    "setrlimit": unless((is_one_of(0, _RLIMIT_CORE),)),
    # Huge pages come from a pool of the whole host that no limit of memory counts.
    "mmap": unless((has_any_bit(3, _MAP_HUGETLB),)),
    "memfd_create": unless((has_any_bit(1, _MFD_HUGETLB),)),
    "prctl": only_if((is_one_of(0, *_PRCTL_OPTIONS.values()),)),
    "personality": only_if((is_one_of(0, 0, 0xFFFFFFFF),)),
    # The jail's init keeps deadlines and evidence: the code beside it may neither signal, slow, pin nor limit it.
    "kill": _NOT_INIT,
    "tkill": _NOT_INIT,
    "tgkill": _NOT_INIT_AS_THREAD,
    "rt_sigqueueinfo": _NOT_INIT,
    "rt_tgsigqueueinfo": _NOT_INIT_AS_THREAD,
    "pidfd_open": _NOT_INIT,
    "sched_setaffinity": _NOT_INIT,
    "sched_setattr": _NOT_INIT,
    "sched_setparam": _NOT_INIT,
    "sched_setscheduler": _NOT_INIT,
    "setpriority": only_if((is_one_of(0, 0), is_not(1, 1))),
    "prlimit64": only_if(
        (is_not(0, 1), is_not(1, _RLIMIT_CORE)),
        (is_one_of(2, 0), ArgumentTest(2, frozenset({0}), high=True)),  # only asks
    ),
}

DENIED: Final = {
    "mounts and roots": """
        chroot fsconfig fsmount fsopen fspick listmount mount mount_setattr move_mount open_tree open_tree_attr pivot_root
        statmount umount2""",
    "namespaces": "setns unshare",
    # A folder of /proc is as good a handle as any: pidfd_send_signal would reach init through /proc/1.
    "other processes": """
        kcmp pidfd_getfd pidfd_send_signal process_madvise process_mrelease process_vm_readv process_vm_writev ptrace""",
    "doors into the kernel": """
        bpf fanotify_init fanotify_mark io_uring_enter io_uring_register io_uring_setup lookup_dcookie perf_event_open seccomp
        userfaultfd uprobe uretprobe""",
    "keys": "add_key keyctl request_key",
    "files by handle": "file_getattr file_setattr name_to_handle_at open_by_handle_at",
    "the machine": """
        acct adjtimex clock_adjtime clock_settime delete_module finit_module init_module ioperm iopl kexec_file_load kexec_load
        quotactl quotactl_fd reboot setdomainname sethostname settimeofday swapoff swapon sync syncfs syslog vhangup""",
    "memory that nobody counts, or of others": """
        cachestat get_mempolicy mbind memfd_secret migrate_pages move_pages remap_file_pages set_mempolicy
        set_mempolicy_home_node tee vmsplice""",
    "queues and segments of the whole host": """
        io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit ioprio_set mq_getsetattr mq_notify mq_open
        mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop shmat shmctl shmdt
        shmget""",
    "security modules": "lsm_get_self_attr lsm_list_modules lsm_set_self_attr",
    "relics": """
        _sysctl afs_syscall create_module epoll_ctl_old epoll_wait_old get_kernel_syms getpmsg modify_ldt nfsservctl putpmsg
        query_module security sysfs tuxcall uselib ustat vserver""",
}

# Calls whose arguments lie in memory, where a filter cannot look. The C library has an older way for each and takes it.
ABSENT: Final = "clone3 openat2"

_NEVER: Final = only_if()

# Memory that no process shows, in place of the rules above: where only a supervisor adds up what processes show, it must not be
# had. Shared memory without a file stays when nobody has it mapped in; a buffer of a socket may be as large as the host allows.
# Locks are counted by the process that holds them: not those of an open file, or of who shares its files and has ended.
UNCOUNTED: Final[dict[str, Condition]] = {
    "clone": unless(
        (has_any_bit(0, _CLONE_NAMESPACES | _CLONE_PARENT),),
        (has_any_bit(0, _CLONE_FILES), is_one_of(0, 0, mask=_CLONE_THREAD)),
    ),
    "fcntl": unless((is_one_of(1, *_FORBIDDEN_FCNTL, _F_OFD_SETLK, _F_OFD_SETLKW),)),
    "memfd_create": _NEVER,
    "mmap": unless(
        (has_any_bit(3, _MAP_HUGETLB),),
        (has_any_bit(3, _MAP_ANONYMOUS), is_one_of(3, _MAP_SHARED, _MAP_SHARED_VALIDATE, mask=_MAP_TYPE)),
    ),
    "setsockopt": unless((is_one_of(1, _SOL_SOCKET), is_one_of(2, _SO_SNDBUF, _SO_RCVBUF))),
}

DENIED_ERRNO: Final = errno.EPERM
ABSENT_ERRNO: Final = errno.ENOSYS
