"""Attacks on files: the host's, the service's and other users', and files made to trip up whoever reads the workspace."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.integration.attacks import SECRET, AttackedService, Attacker, printed, value

pytestmark = pytest.mark.slow

GONE = "FileNotFoundError"

_LOOKS: list[Any] = [
    pytest.param("attempt(read, '/etc/shadow')", {"ENOENT"}, id="the passwords of the host"),
    pytest.param("[name for name in _names('/root') if not _leads_to_python('/root/' + name)]", {"[]"}, id="root's home"),
    pytest.param("[name for name in _names('/home') if not _leads_to_python('/home/' + name)]", {"[]"}, id="people's homes"),
    pytest.param("attempt(os.listdir, '/var/log')", {"ENOENT"}, id="logs and mail"),
    pytest.param("attempt(os.listdir, '/run')", {"ENOENT"}, id="sockets of daemons"),
    pytest.param("attempt(os.listdir, DATA)", {"ENOENT"}, id="the data folder"),
    pytest.param("attempt(os.listdir, DATA + '/sessions')", {"ENOENT"}, id="other users' sessions"),
    pytest.param("attempt(os.listdir, RUNTIME)", {"ENOENT"}, id="the runtime folder"),
    pytest.param("attempt(read, '/workspace/../../../../../../etc/shadow')", {"ENOENT"}, id="up out of the workspace"),
    pytest.param("attempt(os.listdir, '/sys')", {"ENOENT", "[]"}, id="what the system tells of its devices"),
    pytest.param(
        "[name for name in os.listdir('/tmp') if name != 'home' and not _leads_to_python('/tmp/' + name)]",
        {"[]"},
        id="the host's /tmp",
    ),
    pytest.param("attempt(os.listdir, '/proc/1/root')", {"EACCES", "EPERM", "ENOENT"}, id="init's root"),
    pytest.param("attempt(os.listdir, '/proc/1/cwd')", {"EACCES", "EPERM", "ENOENT"}, id="init's working folder"),
    pytest.param("attempt(os.listdir, '/proc/1/fd')", {"EACCES", "EPERM", "ENOENT"}, id="init's descriptors"),
    pytest.param("attempt(read, '/proc/1/environ')", {"EACCES", "EPERM", "ENOENT"}, id="init's environment"),
    pytest.param("attempt(read, '/proc/1/maps')", {"EACCES", "EPERM", "ENOENT"}, id="where init's memory is"),
    pytest.param("attempt(open, '/proc/1/mem', 'r+b')", {"EACCES", "EPERM", "ENOENT"}, id="init's memory"),
    pytest.param("attempt(os.listdir, '/proc/self/root/../../srv')", {"ENOENT"}, id="up out of its own root"),
    pytest.param("len([pid for pid in os.listdir('/proc') if pid.isdigit()]) <= 3", {"True"}, id="other processes"),
    pytest.param(
        "attempt(read, '/proc/kcore') or 'nothing'", {"EACCES", "EPERM", "ENOENT", "'nothing'"}, id="the machine's memory"
    ),
    pytest.param("attempt(read, '/proc/kallsyms') or 'nothing'", {"EACCES", "EPERM", "ENOENT", "'nothing'"}, id="kernel symbols"),
    pytest.param("attempt(read, '/proc/keys') or 'nothing'", {"EACCES", "EPERM", "ENOENT", "'nothing'"}, id="keys"),
    pytest.param("attempt(os.open, '/dev/mem', os.O_RDWR)", {"ENOENT", "EPERM"}, id="the memory device"),
    pytest.param("attempt(os.open, '/dev/kmsg', os.O_RDWR)", {"ENOENT", "EPERM"}, id="the kernel's messages"),
    pytest.param("attempt(os.open, '/dev/fuse', os.O_RDWR)", {"ENOENT", "EPERM"}, id="a file system of its own"),
    pytest.param(
        "sorted(line.split(':')[0] for line in open('/etc/passwd'))", {"['kernel', 'nobody', 'root']"}, id="the host's users"
    ),
    pytest.param("open('/proc/sys/kernel/hostname').read()", {r"'threadbook\n'"}, id="the host's name"),
    pytest.param("attempt(os.listdir, '/proc/1/task/1/cwd')", {"EACCES", "EPERM", "ENOENT"}, id="init through its thread"),
    pytest.param("attempt(os.readlink, '/proc/1/exe')", {"EACCES", "EPERM", "ENOENT"}, id="init's program"),
]

# Python's own folders are shown where they are; on the way to them lies nothing else.
_PYTHON_FOLDERS = """
def _names(folder):
    return os.listdir(folder) if os.path.exists(folder) else []
def _leads_to_python(folder):
    import IPython, kernelside
    return any(module.__file__.startswith(folder + '/') for module in (os, IPython, kernelside))
"""

_CHANGES: list[Any] = [
    pytest.param("attempt(write, '/proc/sys/kernel/core_pattern', b'|/workspace/x')", {"EROFS", "EACCES"}, id="core_pattern"),
    pytest.param("attempt(write, '/proc/sys/kernel/modprobe', b'/workspace/x')", {"EROFS", "EACCES", "ENOENT"}, id="modprobe"),
    pytest.param("attempt(write, '/proc/sys/vm/drop_caches', b'3')", {"EROFS", "EACCES"}, id="drop_caches"),
    pytest.param("attempt(write, '/proc/self/oom_score_adj', b'-1000')", {"EACCES", "EPERM"}, id="be the last to be killed"),
    pytest.param("attempt(write, '/proc/self/uid_map', b'0 0 1')", {"EPERM", "EACCES", "EROFS"}, id="become root by uid_map"),
    pytest.param("attempt(write, '/proc/self/setgroups', b'allow')", {"EPERM", "EACCES", "EROFS"}, id="get groups back"),
    pytest.param("attempt(write, '/etc/passwd')", {"EROFS", "EACCES"}, id="/etc/passwd"),
    pytest.param("attempt(write, '/etc/hosts')", {"EROFS", "EACCES"}, id="/etc/hosts"),
    pytest.param("attempt(write, '/usr/bin/evil')", {"EROFS", "EACCES"}, id="programs of the system"),
    pytest.param("attempt(write, '/evil')", {"EROFS", "EACCES"}, id="the root folder"),
    pytest.param("attempt(write, '/files/evil')", {"EROFS", "EACCES"}, id="/files"),
    pytest.param("attempt(write, os.path.dirname(os.__file__) + '/evil.py')", {"EROFS", "EACCES"}, id="Python's library"),
    pytest.param(
        "attempt(open, '/proc/self/exe', 'r+b')", {"ETXTBSY", "EROFS", "EACCES"}, id="the interpreter by /proc/self/exe"
    ),
    pytest.param("attempt(open, sys.executable, 'r+b')", {"ETXTBSY", "EROFS", "EACCES"}, id="the interpreter by its name"),
    pytest.param("attempt(os.chmod, sys.executable, 0o777)", {"EROFS", "EPERM"}, id="the interpreter's rights"),
    pytest.param("attempt(os.utime, sys.executable)", {"EROFS", "EPERM", "EACCES"}, id="the interpreter's times"),
    pytest.param("attempt(write, json.__file__)", {"EROFS", "EACCES"}, id="a module that everybody imports"),
    pytest.param(
        "attempt(os.rename, '/workspace', '/elsewhere')", {"EBUSY", "EROFS", "EXDEV", "EACCES"}, id="move the workspace"
    ),
    pytest.param("attempt(os.rmdir, '/workspace')", {"EBUSY", "EROFS"}, id="remove the workspace"),
    pytest.param("attempt(os.link, sys.executable, '/workspace/python')", {"EXDEV", "EPERM"}, id="a hard link out"),
    pytest.param("attempt(os.mknod, '/workspace/sda', 0o600 | stat.S_IFBLK, os.makedev(8, 0))", {"EPERM"}, id="a disk"),
    pytest.param("attempt(os.mknod, '/workspace/mem', 0o600 | stat.S_IFCHR, os.makedev(1, 1))", {"EPERM"}, id="a memory device"),
    pytest.param(
        "write('/workspace/tool'); attempt(os.chmod, '/workspace/tool', 0o4755)", {"EPERM"}, id="a setuid program of its own"
    ),
    pytest.param("write('/workspace/own'); attempt(os.chown, '/workspace/own', 0, 0)", {"EPERM", "EINVAL"}, id="give to root"),
    pytest.param("attempt(write, '/dev/new')", {"EROFS", "EACCES", "EPERM"}, id="/dev"),
]


@pytest.mark.parametrize(("code", "expected"), _LOOKS)
def test_looking_around_shows_nothing_of_the_host(spy: Attacker, code: str, expected: set[str]) -> None:
    places = f"DATA, RUNTIME = {str(spy.service.data)!r}, {str(spy.service.runtime)!r}\n{_PYTHON_FOLDERS}\n"
    assert _seen(spy, places + code) in expected
    spy.service.goes_on()


@pytest.mark.parametrize(("code", "expected"), _CHANGES)
def test_nothing_but_the_workspace_can_be_changed(spy: Attacker, code: str, expected: set[str]) -> None:
    assert _seen(spy, code) in expected
    spy.service.goes_on()


def _seen(spy: Attacker, code: str) -> str:
    seen = spy.sees(code)
    return seen if isinstance(seen, str) and seen.isupper() else repr(seen)


_SCAN = """
found = []
for number, (second, first) in enumerate({halves!r}):
    # never together, or it would find itself
    for line in open('/proc/self/maps'):
        span, rights, *_ = line.split()
        start, end = (int(part, 16) for part in span.split('-'))
        if rights[0] != 'r' or '[v' in line:
            continue
        with open('/proc/self/mem', 'rb', buffering=0) as memory:
            try:
                memory.seek(start)
                while start < end and (part := memory.read(min(end - start, 1 << 24))):
                    at = part.find(first)
                    while at >= 0:
                        if part.startswith(second, at + len(first)):
                            found.append(number)
                        at = part.find(first, at + 1)
                    start += len(part)
            except (OSError, OverflowError):
                pass
        part = b''
sorted(set(found))
"""


def test_neither_environment_nor_memory_holds_a_secret_of_the_service_or_another_kernels_key(attacker: Attacker) -> None:
    attacker.service.goes_on()
    key = json.loads((attacker.service.victim.kernel_folder() / "connection.json").read_text())["key"]
    own = json.loads((_started(attacker).kernel_folder() / "connection.json").read_text())["key"]
    halves = [(word[9:].encode(), word[:9].encode()) for word in (SECRET, key, own)]
    assert attacker.sees(_SCAN.format(halves=halves)) == [2]
    environment = attacker.sees("read('/proc/self/environ', 10**6).decode() + str(dict(os.environ))")
    assert SECRET not in environment
    assert "OPENAI" not in environment


def _started(attacker: Attacker) -> Attacker:
    attacker.run("0")
    return attacker


# --- what is put into the workspace for whoever reads it --------------------------------------------------------------------


def test_links_pipes_sockets_and_second_names_are_no_artifacts(attacker: Attacker) -> None:
    secret = attacker.service.folder / "secret.csv"
    secret.write_text("password\n")
    code = f"""
    os.symlink({str(secret)!r}, 'link.csv')
    os.symlink('/etc/shadow', 'shadow.txt')
    os.symlink('../../../../..', 'up')
    os.mkfifo('pipe.csv')
    server = socket.socket(socket.AF_UNIX)
    server.bind('socket.csv')
    write('one.csv')
    os.link('one.csv', 'two.csv')
    write('good.csv', b'a\\n1\\n')
    attempt(read, 'link.csv')
    """
    result = attacker.run(code)
    assert value(result) == "'ENOENT'"
    assert [file["filename"] for file in result["files"]] == ["good.csv"]
    notes = json.dumps(result["outputs"])
    for name in ("link.csv", "pipe.csv", "shadow.txt", "socket.csv", "one.csv"):
        assert name in notes


def test_a_folder_swapped_for_a_link_leads_the_scan_nowhere(attacker: Attacker) -> None:
    outside = attacker.service.folder / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "password.csv").write_text("x")
    result = attacker.run(f"os.mkdir('d'); os.rename('d', 'was'); os.symlink({str(outside)!r}, 'd')")
    assert (result["status"], result["files"]) == ("ok", [])


def test_a_folder_that_is_swapped_all_the_time_leads_the_scan_nowhere(attacker: Attacker) -> None:
    outside = attacker.service.folder / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "password.csv").write_text("x")
    attacker.run(f"""
    os.makedirs('d/e')
    for number in range(20): write(f'd/e/{{number}}.csv')
    if os.fork() == 0:
        os.setsid()
        while True:
            os.rename('d/e', 'd/was'); os.symlink({str(outside)!r}, 'd/e'); os.unlink('d/e')
            os.mkfifo('d/e'); os.unlink('d/e'); os.rename('d/was', 'd/e')
    """)
    for _ in range(10):
        result = attacker.run("write('d/new.csv')")
        assert result["status"] == "ok"
        assert "password.csv" not in {file["filename"].rpartition("/")[2] for file in result["files"]}
        assert all(file["path"].startswith(f"{attacker.workspace}/d/") for file in result["files"])


def test_names_are_shown_escaped_and_lead_to_the_workspace_only(attacker: Attacker) -> None:
    names = [b"a\nb.csv", b"\x1b[2Jred.csv", b"bytes\xff\xfe.csv", "\u202egnp.exe".encode(), b"x" * 255, b"\\..\\up.csv", b"-rf"]
    result = attacker.run(f"for name in {names!r}:\n    with open(name, 'w') as file: file.write('x')")
    assert result["status"] == "ok"
    assert len(result["files"]) == len(names)
    for file in result["files"]:
        assert file["filename"].isprintable()
        assert file["path"].startswith(str(attacker.workspace) + "/")
        assert "/" not in file["filename"]


def test_a_thousand_folders_deep_is_said_and_harms_nobody(attacker: Attacker) -> None:
    code = """
    for _ in range(1000):
        os.mkdir('d')
        os.chdir('d')
    write('bottom.csv')
    os.chdir('/workspace')
    write('top.csv')
    """
    result = attacker.run(code)
    assert [file["filename"] for file in result["files"]] == ["top.csv"]
    assert "folders not looked into" in json.dumps(result["outputs"])
    assert attacker.sees("1 + 1") == 2
    attacker.stop()
    assert attacker.sees("sorted(os.listdir('.'))") == ["d", "top.csv"]


def test_files_larger_than_they_are_or_may_be_are_no_artifacts(attacker: Attacker) -> None:
    code = """
    with open('sparse.bin', 'wb') as file:
        seen = [attempt(file.truncate, 1 << 40), attempt(file.truncate, 15 << 20), attempt(file.seek, 1 << 40)]
        seen.append(attempt(os.posix_fallocate, file.fileno(), 0, 1 << 34))
        file.seek(0)
        block = bytes(1 << 20)
        try:
            for _ in range(64): file.write(block)
        except OSError as exc: seen.append(errno.errorcode[exc.errno])
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    seen, os.path.getsize('sparse.bin') <= 16 << 20
    """
    assert attacker.sees(code) == (["EFBIG", 15 << 20, 1 << 40, "EFBIG", "EFBIG"], True)


def test_a_workspace_without_rights_is_opened_again_and_counted(attacker: Attacker) -> None:
    """Init opens what it cannot list, at one of its looks: when that is, code cannot tell, but it comes."""
    code = """
    write('kept.csv'); os.mkdir('closed')
    os.chmod('closed', 0); os.chmod('/workspace', 0)
    while isinstance(attempt(os.listdir, '/workspace/closed'), str):
        time.sleep(0.02)
    sorted(os.listdir('/workspace')), [oct(os.stat(path).st_mode) for path in ('/workspace', '/workspace/closed')]
    """
    assert attacker.sees(code) == (["closed", "kept.csv"], ["0o40700", "0o40700"])


def test_a_workspace_without_rights_is_there_for_the_next_kernel(attacker: Attacker) -> None:
    attacker.run("write('kept.csv'); os.mkdir('closed'); os.chmod('closed', 0); os.chmod('/workspace', 0)")
    attacker.stop()
    assert attacker.sees("os.chmod('closed', 0o700); sorted(os.listdir('.'))") == ["closed", "kept.csv"]


# --- quotas of the workspace ------------------------------------------------------------------------------------------------

_FILL = """
block = os.urandom(1 << 20)
def fill(name, megabytes):
    with open(name, 'wb') as file:
        for _ in range(megabytes):
            file.write(block)
def flood():
    try:
        {how}
    finally:
        print('ended')
{start}
"""
_FLOODS: list[Any] = [
    pytest.param("for n in range(1000): fill(f'{n}.bin', 8); time.sleep(0.05)", id="many files"),
    pytest.param("for n in range(10**6): write(f'{n}.txt'); time.sleep(0.0005)", id="inodes"),
    pytest.param("for n in range(10**6): os.mkdir(f'{n}'); time.sleep(0.0005)", id="folders"),
    pytest.param(
        "for n in range(20): os.mkdir('d' * 250); os.chdir('d' * 250)\n"
        "        for n in range(1000): fill(f'{n}.bin', 8); time.sleep(0.05)",
        id="files below a path that nobody can name",
    ),
    pytest.param(
        "os.mkdir('h', 0o300); os.chdir('h')\n        for n in range(1000): fill(f'{n}.bin', 8); time.sleep(0.05)",
        id="files in a folder that nobody can list",
    ),
    pytest.param(
        "kept = []\n"
        "        for n in range(200):\n"
        "            file = open(f'{n}.bin', 'wb'); os.unlink(f'{n}.bin'); kept.append(file)\n"
        "            for _ in range(8): file.write(block)\n"
        "            file.flush(); time.sleep(0.05)",
        id="files without a name",
    ),
    pytest.param(
        "libc.prctl(4, 0, 0, 0, 0)\n"
        "        kept = []\n"
        "        for n in range(200):\n"
        "            file = open(f'{n}.bin', 'wb'); os.unlink(f'{n}.bin'); kept.append(file)\n"
        "            for _ in range(8): file.write(block)\n"
        "            file.flush(); time.sleep(0.05)",
        id="files without a name, of a process that hides its descriptors",
    ),
    pytest.param(
        "kept = []\n"
        "        if os.fork() == 0:\n"
        "            def hold():\n"
        "                for n in range(200):\n"
        "                    file = open(f'{n}.bin', 'wb'); os.unlink(f'{n}.bin'); kept.append(file)\n"
        "                    for _ in range(8): file.write(block)\n"
        "                    file.flush(); time.sleep(0.05)\n"
        "            threading.Thread(target=hold).start()\n"
        "            ctypes.CDLL(None).syscall(NUMBERS['exit'], 0)\n"
        "        time.sleep(20)",
        id="files without a name, of a process whose first thread has ended",
    ),
]


@pytest.mark.parametrize("how", _FLOODS)
def test_a_flood_of_the_workspace_is_ended(attacker: Attacker, how: str) -> None:
    began = time.monotonic()
    result = attacker.run(_FILL.format(how=how, start="flood()"))
    assert (result["status"], result["state_lost"]) == ("error", False), result["cause"]
    assert "WORKSPACE_MB" in result["cause"]
    assert printed(result) == "ended\n"
    assert time.monotonic() - began < 15


def test_a_flood_that_ignores_the_interrupt_ends_with_its_kernel_and_says_why(attacker: Attacker) -> None:
    ignoring = "signal.signal(signal.SIGINT, signal.SIG_IGN)\nos.setpgid(0, 0) if False else None\nflood()"
    how = "for n in range(10**6): write(f'{n}.txt'); time.sleep(0.0005)"
    result = attacker.run(_FILL.format(how=how, start=ignoring))
    assert (result["status"], result["state_lost"]) == ("died", True)
    assert "WORKSPACE_MB" in result["cause"]


def test_what_was_locked_in_the_jail_holds_up_nobody(attacker: Attacker, attacked: AttackedService) -> None:
    code = """
    import fcntl, glob
    held = []
    folders = [sys.prefix, os.path.dirname(sys.prefix), '/files', '/packages', '/workspace', '/']
    for path in folders + [p for f in folders[:4] for p in glob.glob(f + '/*') + glob.glob(f + '/.*')][:200]:
        try:
            held.append(os.open(path, os.O_RDONLY))
            fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError: pass
    len(held) > 5
    """
    assert attacker.sees(code) is True
    other = attacked.attacker()
    assert other.sees("1 + 1") == 2
    other.stop()
