"""What people do in a jail and never notice: scripts, subprocesses, multiprocessing, fonts, time zones, caches."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.attacks import Attacker, printed, value

pytestmark = pytest.mark.slow

_WORK: list[Any] = [
    pytest.param(
        "subprocess.run([sys.executable, '-c', 'import numpy; print(numpy.arange(3).sum())'], capture_output=True, text=True)"
        ".stdout",
        "3\n",
        id="a script that imports NumPy",
    ),
    pytest.param(
        "write('s.py', b'import pandas; print(pandas.DataFrame({1: [2]}).shape)')\n"
        "subprocess.run(['python', 's.py'], capture_output=True, text=True).stdout",
        "(1, 1)\n",
        id="python of the path is the environment's",
    ),
    pytest.param(
        "import multiprocessing as m, math\n"
        "with m.get_context('fork').Pool(2) as pool: seen = pool.map(math.factorial, [3, 4])\nseen",
        [6, 24],
        id="multiprocessing by fork",
    ),
    pytest.param(
        "import multiprocessing as m, math\n"
        "with m.get_context('spawn').Pool(2) as pool: seen = pool.map(math.factorial, [3])\nseen",
        [6],
        id="multiprocessing by spawn",
    ),
    pytest.param(
        "from concurrent.futures import ThreadPoolExecutor as T\nwith T(8) as pool: n = sum(pool.map(abs, range(9)))\nn",
        36,
        id="threads",
    ),
    pytest.param("import math, multiprocessing.shared_memory as m\ns = m.SharedMemory(create=True, size=9); s.buf[0] = 7\n"
                 "seen = s.buf[0]; s.close(); s.unlink()\nseen", 7, id="shared memory"),
    pytest.param("os.path.expanduser('~'), os.access(os.path.expanduser('~'), os.W_OK)", ("/tmp/home", True), id="a home"),
    pytest.param("import pwd, getpass as g\ng.getuser(), pwd.getpwuid(os.getuid()).pw_dir", ("kernel", "/tmp/home"), id="a name"),
    pytest.param("import zoneinfo\nstr(zoneinfo.ZoneInfo('Europe/Berlin'))", "Europe/Berlin", id="time zones"),
    pytest.param("write('ü日', 'ä'.encode()); open('ü日').read(), sys.getfilesystemencoding()", ("ä", "utf-8"), id="UTF-8"),
    pytest.param("import ssl\nssl.create_default_context().cert_store_stats()['x509_ca'] > 0", True, id="CA files"),
    pytest.param("import tempfile as t\nwith t.TemporaryFile() as f: x = f.write(b'x')\nx", 1, id="tempfile"),
    pytest.param("import sqlite3\nsqlite3.connect('a.db').execute('select 1').fetchone()", (1,), id="SQLite"),
    pytest.param("import asyncio\nasync def one(): return 1\nawait asyncio.gather(one(), one())", [1, 1], id="asyncio"),
    pytest.param("import numpy\nfloat((numpy.ones((300, 300)) @ numpy.ones((300, 300)))[0, 0])", 300.0, id="BLAS"),
    pytest.param("subprocess.Popen('exit 3', shell=True).wait()", 3, id="a shell"),
    pytest.param("import pty\npid, fd = pty.fork()\nif pid == 0: os._exit(0)\nos.waitpid(pid, 0)[1]", 0, id="a terminal"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), _WORK)
def test_work_goes_on_as_outside_of_a_jail(spy: Attacker, code: str, expected: Any) -> None:
    assert spy.sees(code) == expected


def test_shell_commands_and_figures(attacker: Attacker) -> None:
    result = attacker.run(
        "!ls /; echo in $PWD\nimport matplotlib.pyplot as plt\nplt.title('Größe'); plt.plot([1, 2]); plt.show()"
    )
    assert result["status"] == "ok"
    assert "workspace" in printed(result)
    assert "in /workspace" in printed(result)
    assert [output for output in result["outputs"] if "image/png" in output.get("data", {})]
    assert result["files"] == []


def test_caches_are_no_artifacts(attacker: Attacker) -> None:
    code = """
    write('own.py', b'x = 1')
    import own
    subprocess.run([sys.executable, '-c', 'import own'], env={**os.environ, 'PYTHONDONTWRITEBYTECODE': ''})
    os.makedirs(os.path.expanduser('~/.cache/tool'), exist_ok=True)
    write(os.path.expanduser('~/.cache/tool/x'))
    os.makedirs('.cache/tool', exist_ok=True); write('.cache/tool/y')
    os.path.isdir('__pycache__')
    """
    result = attacker.run(code)
    assert value(result) == "True"
    assert [file["filename"] for file in result["files"]] == ["own.py"]
