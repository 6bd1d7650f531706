"""Attacks by system calls: out of the namespaces, up to more rights, into other processes and the operating system."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.attacks import Attacker

pytestmark = pytest.mark.slow

_NEW = {"user": 0x10000000, "mount": 0x20000, "pid": 0x20000000, "net": 0x40000000, "cgroup": 0x2000000, "time": 0x80}

#: Every one is refused, with EPERM; ``ENOSYS`` where this machine has no such call.
_CALLS: list[Any] = [
    pytest.param("call('mount', b'none', b'/workspace', b'tmpfs', 0, 0)", id="mount"),
    pytest.param("call('mount', b'/proc/1/root', b'/workspace', 0, 4096, 0)", id="bind mount"),
    pytest.param("call('umount2', b'/proc', 2)", id="umount"),
    pytest.param("call('fsopen', b'tmpfs', 0)", id="fsopen"),
    pytest.param("call('open_tree', -100, b'/', 1)", id="open_tree"),
    pytest.param("call('move_mount', 0, b'', 0, b'', 0)", id="move_mount"),
    pytest.param("call('pivot_root', b'/workspace', b'/workspace')", id="pivot_root"),
    pytest.param("os.makedirs('/tmp/a', exist_ok=True); call('chroot', b'/tmp/a')", id="chroot"),
    *(pytest.param(f"call('unshare', {flag})", id=f"a new {name} namespace") for name, flag in _NEW.items()),
    pytest.param("call('clone', 0x10000000 | 17, 0, 0, 0, 0)", id="clone into a new user namespace"),
    pytest.param("call('setns', os.open('/proc/self/ns/net', os.O_RDONLY), 0)", id="setns"),
    pytest.param("call('ptrace', 16, 1, 0, 0)", id="ptrace of init"),
    pytest.param("call('ptrace', 0, 0, 0, 0)", id="ptrace of itself"),
    pytest.param("call('process_vm_readv', 1, 0, 0, 0, 0, 0)", id="read init's memory"),
    pytest.param("call('process_vm_writev', 1, 0, 0, 0, 0, 0)", id="write init's memory"),
    pytest.param("call('pidfd_getfd', 0, 0, 0)", id="take a descriptor of another process"),
    pytest.param("call('kcmp', 1, os.getpid(), 0, 0, 0)", id="compare with init"),
    pytest.param("call('keyctl', 0, -3, 1)", id="keyring"),
    pytest.param("call('add_key', b'user', b'x', b'y', 1, -4)", id="add a key"),
    pytest.param("call('request_key', b'user', b'x', 0, 0)", id="ask for a key"),
    pytest.param("call('io_uring_setup', 8, 0)", id="io_uring"),
    pytest.param("call('bpf', 0, 0, 0)", id="bpf"),
    pytest.param("call('perf_event_open', 0, 0, -1, -1, 0)", id="perf"),
    pytest.param("call('userfaultfd', 1)", id="userfaultfd"),
    pytest.param("call('seccomp', 0, 0, 0)", id="seccomp"),
    pytest.param("call('init_module', 0, 0, b'')", id="load a module"),
    pytest.param("call('finit_module', 0, b'', 0)", id="load a module from a file"),
    pytest.param("call('delete_module', b'x', 0)", id="remove a module"),
    pytest.param("call('kexec_load', 0, 0, 0, 0)", id="another kernel"),
    pytest.param("call('reboot', 0xfee1dead, 672274793, 0x1234567, 0)", id="reboot"),
    pytest.param("call('swapoff', b'/swap')", id="swapoff"),
    pytest.param("call('acct', b'/workspace/acct')", id="acct"),
    pytest.param("call('syslog', 3, 0, 0)", id="dmesg"),
    pytest.param("call('clock_settime', 0, b'\\0' * 16)", id="set the clock"),
    pytest.param("call('settimeofday', b'\\0' * 16, 0)", id="set the time of day"),
    pytest.param("call('adjtimex', b'\\0' * 208)", id="bend the clock"),
    pytest.param("call('sethostname', b'evil', 4)", id="set the host's name"),
    pytest.param("call('quotactl', 0, 0, 0, 0)", id="quotas"),
    pytest.param("call('open_by_handle_at', -100, b'\\0' * 16, 0)", id="files by handle"),
    pytest.param("call('name_to_handle_at', -100, b'/', b'\\0' * 160, b'\\0' * 8, 0)", id="handles of files"),
    pytest.param("call('fanotify_init', 0, 0)", id="watch the file system"),
    pytest.param("call('personality', 0x0040000)", id="no random addresses"),
    pytest.param("call('shmget', 0, 4096, 0o1600)", id="shared memory of the host"),
    pytest.param("call('mq_open', b'x', 0o102, 0o600, 0)", id="message queues"),
    pytest.param("call('memfd_secret', 0)", id="memory that nobody counts"),
    pytest.param("call('vmsplice', 1, 0, 0, 0)", id="pages for pipes"),
    pytest.param("call('sync')", id="make everybody's disk busy"),
    pytest.param("call('setuid', 0)", id="become root"),
    pytest.param("call('setresgid', 0, 0, 0)", id="get root's group"),
    pytest.param("call('setgroups', 1, struct.pack('I', 0))", id="get more groups"),
    pytest.param("call('prctl', 22, 0, 0, 0, 0)", id="change its own filter"),
    pytest.param("call('prctl', 28, 0, 0, 0, 0)", id="securebits"),
    pytest.param("call('capset', struct.pack('II', 0x20080522, 0), struct.pack('6I', *[0xffffffff] * 6))", id="capabilities"),
]


@pytest.mark.parametrize("code", _CALLS)
def test_a_call_that_data_science_never_makes_is_refused(spy: Attacker, code: str) -> None:
    assert spy.sees(code) in ("EPERM", "ENOSYS", "EINVAL" if "setres" in code or "setuid" in code else "EPERM")
    spy.service.goes_on()


_STATUS: list[Any] = [
    ("CapEff", "0000000000000000"),
    ("CapPrm", "0000000000000000"),
    ("CapBnd", "0000000000000000"),
    ("CapAmb", "0000000000000000"),
    ("NoNewPrivs", "1"),
    ("Seccomp", "2"),
]


@pytest.mark.parametrize(("field", "expected"), _STATUS)
def test_no_right_is_left(spy: Attacker, field: str, expected: str) -> None:
    code = f"[line.split()[1] for line in open('/proc/self/status') if line.startswith({field + ':'!r})]"
    assert spy.sees(code) == [expected]
    child = f"subprocess.run(['grep', '-w', {field!r}, '/proc/self/status'], capture_output=True, text=True).stdout.split()[1]"
    assert spy.sees(child) == expected
    spy.service.goes_on()


def test_setuid_programs_lend_nothing(attacker: Attacker) -> None:
    code = """
    import glob
    found = [path for path in glob.glob('/usr/bin/*') if os.path.isfile(path) and os.stat(path).st_mode & stat.S_ISUID]
    seen = [subprocess.run(['sh', '-c', 'id -u; id -ru'], capture_output=True, text=True).stdout.split()]
    if found:
        subprocess.run([found[0], '--help'], capture_output=True, stdin=subprocess.DEVNULL, timeout=5)
    su = subprocess.run(['su', '-c', 'id -u'], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    seen + [su.stdout]
    """
    assert attacker.sees(code) == [["1000", "1000"], ""]


def test_the_classic_way_out_of_a_chroot_ends_in_the_jail(attacker: Attacker) -> None:
    code = """
    root = os.open('/', os.O_RDONLY)
    os.makedirs('/tmp/inner', exist_ok=True)
    refused = call('chroot', b'/tmp/inner')
    os.fchdir(root)
    for _ in range(64): os.chdir('..')
    seen = sorted(os.listdir('.'))
    os.chdir('/workspace')
    refused, [name for name in seen if name in ('boot', 'srv', 'mnt', 'media', 'run')]
    """
    refused, seen = attacker.sees(code)
    assert refused == "EPERM"
    assert seen == [name for name in seen if name in ("home", "run")] == []


def test_threads_and_processes_still_work_though_clone3_is_absent(attacker: Attacker) -> None:
    code = """
    answers = []
    thread = threading.Thread(target=answers.append, args=(1,)); thread.start(); thread.join()
    call('clone3', 0, 0), answers, subprocess.run(['echo', 'x'], capture_output=True, text=True).stdout
    """
    assert attacker.sees(code) == ("ENOSYS", [1], "x\n")


def test_a_crash_leaves_no_core(attacker: Attacker) -> None:
    code = """
    child = subprocess.run([sys.executable, '-c', 'import os; os.abort()'], capture_output=True)
    pid = os.fork()
    if pid == 0:
        os.kill(os.getpid(), signal.SIGSEGV)
    _, status = os.waitpid(pid, 0)
    child.returncode, os.WCOREDUMP(status), os.listdir('/workspace'), attempt(resource.setrlimit, resource.RLIMIT_CORE, (-1, -1))
    """
    assert attacker.sees(code) == (-6, False, [], "ValueError")


def test_init_cannot_be_traced_or_written_to_and_stays_the_parent(attacker: Attacker) -> None:
    assert attacker.sees("os.getppid(), attempt(open, '/proc/1/mem', 'wb'), attempt(os.readlink, '/proc/1/ns/mnt')") == (
        *(1, "EACCES", "EACCES"),
    )
