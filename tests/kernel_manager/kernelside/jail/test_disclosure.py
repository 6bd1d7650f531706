"""What code in a jail learns of the host, and what of the host it could reach through what it has."""

from __future__ import annotations

import fcntl
import os
import resource
from pathlib import Path

import pytest

from kernel_manager.kernelside.jail import JailError, JailPolicy, plan
from tests.kernel_manager.kernelside.jail.harness import Builder


def test_the_environment_and_the_command_line_tell_nothing(builder: Builder) -> None:
    source = """
    say(sorted(os.environ), open('/proc/self/environ').read().strip(chr(0)), open('/proc/self/cmdline').read().strip(chr(0)))
    ctypes.CDLL(None).getenv.restype = ctypes.c_char_p
    libc.getenv.restype = ctypes.c_char_p
    say(libc.getenv(b'SECRET') is None, subprocess.run(['/usr/bin/env'], capture_output=True, text=True).stdout.split())
    say('s3cr3t' in open('/proc/self/mem', 'rb').read(0).decode())
    """
    seen = builder.run(source, variables={"LANG": "C.UTF-8"}, extra_environment={"SECRET": "s3cr3t"}).answers()
    assert seen[:4] == [["HOME", "LANG", "PATH"], "", "zygote", True]
    assert sorted(seen[4])[:3] == ["HOME=/tmp/home", "LANG=C.UTF-8", "PATH=/usr/bin:/bin"]


def test_names_are_made_up(builder: Builder) -> None:
    source = """
    import pwd, grp
    say(socket.gethostname(), os.uname().nodename, pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name)
    say(open('/etc/machine-id').read().strip(), sorted(u.pw_name for u in pwd.getpwall()), os.path.expanduser('~'))
    """
    assert builder.run(source).answers() == [
        *("threadbook", "threadbook", "kernel", "kernel", "0" * 31 + "1", ["kernel", "nobody", "root"], "/tmp/home"),
    ]


def test_proc_tells_of_the_machine_only_what_programs_need(builder: Builder) -> None:
    source = """
    def read(name):
        with open('/proc/' + name, 'rb') as file: return len(file.read(100))
    files = ('kcore', 'kallsyms', 'kmsg', 'keys', 'modules', 'config.gz', 'cmdline', 'interrupts',
             'timer_list', 'partitions', 'locks')
    folders = ('bus', 'fs', 'irq', 'driver', 'acpi', 'sysvipc')
    say(*[attempt(lambda n=n: read(n)) for n in files if os.path.exists('/proc/' + n)])
    say([len(os.listdir('/proc/' + n)) for n in folders if os.path.exists('/proc/' + n)])
    say(attempt(lambda: open('/proc/sysrq-trigger', 'w').write('b') and 'pressed'))
    say(attempt(lambda: open('/proc/sys/kernel/core_pattern', 'w')))
    say(all(read(n) > 10 for n in ('cpuinfo', 'meminfo', 'stat', 'loadavg', 'uptime')))
    """
    seen = builder.run(source).answers()
    assert set(seen[:-4]) <= {0}
    assert set(seen[-4]) <= {0}
    assert seen[-3] in ("ENOENT", "pressed")  # covered: what is written goes nowhere
    assert seen[-2] == "EROFS"
    assert seen[-1] is True


def test_no_descriptor_of_the_service_is_left(builder: Builder) -> None:
    source = """
    paths = [f'/proc/self/fd/{number}' for number in os.listdir('/proc/self/fd')]
    say(sorted(os.readlink(path).split(':')[0] for path in paths if os.path.exists(path)))
    """
    assert builder.run(source).answers() == [["pipe", "pipe", "pipe"]]


def test_init_keeps_only_its_report_and_the_files_of_its_group(root_builder: Builder) -> None:
    running = root_builder.start("say('up'); input()", group=True)
    init = running.reported("init")
    assert running.line() == ["up"]
    kept = [str(path.readlink()) for path in Path(f"/proc/{init}/fd").iterdir()]
    root = Path(f"/proc/{init}/root").readlink()
    running.tell()
    running.finish()
    assert root == Path("/")
    assert {link.partition(":")[0] if link.startswith("pipe:") else link.rpartition("/")[2] for link in kept} <= {
        *("pipe", "memory.stat", "memory.max_usage_in_bytes", "memory.peak", "memory.oom_control", "memory.events"),
        *("pids.current", "pids.events", "cpu.max", "cpu.cfs_quota_us", "cpu.cfs_burst_us", "cpu.max.burst"),
    }


def test_a_folder_is_refused_as_a_descriptor_for_the_kernel(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        policy = JailPolicy(str(tmp_path), 1000, 1000, privileged=True)
        with pytest.raises(JailError, match="is a folder"):
            plan(policy, [], [folder])
    finally:
        os.close(folder)


def test_core_dumps_are_off_for_files_and_for_programs_of_the_host(builder: Builder) -> None:
    source = """
    import resource
    say(max(resource.getrlimit(resource.RLIMIT_CORE)))
    for values in ((0, 0), (0, 1), (1 << 20, 1 << 20)):
        try: resource.setrlimit(resource.RLIMIT_CORE, values)
        except ValueError: say('refused')
        try: resource.prlimit(0, resource.RLIMIT_CORE, values)
        except PermissionError: say('refused')
    os.abort()
    """
    outcome = builder.run(source)
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    assert outcome.said == [hard if hard == 0 else 1] + ["refused"] * 6
    assert outcome.exit_code == -6


def test_leases_that_would_stall_the_service_are_denied(builder: Builder) -> None:
    source = """
    import fcntl
    file = open('/workspace/leased', 'w')
    say(attempt(lambda: fcntl.fcntl(file, 1024, fcntl.F_WRLCK)), attempt(lambda: fcntl.fcntl(file, 1026, 0)))
    """
    assert builder.run(source).answers() == ["EPERM", "EPERM"]


def test_locks_of_package_managers_cannot_be_taken(builder: Builder) -> None:
    environment = builder.folder("environment", owned=False)
    lock = environment / ".lock"
    lock.touch()
    lock.chmod(0o666)
    source = f"""
    import fcntl
    file = open({str(lock)!r})
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    say(stat.S_ISCHR(os.fstat(file.fileno()).st_mode))
    input()
    """
    running = builder.start(source, shown=[str(environment)])
    assert running.line() == [True]
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    running.tell()
    assert running.finish().exit_code == 0


def test_terminals_of_others_cannot_be_typed_into(builder: Builder) -> None:
    source = """
    import fcntl
    leader, follower = os.openpty()
    say(*[attempt(lambda c=c: fcntl.ioctl(follower, c, b'x')) for c in (0x5412, 0x541C, 0x5423)], os.listdir('/dev/pts'))
    """
    assert builder.run(source).answers() == ["EPERM", "EPERM", "EPERM", ["0", "ptmx"]]


def test_attributes_that_outlive_the_jail_cannot_be_set(builder: Builder) -> None:
    source = """
    import array, fcntl
    file = open('/workspace/attributed', 'w')
    word = array.array('i', [0])
    commands = (0x40086602, 0x401C5820, 0x40806685, 0x800C6613, 0x5000940E, 0x4008941A)
    say(*[attempt(lambda c=c: fcntl.ioctl(file, c, word)) for c in commands])
    """
    assert builder.run(source).answers() == ["EPERM"] * 6


def test_equal_pages_cannot_be_merged_with_those_of_others(builder: Builder) -> None:
    source = """
    import mmap
    view = mmap.mmap(-1, 8192)
    say(attempt(lambda: view.madvise(12)), attempt(lambda: view.madvise(100)), attempt(lambda: view.madvise(mmap.MADV_DONTNEED)))
    """
    assert builder.run(source).answers() == ["EPERM", "EPERM", None]


def test_quotas_of_the_hosts_user_are_divided(builder: Builder) -> None:
    source = """
    made = 0
    while (result := syscall('inotify_init1', 0)) >= 0: made += 1
    quotas = [int(open('/proc/sys/user/' + name).read()) for name in ('max_user_namespaces', 'max_inotify_watches')]
    say(made, errno.errorcode[-result], *quotas)
    """
    assert builder.run(source).answers() == [32, "EMFILE", 0, 8192]


def test_huge_pages_of_the_host_cannot_be_taken(builder: Builder) -> None:
    source = """
    import mmap
    say(attempt(lambda: mmap.mmap(-1, 1 << 21, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)))
    say(errno.errorcode[-syscall('memfd_create', b'x', 4)])
    """
    assert builder.run(source).answers() == ["EPERM", "EPERM"]


def test_the_interpreter_of_an_ordinary_user_is_exposed_unless_started_read_only(ordinary_builder: Builder) -> None:
    builder = ordinary_builder
    home = builder.folder("python")
    python = home / "bin" / "python3"
    if not python.exists():
        python.parent.mkdir()
        python.write_bytes(Path(os.path.realpath(builder.python)).read_bytes())
        python.chmod(0o755)
        os.chown(python.parent, builder.uid, builder.uid)
        os.chown(python, builder.uid, builder.uid)
    source = "say(attempt(lambda: os.chmod('/proc/self/exe', 0o711)))"
    environment = {"PYTHONHOME": _prefix(builder.python)}
    options = {"python": python, "extra_environment": environment, "shown": [_prefix(builder.python)]}
    assert builder.run(source, **options).answers() == [None]
    python.chmod(0o755)
    assert builder.run(source, restart=True, **options).answers() == ["EROFS"]
    assert python.stat().st_mode & 0o777 == 0o755


def _prefix(python: Path) -> str:
    import subprocess

    done = subprocess.run([python, "-c", "import sys; print(sys.base_prefix)"], check=True, capture_output=True, text=True)
    return done.stdout.strip()
