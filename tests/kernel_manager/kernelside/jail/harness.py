"""Runs Python in real jails, built by root or by an ordinary user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ZYGOTE = Path(__file__).with_name("zygote_for_tests.py")
ALL = ("user", "pid", "mount", "network", "ipc", "uts", "cgroup")
TIMEOUT_S = 30

# What attacks share. Code in the jail gets it in front of its own.
PRELUDE = """
import ctypes, errno, json, os, signal, socket, stat, struct, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

def syscall(name, *arguments):
    ctypes.set_errno(0)
    words = [ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(NUMBERS[name]), *words)
    return result if result != -1 else -ctypes.get_errno()

def attempt(work):
    try:
        return work()
    except OSError as exc:
        return errno.errorcode[exc.errno]

def say(*values):
    print(json.dumps(values), flush=True)
"""


@dataclass(frozen=True)
class Outcome:
    """What came out of a jail: the values that it said, and how its kernel ended (negative: the signal)."""

    said: list[Any]
    stdout: str
    stderr: str
    report: dict[str, Any]

    def answers(self) -> list[Any]:
        """Return what the kernel said, of a jail that came up and code that ran to its end."""
        assert "failed" not in self.report, self.report["failed"]
        assert self.exit_code == 0, self.stderr
        return self.said

    @property
    def exit_code(self) -> int | None:
        code = self.report.get("exit_code")
        return code if isinstance(code, int) else None


class Running:
    """A jail whose kernel runs."""

    def __init__(self, process: subprocess.Popen[str], report: int) -> None:
        self.process = process
        self._report = report

    def line(self) -> Any:
        """Return the next thing the kernel said."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def tell(self) -> None:
        """Let a kernel go on that waits in ``input()``."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def reported(self, key: str) -> Any:
        """Read the report up to *key*."""
        line = b""
        while byte := os.read(self._report, 1):
            line += byte
            if byte == b"\n":
                message = json.loads(line)
                if key in message:
                    return message[key]
                line = b""
        raise AssertionError(f"no {key} in the report")

    def finish(self) -> Outcome:
        stdout, stderr = self.process.communicate(timeout=TIMEOUT_S)
        with os.fdopen(self._report, "rb") as file:
            lines = [json.loads(line) for line in file]
        report = {key: value for line in lines for key, value in line.items()}
        said = [value for line in stdout.splitlines() for value in _values(line)]
        return Outcome(said, stdout, stderr, report)


def _values(line: str) -> list[Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return []
    return value if isinstance(value, list) else []


class Builder:
    """Builds jails as one kind of user."""

    def __init__(self, python: Path, uid: int, privileged: bool, package: Path, numbers: Mapping[str, int]) -> None:
        self.python = python
        self.uid = uid
        self.privileged = privileged
        self.base = Path(tempfile.mkdtemp(prefix="jail-"))
        self.base.chmod(0o755)
        self._package = self._copy(package)
        self._numbers = dict(numbers)
        self.host_uid = 201_000 if privileged else uid

    def _copy(self, package: Path) -> Path:
        """Where an ordinary user can read it too."""
        target = self.base / "package"
        shutil.copytree(package, target / "jail", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ZYGOTE, target / ZYGOTE.name)
        return target

    def folder(self, name: str, owned: bool = True, mode: int = 0o755) -> Path:
        """Make a folder of the service's, or (``owned``) one that belongs to the kernel's user on the host."""
        path = self.base / name
        if not path.exists():
            path.mkdir(mode=mode)
            path.chmod(mode)
            owner = self.host_uid if owned else self.uid
            os.chown(path, owner, owner)
        return path

    def close(self) -> None:
        shutil.rmtree(self.base, ignore_errors=True)

    def run(self, source: str, **options: Any) -> Outcome:
        """Run *source* in a jail to its end."""
        return self.start(source, **options).finish()

    def start(
        self,
        source: str,
        *,
        limits: Mapping[str, Any] | None = None,
        group: bool = False,
        supervise: bool = False,
        namespaces: Sequence[str] = ALL,
        shown: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
        restart: bool = False,
        python: Path | None = None,
        extra_environment: Mapping[str, str] | None = None,
        **policy: Any,
    ) -> Running:
        """Start *source* in a jail; *policy* are fields of the jail's policy."""
        policy.setdefault("workspace", str(self.folder("workspace")))
        request = {
            "source": f"NUMBERS = {self._numbers}\n{PRELUDE}\n{textwrap.dedent(source)}",
            "policy": {"host_uid": self.host_uid, "host_gid": self.host_uid, "privileged": self.privileged, **policy},
            "limits": dict(limits or {}),
            "namespaces": list(namespaces),
            "group": group,
            "supervise": supervise,
            "shown": list(shown),
            "variables": [["PATH", "/usr/bin:/bin"], ["HOME", "/tmp/home"], *map(list, (variables or {}).items())],
            "restart": restart,
        }
        return self._start(request, python or self.python, extra_environment or {})

    def _start(self, request: dict[str, Any], python: Path, environment: Mapping[str, str]) -> Running:
        report, write = os.pipe()
        identity: dict[str, Any] = {} if self.uid == os.geteuid() else {"user": self.uid, "group": self.uid, "extra_groups": []}
        command = [str(python), "-B", str(self._package / ZYGOTE.name), str(self._package), str(write)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            pass_fds=(write,),
            env={"PATH": "/usr/bin:/bin", **environment},
            cwd="/",
            **identity,
        )
        os.close(write)
        assert process.stdin is not None
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        return Running(process, report)
