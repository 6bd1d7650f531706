"""What code in a jail may do: nothing that needs a right."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernel_manager.kernelside.jail import pids
from tests.kernel_manager.kernelside.jail.harness import Builder


def test_there_are_no_capabilities_and_none_can_be_had(builder: Builder) -> None:
    source = """
    status = dict(line.split(':', 1) for line in open('/proc/self/status'))
    say(*[int(status[name], 16) for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb')])
    say(*[status[name].strip() for name in ('NoNewPrivs', 'Seccomp')], *os.getresuid(), *os.getresgid())
    say(*[attempt(work) for work in (
        lambda: os.setuid(0), lambda: os.setgid(0), lambda: os.setgroups([0]), lambda: os.chown('/workspace', 0, 0))])
    """
    assert builder.run(source).answers() == [0] * 5 + ["1", "2"] + [1000] * 6 + ["EINVAL", "EINVAL", "EPERM", "EINVAL"]


def test_the_host_sees_an_unprivileged_user(builder: Builder) -> None:
    running = builder.start("say('up'); input()")
    init = running.reported("init")
    assert running.line() == ["up"]
    owners = {uid for pid in (init, *pids.descendants(init)) for uid in _uids(pid)}
    running.tell()
    running.finish()
    assert owners == {builder.host_uid}
    assert 0 not in owners


def _uids(pid: int) -> list[int]:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("Uid:"))
    return [int(word) for word in line.split()[1:]]


def test_every_namespace_is_the_jails_own(builder: Builder) -> None:
    names = ("user", "pid", "mnt", "net", "ipc", "uts", "cgroup")
    seen = builder.run(f"say(*[os.readlink('/proc/self/ns/' + n) for n in {names}]); say(socket.gethostname())").answers()
    assert not {*seen} & {str(Path(f"/proc/self/ns/{name}").readlink()) for name in names}
    assert seen[-1] == "threadbook"


CALLS = (
    "('unshare', 0x10000000)",
    "('unshare', 0x20000)",
    "('setns', 0, 0)",
    "('clone', 0x10000000 | 17, 0, 0, 0, 0)",
    "('clone', 0x20000000 | 17, 0, 0, 0, 0)",
    "('clone', 0x40000000 | 17, 0, 0, 0, 0)",
    "('mount', b'none', b'/tmp', b'tmpfs', 0, 0)",
    "('umount2', b'/proc', 2)",
    "('pivot_root', b'/', b'/')",
    "('chroot', b'/tmp')",
    "('fsopen', b'tmpfs', 0)",
    "('fsmount', 0, 0, 0)",
    "('move_mount', 0, b'', 0, b'', 0)",
    "('open_tree', -100, b'/', 1)",
    "('mount_setattr', -100, b'/', 0, 0, 0)",
    "('bpf', 0, 0, 0)",
    "('perf_event_open', 0, 0, -1, -1, 0)",
    "('userfaultfd', 0)",
    "('io_uring_setup', 1, 0)",
    "('io_uring_enter', 0, 0, 0, 0, 0, 0)",
    "('keyctl', 0, -3, 0, 0, 0)",
    "('add_key', b'user', b'x', b'y', 1, -3)",
    "('request_key', b'user', b'x', 0, 0)",
    "('open_by_handle_at', -100, 0, 0)",
    "('name_to_handle_at', -100, b'/', 0, 0, 0)",
    "('kexec_load', 0, 0, 0, 0)",
    "('init_module', 0, 0, b'')",
    "('finit_module', 0, b'', 0)",
    "('delete_module', b'x', 0)",
    "('reboot', 0xfee1dead, 672274793, 0, 0)",
    "('swapon', b'/tmp/x', 0)",
    "('swapoff', b'/tmp/x')",
    "('settimeofday', 0, 0)",
    "('clock_settime', 0, 0)",
    "('adjtimex', 0)",
    "('clock_adjtime', 0, 0)",
    "('sethostname', b'x', 1)",
    "('syslog', 2, 0, 0)",
    "('acct', b'/tmp/x')",
    "('quotactl', 0, 0, 0, 0)",
    "('vhangup',)",
    "('fanotify_init', 0, 0)",
    "('shmget', 0, 4096, 0o1600)",
    "('msgget', 0, 0o1600)",
    "('mq_open', b'x', 0o102, 0o600, 0)",
    "('io_setup', 1, 0)",
    "('memfd_secret', 0)",
    "('remap_file_pages', 0, 0, 0, 0, 0)",
    "('seccomp', 1, 0, 0)",
    "('personality', 0x0040000)",
    "('prctl', 35, 13, 0, 0, 0)",
    "('prctl', 22, 1, 0, 0, 0)",
    "('statmount', 0, 0, 0, 0)",
    "('listmount', 0, 0, 0, 0)",
    "('sync',)",
)


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_data_science_never_needs_is_denied(calls: CallTable, call: str) -> None:
    assert calls.answer(call) == "EPERM"


class CallTable:
    """Makes all calls of the tests above in one jail, and remembers the answers."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._answers: dict[str, str] = {}

    def answer(self, call: str) -> str:
        if not self._answers:
            source = "say(*[errno.errorcode.get(-syscall(*c), 'made') for c in (" + ", ".join(CALLS) + ",)])"
            self._answers = dict(zip(CALLS, map(str, self._builder.run(source).answers()), strict=True))
        return self._answers[call]


@pytest.fixture(scope="module")
def calls(builder: Builder) -> CallTable:
    return CallTable(builder)


def test_calls_with_hidden_arguments_and_of_the_future_look_absent(builder: Builder) -> None:
    source = """
    say(*[errno.errorcode[-syscall(*c)] for c in (('clone3', 0, 0), ('openat2', -100, b'/', 0, 0))])
    libc.syscall.restype = ctypes.c_long
    def number(n):
        ctypes.set_errno(0)
        libc.syscall(ctypes.c_long(n), 0, 0, 0, 0, 0, 0)
        return errno.errorcode[ctypes.get_errno()]
    say(number(600), number(5000))
    """
    assert builder.run(source).answers() == ["ENOSYS"] * 4


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="other interfaces of x86")
def test_calls_of_x32_and_of_32_bit_are_denied(builder: Builder) -> None:
    source = """
    import mmap
    ctypes.set_errno(0)
    x32 = libc.syscall(ctypes.c_long(0x40000000 + NUMBERS['getpid']))
    say(x32, errno.errorcode[ctypes.get_errno()])
    # mov eax, 20 (getpid of i386); int 0x80; ret
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3]))
    function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    say(function())
    """
    seen = builder.run(source).answers()
    assert seen[:2] == [-1, "EPERM"]
    assert seen[2] in (-1, -38)  # EPERM, or an operating system without 32-bit calls


def test_no_further_user_namespace_even_without_the_filter(builder: Builder) -> None:
    source = "say(*[errno.errorcode[-syscall('unshare', flag)] for flag in (0x10000000, 0x20000, 0x40000000, 0x20000000)])"
    assert builder.run(source, system_calls=False).answers() == ["ENOSPC", "EPERM", "EPERM", "EPERM"]
