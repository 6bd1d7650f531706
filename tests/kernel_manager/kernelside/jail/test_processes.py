"""What code in a jail sees of processes, and what it can do to its init."""

from __future__ import annotations

import os
from pathlib import Path

from kernel_manager.kernelside.jail import pids
from tests.kernel_manager.kernelside.jail.harness import Builder


def test_only_the_jails_processes_are_seen(builder: Builder) -> None:
    source = "say(sorted(int(n) for n in os.listdir('/proc') if n.isdigit()), os.getpid(), os.getppid())"
    assert builder.run(source).answers() == [[1, 2], 2, 1]


def test_init_gives_nothing_away(builder: Builder) -> None:
    names = ("environ", "mem", "maps", "root", "cwd", "fd", "exe", "smaps", "auxv", "stack", "syscall", "io")
    source = f"""
    def read(name):
        path = '/proc/1/' + name
        if name in ('root', 'cwd', 'exe'): return os.readlink(path)
        if name == 'fd': return os.listdir(path)
        with open(path, 'rb') as file: return len(file.read(10))
    say(*[attempt(lambda n=n: read(n)) for n in {names}])
    say(open('/proc/1/cmdline').read().strip(chr(0)))
    """
    seen = builder.run(source, extra_environment={"SECRET": "s3cr3t"}).answers()
    assert set(seen[:-1]) <= {"EACCES", "EPERM", "ENOENT"}
    assert seen[-1] == "zygote"


def test_init_cannot_be_signalled_slowed_or_limited(builder: Builder) -> None:
    source = """
    import resource
    say(*[attempt(work) for work in (
        lambda: os.kill(1, signal.SIGKILL), lambda: os.kill(1, signal.SIGSTOP), lambda: os.kill(1, signal.SIGINT),
        lambda: os.kill(1, 0), lambda: os.pidfd_open(1), lambda: os.sched_setaffinity(1, {0}),
        lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)),
        lambda: os.setpriority(os.PRIO_PROCESS, 1, 19), lambda: os.setpriority(os.PRIO_USER, 0, 19),
        lambda: os.setpriority(os.PRIO_PGRP, 1, 19))])
    try: resource.prlimit(1, resource.RLIMIT_NOFILE, (0, 0))
    except PermissionError: say('EPERM')
    say(*[errno.errorcode[-syscall(*call)] for call in (
        ('tkill', 1, 9), ('tgkill', 1, 1, 9), ('rt_sigqueueinfo', 1, 9, 0), ('ptrace', 16, 1, 0, 0),
        ('process_vm_readv', 1, 0, 0, 0, 0, 0),
        ('pidfd_getfd', 0, 0, 0), ('kcmp', 1, 2, 0, 0, 0), ('process_madvise', 0, 0, 0, 0, 0), ('migrate_pages', 1, 0, 0, 0))])
    child = subprocess.Popen(['/bin/sleep', '10'])
    os.kill(-1, signal.SIGKILL)
    say(child.wait(), open('/proc/1/stat').read().split()[2] in 'SR')
    """
    assert builder.run(source).answers() == ["EPERM"] * 20 + [-9, True]


def test_killing_everything_leaves_init_and_the_report(builder: Builder) -> None:
    source = """
    if os.fork() == 0: time.sleep(100)
    say('last words')
    os.kill(-1, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
    """
    outcome = builder.run(source)
    assert outcome.said == ["last words"]
    assert outcome.exit_code == -9
    assert outcome.report["init_status"] == 0


def test_ptrace_is_denied_even_among_own_children(builder: Builder) -> None:
    source = """
    child = subprocess.Popen(['/bin/sleep', '10'])
    say(errno.errorcode[-syscall('ptrace', 16, child.pid, 0, 0)], errno.errorcode[-syscall('ptrace', 0, 0, 0, 0)])
    child.kill(); child.wait()
    """
    assert builder.run(source).answers() == ["EPERM", "EPERM"]


def test_killing_init_ends_everything_at_once(builder: Builder) -> None:
    source = """
    for level in range(4):
        if os.fork() == 0:
            os.setsid()
            signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(number, signal.SIG_IGN)
            if os.fork(): time.sleep(1000)
            time.sleep(1000)
    time.sleep(0.2)
    say(len([n for n in os.listdir('/proc') if n.isdigit()]))
    time.sleep(1000)
    """
    running = builder.start(source)
    init = running.reported("init")
    assert running.line() == [10]
    alive = _processes_of(init)
    assert len(alive) == 10
    os.kill(init, 9)
    outcome = running.finish()
    assert outcome.report["init_status"] == 9
    assert not [pid for pid in alive if Path(f"/proc/{pid}").exists()]


def _processes_of(init: int) -> list[int]:
    return [init, *pids.descendants(init)]


def test_the_kernels_pid_is_found_out_here(builder: Builder) -> None:
    running = builder.start("if os.fork() == 0: time.sleep(100)\nsay(os.getpid()); input(); os.kill(-1, 9)")
    init, inner = running.reported("init"), running.reported("kernel")
    assert running.line() == [inner]
    found = pids.host_pid(init, inner)
    assert found is not None
    assert Path(f"/proc/{found}/status").read_text().split("NSpid:")[1].split()[:2] == [str(found), "2"]
    assert pids.host_pid(init, 99_999) is None
    running.tell()
    running.finish()
    assert pids.host_pid(init, inner) is None
