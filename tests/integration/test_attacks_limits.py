"""Attacks on the machine: bombs, hogs, leaks and floods, and processes that do not want to end."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from tests.integration.attacks import ROOT, Attacker, printed
from tests.integration.support import lives, running

pytestmark = pytest.mark.slow

# Each ends by itself with an error, and the state is kept.
_REFUSED: list[Any] = [
    pytest.param("x = bytearray(10**9)", "MemoryError", id="a fast memory bomb"),
    pytest.param("x = []\nwhile True: x.append(bytearray(10**6))", "MemoryError", id="a slow memory bomb"),
    pytest.param("import numpy\nnumpy.ones((10**5, 10**5))", "MemoryError", id="an array that is too large"),
    pytest.param(
        "threads = []\nwhile True:\n    threads.append(threading.Thread(target=time.sleep, args=(60,), daemon=True))\n"
        "    threads[-1].start()",
        "RuntimeError",
        id="a thread bomb",
    ),
    pytest.param("files = []\nwhile True: files.append(open('/dev/null'))", "OSError", id="a leak of file descriptors"),
    pytest.param("sockets = []\nwhile True: sockets.extend(socket.socketpair())", "OSError", id="a leak of sockets"),
    pytest.param(
        "with open('/tmp/x', 'wb') as file:\n    for _ in range(99): file.write(bytes(10**6))", "OSError", id="a flood of /tmp"
    ),
    pytest.param(
        "for n in range(8):\n    with open(f'/dev/shm/{n}', 'wb') as file:\n        for _ in range(9): file.write(bytes(10**6))",
        "OSError",
        id="a flood of /dev/shm",
    ),
    pytest.param("for n in range(10**6): write(f'/tmp/{n}')", "OSError", id="a flood of names in /tmp"),
    pytest.param("resource.setrlimit(resource.RLIMIT_DATA, (1 << 40, 1 << 40))", "ValueError", id="raising a limit"),
    pytest.param("os.nice(-5)", "PermissionError", id="raising the priority"),
    pytest.param("os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(9))", "PermissionError", id="real time"),
    pytest.param("resource.prlimit(1, resource.RLIMIT_NOFILE, (0, 0))", "PermissionError", id="taking init's descriptors"),
    pytest.param("os.sched_setaffinity(1, {0})", "PermissionError", id="pinning init"),
    pytest.param("os.setpriority(os.PRIO_PROCESS, 1, 19)", "PermissionError", id="slowing down init"),
    pytest.param("os.kill(1, signal.SIGKILL)", "PermissionError", id="SIGKILL to its parent"),
    pytest.param("os.kill(1, signal.SIGSTOP)", "PermissionError", id="SIGSTOP to its parent"),
    pytest.param("os.kill(os.getppid(), signal.SIGTERM)", "PermissionError", id="SIGTERM to its parent"),
    pytest.param("os.kill(-1, signal.SIGKILL)", "ProcessLookupError", id="SIGKILL to all"),
    pytest.param("os.kill(-1, signal.SIGSTOP)", "ProcessLookupError", id="SIGSTOP to all"),
    pytest.param("os.pidfd_open(1)", "PermissionError", id="a handle of init"),
    pytest.param(
        "signal.pidfd_send_signal(os.open('/proc/1', os.O_RDONLY), signal.SIGTERM)", "PermissionError", id="SIGTERM by /proc/1"
    ),
    pytest.param("import fcntl\nfcntl.fcntl(0, fcntl.F_SETOWN, 1)", "PermissionError", id="signals of a descriptor to init"),
    pytest.param("import fcntl\nfcntl.fcntl(0, fcntl.F_SETSIG, 15)", "PermissionError", id="another signal of a descriptor"),
    pytest.param("import fcntl\nfcntl.fcntl(0, 15, struct.pack('ii', 1, 1))", "PermissionError", id="the same in the newer way"),
    pytest.param(
        "import fcntl\nfcntl.ioctl(socket.socket(), 0x8902, struct.pack('i', 1))",
        "PermissionError",
        id="signals of a socket to init",
    ),
    pytest.param(
        "import fcntl\nfcntl.ioctl(socket.socket(), 0x8901, struct.pack('i', 1))",
        "PermissionError",
        id="the same by its other name",
    ),
]


@pytest.mark.parametrize(("code", "error"), _REFUSED)
def test_a_bomb_is_an_error_and_the_state_is_kept(attacker: Attacker, code: str, error: str) -> None:
    attacker.run("kept = 41")
    result = attacker.run(code)
    assert result["status"] == "error", result["cause"]
    assert result["cause"].startswith(error), result["cause"]
    attacker.run("x = threads = files = sockets = None; import shutil, glob\nfor n in glob.glob('/dev/shm/*'): os.remove(n)")
    assert attacker.sees("kept + 1") == 42


def test_a_memory_error_names_the_peak_and_the_limit(attacker: Attacker) -> None:
    result = attacker.run("x = b'x' * (100 << 20)\ny = bytearray(10**9)")
    said = re.search(r"may allocate (\d+) MB \(KERNEL_MEMORY_MB\), and has used up to (\d+) MB", result["cause"])
    assert said is not None, result["cause"]
    assert (int(said[1]), 100 < int(said[2]) < 400) == (192, True)
    result = attacker.run("import numpy\nnumpy.ones((10**5, 10**5))")
    assert "Unable to allocate" in result["cause"]
    assert "KERNEL_MEMORY_MB" in "".join(result["outputs"][0]["traceback"])


def test_at_the_limit_the_kernel_dies_of_it_on_evidence(attacker: Attacker) -> None:
    take = "x = b'x' * ({} << 20); time.sleep(60)"
    code = f"for _ in range(3):\n    if os.fork() == 0: {take.format(40)}\n{take.format(180)}"
    result = attacker.run(code)
    assert (result["status"], result["state_lost"]) == ("died", True)
    assert result["cause"].startswith("out of memory")
    assert attacker.sees("1 + 1") == 2


# Memory that shows in no process's size, or in none for long. What is held is printed, in megabytes.
_OUT_OF_SIGHT: list[Any] = [
    pytest.param(
        "kept = []\n"
        "for held in range(16, 1200, 16):\n"
        "    kept.append(mmap.mmap(-1, 16 << 20)); kept[-1].write(bytes(16 << 20)); kept[-1].madvise(mmap.MADV_DONTNEED)\n"
        "    print(held)",
        id="shared memory that is not mapped in",
    ),
    pytest.param(
        "kept, zero = [], os.open('/dev/zero', os.O_RDWR)\n"
        "for held in range(16, 1200, 16):\n"
        "    kept.append(mmap.mmap(zero, 16 << 20)); kept[-1].write(bytes(16 << 20)); kept[-1].madvise(mmap.MADV_DONTNEED)\n"
        "    print(held)",
        id="shared memory of /dev/zero",
    ),
    pytest.param(
        "kept, held = [], 0\n"
        "while held < 1200 << 20:\n"
        "    kept.append(socket.socketpair())\n"
        "    kept[-1][0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 26); kept[-1][0].setblocking(False)\n"
        "    try:\n"
        "        while True: held += kept[-1][0].send(bytes(65536))\n"
        "    except BlockingIOError: print(held >> 20)",
        id="buffers of sockets",
    ),
    pytest.param(
        "kept = mmap.mmap(-1, 1 << 39, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, mmap.PROT_READ)\n"
        "for offset in range(0, 1 << 39, 2 << 20):\n"
        "    kept[offset]\n"
        "    if offset % (8 << 30) == 0: print(offset >> 29); time.sleep(0.01)",
        id="tables of pages",
    ),
]


@pytest.mark.parametrize("code", _OUT_OF_SIGHT)
def test_memory_that_shows_in_no_process_is_bounded_all_the_same(attacker: Attacker, code: str) -> None:
    result = attacker.run(f"import mmap\n{code}", timeout=4)
    assert result["status"] in ("error", "died"), result["cause"]
    assert re.search("memory|not permitted|Permission|Read-only", result["cause"]), result["cause"]
    # the limit is 256; where nobody but the supervisor counts, it looks 30 times a second
    assert max(map(int, printed(result).split()), default=0) <= 512


def test_a_flood_of_locks_is_ended(attacker: Attacker) -> None:
    """Linux keeps them in memory of its own; a control group counts that, too."""
    code = """
    import fcntl
    print('begun', flush=True)
    for number in range(200):
        file = os.open(f'/tmp/{number}', os.O_RDWR | os.O_CREAT)
        for at in range(1000): fcntl.lockf(file, fcntl.LOCK_EX, 1, 2 * at)
    time.sleep(3)
    """
    result = attacker.run(code, timeout=20)
    if attacker.service.mode == ROOT:
        assert result["status"] in ("ok", "died", "timeout"), result["cause"]  # within the limit, or ended at it
    else:
        assert (result["status"], "memory" in result["cause"]) == ("died", True)
    assert attacker.sees("1 + 1") == 2


# Each may end its own kernel, for a reason that is told.
_FATAL: list[Any] = [
    pytest.param("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL", id="SIGKILL to itself"),
    pytest.param("ctypes.string_at(0)", "segmentation fault", id="a crash"),
    pytest.param("os._exit(3)", "exit code 3", id="an end by itself"),
    pytest.param("os.abort()", "SIGABRT", id="an abort that would leave a core"),
]


@pytest.mark.parametrize(("code", "words"), _FATAL)
def test_who_ends_himself_gets_a_fresh_kernel(attacker: Attacker, code: str, words: str) -> None:
    result = attacker.run(code)
    assert (result["status"], result["state_lost"]) == ("died", True)
    assert words in result["cause"]
    assert attacker.sees("sorted(os.listdir('/workspace'))") == []  # no core either


_HOGS: list[Any] = [
    pytest.param("while True: pass", "timeout", id="one endless loop"),
    pytest.param("for _ in range(8):\n    if os.fork() == 0:\n        while True: pass\nos.wait()", "timeout", id="in children"),
    pytest.param("os.kill(os.getpid(), signal.SIGSTOP)", "timeout", id="a kernel that stops itself"),
    pytest.param("signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))\nwhile True: pass", "timeout", id="all signals blocked"),
    pytest.param("ctypes.PyDLL(None).sleep(100)", "timeout", id="native code that never lets go"),
]


@pytest.mark.parametrize(("code", "status"), _HOGS)
def test_the_deadline_holds(attacker: Attacker, code: str, status: str) -> None:
    began = time.monotonic()
    result = attacker.run(code, timeout=0.5)
    assert result["status"] == status
    assert time.monotonic() - began < 10
    assert attacker.sees("1 + 1") == 2


_OUT_OF_MEMORY: list[Any] = [
    pytest.param(
        "for _ in range(8):\n    if os.fork() == 0:\n        x = b'x' * (60 << 20); time.sleep(60)\ntime.sleep(60)",
        id="in children",
    ),
    pytest.param(
        "kept = []\nfor n in range(8):\n"
        "    with open(f'/dev/shm/{n}' if n % 2 else f'/tmp/{n}', 'wb') as file: attempt(file.write, bytes(7 << 20))\n"
        "for _ in range(4):\n    if os.fork() == 0:\n        x = b'x' * (70 << 20); time.sleep(60)\ntime.sleep(60)",
        id="in files in memory and children",
    ),
]


@pytest.mark.parametrize("code", _OUT_OF_MEMORY)
def test_at_the_limit_of_memory_the_kernel_or_the_bomb_ends(attacker: Attacker, code: str) -> None:
    result = attacker.run(code, timeout=2)
    if result["status"] == "timeout":
        # the control group ended some of its children, and the kernel itself waited for its time to be up
        assert attacker.service.mode == ROOT
    else:
        assert result["status"] in ("died", "error"), result["cause"]
        assert "memory" in result["cause"].lower()
    assert attacker.sees("1 + 1") == 2


_TREES: list[Any] = [
    pytest.param("subprocess.Popen(['sleep', WORD], start_new_session=True)", id="in a session of its own"),
    pytest.param(
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: os.execvp('sleep', ['sleep', WORD])\n    os._exit(0)",
        id="forked twice",
    ),
    pytest.param(
        "subprocess.Popen(['sh', '-c', 'trap \"\" TERM INT HUP QUIT; sleep ' + WORD + ' & while :; do wait; done', WORD])",
        id="that ignores signals",
    ),
]


@pytest.mark.parametrize("start", _TREES)
def test_stopping_ends_every_process_at_once(attacker: Attacker, start: str) -> None:
    word = f"7{time.monotonic_ns() % 10**8}"
    result = attacker.run(f"WORD = {word!r}\n{start}\ntime.sleep(0.2)")
    assert result["status"] == "ok", result["cause"]
    assert running(word)
    pid = attacker.pid()
    began = time.monotonic()
    attacker.stop()
    assert time.monotonic() - began < 5
    assert not running(word)
    assert not lives(pid)


def test_a_fork_bomb_is_bounded_and_stopping_ends_it_at_once(attacker: Attacker) -> None:
    code = """
    print('begun', flush=True)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try: os.fork()
        except OSError: pass
    """
    cell = attacker.start(code)
    cell.began()
    began = time.monotonic()
    attacker.service.goes_on()
    assert time.monotonic() - began < 10
    attacker.stop()
    assert cell.result()["status"] in ("interrupted", "died")
    assert attacker.sees("1 + 1") == 2


def test_a_fork_bomb_that_nobody_stops_is_ended(attacker: Attacker) -> None:
    code = "signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    result = attacker.run(code, timeout=1)
    assert result["status"] in ("timeout", "died")
    assert attacker.sees("1 + 1") == 2


def test_an_output_flood_is_cut(attacker: Attacker) -> None:
    result = attacker.run("import itertools\nfor n in range(30_000): print('x' * 1000)\nprint('end')")
    assert result["status"] == "ok"
    assert len(printed(result)) < 2**20
    assert printed(result).endswith("end\n")


def test_a_flood_into_the_pipes_behind_the_streams_is_cut(attacker: Attacker) -> None:
    code = "subprocess.run(['sh', '-c', 'head -c 60000000 /dev/zero | tr \"\\\\0\" x'])\nos.write(1, b'y' * 10**6)\nNone"
    result = attacker.run(code)
    assert result["status"] == "ok"
    assert len(printed(result)) < 2**20


def test_a_hog_in_the_background_leaves_another_user_its_share(attacker: Attacker) -> None:
    attacker.run("for _ in range(4): subprocess.Popen([sys.executable, '-c', 'while True: pass'])")
    began = time.monotonic()
    for _ in range(5):
        attacker.service.goes_on()
    assert time.monotonic() - began < 5
