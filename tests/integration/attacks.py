"""Attacks on the real product: a service of its own, run by root or by an ordinary user, an attacker and a victim in it.

:meth:`Attacker.sees` is what most attacks come to: code runs in the attacker's kernel, and the value of its last expression
is what the attacker saw. Afterwards :meth:`AttackedService.goes_on` asks a second user's session for the next number.
"""

from __future__ import annotations

import ast
import itertools
import json
import os
import queue
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kernel_manager.kernelside.jail import syscalls
from kernel_manager.packages.environments import Environment

ROOT, ORDINARY_USER = "root", "ordinary user"
MODES = (ROOT, ORDINARY_USER)
#: Whom root becomes to be an ordinary user: nobody that a system knows.
ORDINARY_UID = 12_345
#: What the service's own environment holds, and nobody else may ever see.
SECRET = "canary-of-the-service"
#: Small enough that every limit is reached within seconds.
LIMITS = {
    "kernel_memory_mb": 256,
    "kernel_processes": 64,
    "kernel_open_files": 256,
    "kernel_file_size_mb": 16,
    "kernel_tmp_mb": 32,
    "workspace_mb": 32,
    "workspace_files": 1_500,
    "interrupt_grace": 1,
    "code_execution_timeout": 30,
    "code_wall_timeout": 3,
}
#: Seconds within which every answer comes, on a machine that has other things to do.
PATIENCE_S = 40.0

_REPOSITORY = Path(__file__).parents[2]
_SERVICE = Path(__file__).with_name("attacked_service.py")
_ORDINARY_USER = Path(__file__).with_name("ordinary_user.py")

# What attacks share; their code gets it in front of its own.
PRELUDE = """
import ctypes, errno, json, os, resource, signal, socket, stat, struct, subprocess, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

def call(name, *arguments):
    '''A raw system call: its result, or the name of its error.'''
    ctypes.set_errno(0)
    words = [ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(NUMBERS[name]), *words)
    return result if result != -1 else errno.errorcode[ctypes.get_errno()]

def attempt(work, *arguments, **more):
    '''What work returns, or the name of its error.'''
    try:
        return work(*arguments, **more)
    except OSError as exc:
        return errno.errorcode[exc.errno] if exc.errno else type(exc).__name__
    except ValueError as exc:
        return type(exc).__name__

def read(path, size=1000):
    with open(path, 'rb') as file:
        return file.read(size)

def write(path, data=b'x'):
    with open(path, 'wb') as file:
        return file.write(data)
"""

Result = dict[str, Any]


class AttackedService:
    """A service process; its answers come in a thread of this one."""

    def __init__(self, mode: str, folder: Path, process: subprocess.Popen[str]) -> None:
        self.mode = mode
        self.folder = folder
        self.process = process
        self._numbers = itertools.count(1)
        self._answers: dict[int, queue.Queue[Result]] = {}
        self._counted = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.victim = Attacker(self, "victim", "work")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            answer = json.loads(line)
            self._answers[answer["id"]].put(answer)

    def ask(self, op: str, user: str, session: str, **more: Any) -> queue.Queue[Result]:
        """Send a request; the queue gets its events and its answer."""
        number = next(self._numbers)
        answers = self._answers[number] = queue.Queue()
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"id": number, "op": op, "user": user, "session": session, **more}) + "\n")
        self.process.stdin.flush()
        return answers

    def attacker(self) -> Attacker:
        """A session of a new user."""
        return Attacker(self, f"attacker{next(self._numbers)}", "lair")

    def goes_on(self) -> None:
        """The service lives, and a second user's variables are where they were."""
        self._counted += 1
        result = self.victim.run("counted = globals().get('counted', 0) + 1\ncounted")
        assert (result["status"], value(result)) == ("ok", str(self._counted)), result["cause"]
        assert self.process.poll() is None

    @property
    def data(self) -> Path:
        """The service's data folder."""
        return self.folder / "data"

    @property
    def runtime(self) -> Path:
        """The service's runtime folder."""
        (folder,) = (self.folder / "run").iterdir()
        return folder

    def close(self) -> None:
        """End every kernel, then the service."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()
            self._reader.join(PATIENCE_S)
            assert self.process.stdout is not None
            self.process.stdout.close()


class Cell:
    """A cell that runs."""

    def __init__(self, answers: queue.Queue[Result]) -> None:
        self._answers = answers

    def began(self) -> None:
        """Wait for its first output."""
        assert self._answers.get(timeout=PATIENCE_S).get("event") == "output"

    def result(self) -> Result:
        """Wait for its end."""
        while "event" in (answer := self._answers.get(timeout=PATIENCE_S)):
            pass
        assert "error" not in answer, answer["error"]
        result: Result = answer["result"]
        return result


class Attacker:
    """Somebody with a session."""

    def __init__(self, service: AttackedService, user: str, session: str) -> None:
        self.service = service
        self.user = user
        self.session = session

    def start(self, code: str, **more: Any) -> Cell:
        """Run a cell, not waiting for its end."""
        return Cell(self.service.ask("run", self.user, self.session, code=_whole(code), **more))

    def run(self, code: str, **more: Any) -> Result:
        """Run a cell to its end; its result as a dict."""
        return self.start(code, **more).result()

    def sees(self, code: str, **more: Any) -> Any:
        """Run a cell that goes well; return the value of its last expression."""
        result = self.run(code, **more)
        assert result["status"] == "ok", (result["cause"], result["outputs"])
        return ast.literal_eval(value(result))

    def stop(self) -> None:
        """Stop the session."""
        Cell(self.service.ask("stop", self.user, self.session)).result()

    def pid(self) -> int:
        """The kernel's pid on the host."""
        return int(str(Cell(self.service.ask("pid", self.user, self.session)).result()))

    @property
    def workspace(self) -> Path:
        """The session's working folder on the host."""
        (history,) = self.service.data.glob(f"sessions/{self.user}*/{self.session}*/workspace")
        return history

    def kernel_folder(self) -> Path:
        """The kernel's runtime folder on the host."""
        record = json.loads((self.workspace.parent / "kernel.json").read_text())
        return self.service.runtime / "k" / str(record["kernel_id"])


def _whole(code: str) -> str:
    return f"NUMBERS = {_numbers()}\n{PRELUDE}\n{textwrap.dedent(code)}"


def _numbers() -> dict[str, int]:
    return dict(syscalls.numbers(syscalls.machine()))


def value(result: Result) -> str:
    """The text of what the cell's last expression came to."""
    shown = [output["data"]["text/plain"] for output in result["outputs"] if output["output_type"] == "execute_result"]
    return str(shown[-1]) if shown else ""


def printed(result: Result) -> str:
    """What the cell wrote to its standard output."""
    return "".join(output["text"] for output in result["outputs"] if output.get("name") == "stdout")


@contextmanager
def attacked_service(mode: str, environment: Environment, **changes: Any) -> Iterator[AttackedService]:
    """A service that root or an ordinary user runs; skips where this machine cannot have it."""
    if mode == ROOT and os.geteuid() != 0:
        pytest.skip("the suite is not run by root")
    folder = Path(tempfile.mkdtemp(prefix="tb-", dir="/tmp"))
    settings = {
        "data_dir": str(folder / "data"),
        "runtime_dir": str(folder / "run"),
        "environments_dir": str(environment.root.parent),
        "zygote_idle_timeout": 1,
        **LIMITS,
        **changes,
    }
    command = [sys.executable, str(_SERVICE), json.dumps(settings)]
    if mode == ORDINARY_USER and os.geteuid() == 0:
        os.chown(folder, ORDINARY_UID, ORDINARY_UID)
        command = [sys.executable, str(_ORDINARY_USER), str(ORDINARY_UID), json.dumps(_needed(environment)), *command]
        _check_ordinary_user(environment)
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(_REPOSITORY), "OPENAI_API_KEY": SECRET, "HOME": str(folder)},
    )
    service = AttackedService(mode, folder, process)
    try:
        yield service
    finally:
        service.close()
        # shutil's would fail on folders that lie a thousand deep
        subprocess.run(["rm", "-rf", folder], check=True)


def _needed(environment: Environment) -> list[str]:
    """What an ordinary user must be able to read: the sources, and each Python with its packages."""
    base = environment.python.resolve().parents[1]
    folders = {_REPOSITORY, Path(sys.prefix), Path(sys.base_prefix), environment.root.parent, base}
    return [str(folder) for folder in sorted(folders) if not any(parent in folders for parent in folder.parents)]


def _check_ordinary_user(environment: Environment) -> None:
    look = "import kernel_manager.interpreter"
    command = [
        sys.executable,
        str(_ORDINARY_USER),
        str(ORDINARY_UID),
        json.dumps(_needed(environment)),
        sys.executable,
        "-c",
        look,
    ]
    tried = subprocess.run(command, check=False, capture_output=True, text=True, cwd="/", env={"PYTHONPATH": str(_REPOSITORY)})
    if tried.returncode:
        pytest.skip(f"nothing of this can be shown to an ordinary user here: {tried.stderr.strip()[-200:]}")
