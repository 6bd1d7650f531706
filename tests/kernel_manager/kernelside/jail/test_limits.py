"""Bombs: what they reach, and how it is known why they ended."""

from __future__ import annotations

import os

import pytest

from kernel_manager.kernelside.jail import cgroup
from tests.kernel_manager.kernelside.jail.harness import Builder

MIB = 1024 * 1024

TAKE = """
def take(mebibytes, step=4):
    import mmap
    blocks = []
    for _ in range(0, mebibytes, step):
        block = mmap.mmap(-1, step << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for offset in range(0, len(block), 4096): block[offset] = 1
        blocks.append(block)
    return blocks
"""


@pytest.fixture
def grouped(root_builder: Builder) -> Builder:
    """A builder whose jails get a control group that limits memory and tasks."""
    if not {"memory", "pids"} <= set(cgroup.find()):
        pytest.skip("no control groups here")
    return root_builder


def test_near_the_limit_an_allocation_is_a_memory_error_and_the_state_is_kept(builder: Builder) -> None:
    source = """
    state = 'kept'
    try: block = bytearray(600 << 20)
    except MemoryError: say('MemoryError', state)
    say(len(bytearray(50 << 20)) >> 20)
    """
    outcome = builder.run(source, limits={"data": 300 * MIB})
    assert outcome.said == ["MemoryError", "kept", 50]
    assert outcome.exit_code == 0


def test_at_the_limit_the_kernel_dies_and_the_counter_says_why(grouped: Builder) -> None:
    outcome = grouped.run(f"{TAKE}\nsay('begin'); take(400); say('end')", group=True, limits={"memory": 96 * MIB, "data": None})
    assert outcome.said == ["begin"]
    assert outcome.exit_code == -9
    assert outcome.report["usage"]["oom_kills"] >= 1
    assert 90 * MIB <= outcome.report["usage"]["peak"] <= 96 * MIB


def test_a_bomb_in_a_child_ends_the_child_and_not_the_kernel(grouped: Builder) -> None:
    source = f"""
{TAKE}
pid = os.fork()
if pid == 0:
    open('/proc/self/oom_score_adj', 'w').write('1000')
    take(400)
say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    outcome = grouped.run(source, group=True, limits={"memory": 96 * MIB, "data": None})
    assert outcome.said == [-9]
    assert outcome.exit_code == 0


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
def test_files_in_memory_are_bounded(builder: Builder, folder: str) -> None:
    source = f"""
    def fill():
        with open('{folder}/big', 'wb', buffering=0) as file:
            for _ in range(64): file.write(bytes(1 << 20))
    say(attempt(fill), os.stat('{folder}/big').st_size >> 20)
    os.unlink('{folder}/big')
    def flood():
        for n in range(10_000): open(f'{folder}/{{n}}', 'w').close()
    say(attempt(flood), len(os.listdir('{folder}')) < 1000)
    """
    outcome = builder.run(source, limits={"temporary": 8 * MIB, "shared": 8 * MIB, "temporary_files": 500})
    assert outcome.said == ["ENOSPC", 8, "ENOSPC", True], outcome.stderr


def test_files_in_memory_count_towards_the_group(grouped: Builder) -> None:
    source = """
    with open('/dev/shm/big', 'wb', buffering=0) as file:
        for _ in range(300): file.write(bytes(1 << 20))
    """
    outcome = grouped.run(source, group=True, limits={"memory": 96 * MIB, "shared": 400 * MIB, "data": None})
    assert outcome.exit_code == -9
    assert outcome.report["usage"]["oom_kills"] >= 1
    assert "exit_code" in outcome.report  # init is outside the group: it lives and tells


def test_unlinked_shared_memory_counts_towards_the_group(grouped: Builder) -> None:
    source = """
    descriptor = os.memfd_create('hidden')
    for _ in range(300): os.write(descriptor, bytes(1 << 20))
    """
    outcome = grouped.run(source, group=True, limits={"memory": 96 * MIB, "data": None})
    assert outcome.exit_code == -9
    assert outcome.report["usage"]["oom_kills"] >= 1


def test_a_fork_bomb_meets_the_groups_limit(grouped: Builder) -> None:
    source = """
    def bomb():
        while True:
            if os.fork() == 0: time.sleep(100)
    say(attempt(bomb))
    """
    outcome = grouped.run(source, group=True, limits={"tasks": 20})
    assert outcome.said == ["EAGAIN"]
    assert outcome.report["usage"]["refused_forks"] >= 1 or outcome.report["usage"]["tasks"] is not None


def test_a_fork_bomb_without_groups_meets_the_limit_of_its_own_user_namespace(builder: Builder) -> None:
    """Twice: what one jail uses does not count against another of the same host user (Linux 5.14)."""
    source = """
    children = []
    def bomb():
        while True:
            pid = os.fork()
            if pid == 0: time.sleep(100)
            children.append(pid)
    say(attempt(bomb), len(children))
    input()
    """
    first = builder.start(source, limits={"tasks": 20})
    assert first.line() == ["EAGAIN", 18]  # 20 with init and the kernel
    second = builder.start(source, limits={"tasks": 20})
    assert second.line() == ["EAGAIN", 18]
    for running in (first, second):
        running.tell()
        assert running.finish().exit_code == 0


def test_a_thread_bomb_meets_the_same_limit(builder: Builder) -> None:
    source = """
    import threading
    event = threading.Event()
    started = 0
    try:
        while True:
            threading.Thread(target=event.wait, daemon=True).start()
            started += 1
    except RuntimeError as exc: say(str(exc), started < 30)
    event.set()
    """
    outcome = builder.run(source, limits={"tasks": 20})
    assert outcome.said == ["can't start new thread", True]


def test_a_bomb_that_keeps_forking_is_gone_when_init_is(builder: Builder) -> None:
    source = """
    say('begin')
    while True:
        try: os.fork()
        except OSError: pass
    """
    running = builder.start(source, limits={"tasks": 40})
    init = running.reported("init")
    assert running.line() == ["begin"]
    os.kill(init, 9)
    assert running.finish().report["init_status"] == 9


def test_descriptors_and_file_sizes_are_bounded(builder: Builder) -> None:
    source = """
    import contextlib
    with contextlib.ExitStack() as stack:
        say(attempt(lambda: [stack.enter_context(open('/dev/null')) for _ in range(1000)]))
    def grow():
        with open('/workspace/big', 'wb', buffering=0) as file: [file.write(bytes(3 << 20)) for _ in range(3)]
    say(attempt(grow), attempt(lambda: os.truncate('/workspace/big', 1 << 40)), os.stat('/workspace/big').st_size >> 20)
    os.unlink('/workspace/big')
    """
    outcome = builder.run(source, limits={"open_files": 64, "file_size": 4 * MIB})
    assert outcome.said == ["EMFILE", "EFBIG", "EFBIG", 4]


def test_limits_cannot_be_raised_again(builder: Builder) -> None:
    source = """
    import resource
    def refused(number):
        try: resource.setrlimit(number, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except (ValueError, OSError): return True
        return False
    names = ('DATA', 'NPROC', 'NOFILE', 'FSIZE', 'CORE', 'MEMLOCK', 'NICE')
    say(*[refused(getattr(resource, 'RLIMIT_' + name)) for name in names])
    say(attempt(lambda: os.nice(-5)), attempt(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))))
    """
    assert builder.run(source).said == [True] * 7 + ["EPERM", "EPERM"]


def test_processors_are_throttled(grouped: Builder) -> None:
    if "cpu" not in cgroup.find():
        pytest.skip("no processor controller here")
    source = """
    begin, used = time.monotonic(), time.process_time()
    while time.process_time() < used + 0.2: pass
    say(time.monotonic() - begin > 0.5)
    """
    outcome = grouped.run(source, group=True, limits={"cpus": 0.2})
    assert outcome.said == [True]
    assert "cpu" in outcome.report["held"]


def test_the_supervisor_ends_a_memory_bomb_where_no_group_does(builder: Builder) -> None:
    source = f"{TAKE}\nsay('begin'); kept = take(1000); say('end')"
    outcome = builder.run(source, supervise=True, limits={"memory": 128 * MIB, "data": None}, memory_counted=False)
    assert outcome.said == ["begin"]
    assert (outcome.exit_code, outcome.report["excess"]) == (-9, "memory")


def test_the_supervisor_sees_children_and_files_in_memory(builder: Builder) -> None:
    source = f"""
{TAKE}
say('begin')
if os.fork() == 0:
    kept = take(48); time.sleep(100)
with open('/dev/shm/big', 'wb', buffering=0) as file:
    for _ in range(100): file.write(bytes(1 << 20))
time.sleep(100)
"""
    limits = {"memory": 128 * MIB, "data": None, "shared": 120 * MIB}
    outcome = builder.run(source, supervise=True, limits=limits, memory_counted=False)
    assert (outcome.said, outcome.exit_code, outcome.report["excess"]) == (["begin"], -9, "memory")


def test_the_supervisor_does_not_count_shared_pages_twice(builder: Builder) -> None:
    source = f"""
{TAKE}
kept = take(60)
children = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        time.sleep(0.3); os._exit(0)
    children.append(pid)
for pid in children: os.waitpid(pid, 0)
say('done')
"""
    outcome = builder.run(source, supervise=True, limits={"memory": 128 * MIB, "data": None}, memory_counted=False)
    assert (outcome.said, outcome.exit_code) == (["done"], 0), outcome.report


SOCKETS = """
def fill(count, make):
    kept = []
    for _ in range(count):
        pair = make()
        pair[0].setblocking(False)
        try:
            while True: pair[0].send(bytes(65536))
        except BlockingIOError: kept.append(pair)
    return kept

def connect():
    client = socket.create_connection(server.getsockname())
    return client, server.accept()[0]
server = socket.create_server(('127.0.0.1', 0), backlog=100)
"""


@pytest.mark.parametrize("kind", ["socket.socketpair", "connect"])
def test_the_supervisor_counts_what_sockets_may_hold(builder: Builder, kind: str) -> None:
    source = f"{SOCKETS}\nsay('begin')\nkept = fill(450, {kind})\ntime.sleep(100)"
    outcome = builder.run(source, supervise=True, limits={"memory": 96 * MIB, "data": None}, memory_counted=False)
    assert (outcome.said, outcome.exit_code, outcome.report["excess"]) == (["begin"], -9, "memory")


def test_a_group_counts_what_sockets_hold(grouped: Builder) -> None:
    outcome = grouped.run(f"{SOCKETS}\nfill(450, socket.socketpair)", group=True, limits={"memory": 64 * MIB, "data": None})
    assert outcome.exit_code == -9
    assert outcome.report["usage"]["oom_kills"] >= 1


def test_a_connection_holds_little(builder: Builder) -> None:
    source = """
    with socket.create_server(('127.0.0.1', 0)) as server:
        client = socket.create_connection(server.getsockname())
        other = server.accept()[0]
        client.setblocking(False)
        sent = 0
        try:
            while True: sent += client.send(bytes(1 << 20))
        except BlockingIOError: say(sent < 1 << 20)
        for _ in range(3):
            time.sleep(0.01)
            try: sent += client.send(bytes(1 << 20))
            except BlockingIOError: pass
        say(sent < 1 << 20)
    """
    assert builder.run(source).said == [True, True]


_UNCOUNTED = [
    pytest.param("os.memfd_create('x')", id="a file without a name"),
    pytest.param(
        "fcntl.fcntl(os.open('/tmp/x', os.O_RDWR | os.O_CREAT), 37, struct.pack('hhqqi', 1, 0, 0, 1, 0))", id="OFD locks"
    ),
    pytest.param("quiet_clone()", id="a process that shares its files"),
    pytest.param("mmap.mmap(-1, 4096)", id="shared memory without a file"),
    pytest.param("mmap.mmap(-1, 4096, mmap.MAP_ANONYMOUS | 3)", id="the same, validated"),
    pytest.param("socket.socket().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)", id="a larger buffer to send"),
    pytest.param("socket.socket().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)", id="a larger buffer to receive"),
]


@pytest.mark.parametrize("call", _UNCOUNTED)
def test_memory_that_no_process_shows_is_denied_where_only_the_supervisor_counts(builder: Builder, call: str) -> None:
    source = f"""
    import fcntl, mmap
    def quiet_clone():
        pid = syscall('clone', 0x400 | signal.SIGCHLD, 0, 0, 0, 0)
        if pid == 0: os._exit(0)
        if pid < 0: raise OSError(-pid, '')
        os.waitpid(pid, 0)
    say(attempt(lambda: {call}) == 'EPERM')
    """
    assert [builder.run(source, memory_counted=counted).said for counted in (True, False)] == [[False], [True]]


def test_zero_shares_no_memory_where_only_the_supervisor_counts(builder: Builder) -> None:
    source = """
    import mmap
    with open('/dev/zero', 'rb', buffering=0) as zero:
        say(zero.read(1 << 20) == bytes(1 << 20), zero.read(5) == bytes(5))
        say(bytes(mmap.mmap(zero.fileno(), 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)) == bytes(4096))
        say(attempt(lambda: mmap.mmap(zero.fileno(), 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)))
    say(attempt(lambda: os.open('/dev/zero', os.O_RDWR)) in ('EACCES', 'EROFS'))
    """
    assert builder.run(source, memory_counted=False).said == [True, True, True, "EACCES", True]


def test_the_supervisor_counts_the_tables_of_pages(builder: Builder) -> None:
    source = """
    import mmap
    say('begin')
    reserved = mmap.mmap(-1, 1 << 38, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, mmap.PROT_READ)
    for offset in range(0, 1 << 38, 2 << 20): reserved[offset]
    say('end')
    time.sleep(100)
    """
    outcome = builder.run(source, supervise=True, limits={"memory": 64 * MIB, "data": None}, memory_counted=False)
    assert (outcome.exit_code, outcome.report.get("excess")) == (-9, "memory")


def test_the_supervisor_sees_the_locks_of_its_own_jail(builder: Builder) -> None:
    """More than it takes: the next one lives beside it."""
    source = """
    import fcntl
    for number in range(20):
        file = os.open(f'/tmp/{number}', os.O_RDWR | os.O_CREAT)
        for at in range(HELD): fcntl.lockf(file, fcntl.LOCK_EX, 1, 2 * at)
    say('locked')
    input()
    """
    many = builder.start(source.replace("HELD", "300"), supervise=True, memory_counted=False)
    assert many.line() == ["locked"]
    brief = source.replace("HELD", "5").replace("input()", "time.sleep(0.1)")
    few = builder.run(brief, supervise=True, memory_counted=False)
    assert (few.exit_code, few.report["locked"]) == (0, False)
    many.tell()
    assert many.finish().report["locked"] is True
