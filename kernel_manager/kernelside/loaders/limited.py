"""A loader in a process of its own, with limits on time and memory: what native code does to a damaged file ends there.

The child is a new program, not a fork of the kernel, which has threads. What it loaded comes back pickled.
"""

from __future__ import annotations

import os
import pickle
import select
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from .source import Source, Unreadable

#: Seconds that a file may take to open.
LIMIT_S = 9.0

#: Bytes that the child may allocate, and that its answer may have.
MEMORY = 768 << 20
MAX_ANSWER = 640 << 20

UNPICKLABLE = 3
OUT_OF_MEMORY = 4

_CHUNK = 1 << 20
#: What this package is called here: in a notebook's bundle it has another name, by which the answer's classes are found.
_PACKAGE = __name__.removesuffix(".loaders.limited")


class Child(Protocol):
    """A started process: the job goes into ``stdin``, the answer comes from ``stdout``."""

    stdin: Any
    stdout: Any

    def kill(self) -> None:
        """End it."""

    def wait(self) -> int:
        """Its exit status, negative if a signal ended it."""


def start() -> Child:
    """Start the program that takes one job."""
    return subprocess.Popen(
        [sys.executable, "-I", str(Path(__file__).with_name("limited_child.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def load(loader: str, source: Source, options: dict[str, Any]) -> Any:
    """What ``loader`` makes of ``source``. Its notes go to ``source``.

    Raises :class:`Unreadable` when the file is damaged or goes beyond the limits, :class:`ImportError` when a package is
    missing, and what the loader raised for wrong ``options``.
    """
    about = {"path": str(source.path), "name": source.name, "path_list": sys.path, "package": _PACKAGE}
    job = {"loader": loader, "options": options, **about}
    # What a child that was ended leaves in its temporary folder goes with the folder.
    with tempfile.TemporaryDirectory(prefix="load-", ignore_cleanup_errors=True) as temporary:
        answer = _ask(_packed({**job, "temporary": temporary}))
    if answer is None:
        # It was read through once without harm; its object cannot leave its process, so it is made here.
        from . import resolve

        return resolve(loader)(source, **options)
    for note in answer["notes"]:
        source.note(note)
    return _result(answer)


def _packed(job: dict[str, Any]) -> bytes:
    try:
        return pickle.dumps(job)
    except (pickle.PicklingError, AttributeError, TypeError) as exc:
        raise TypeError(f"only plain values can be passed on to this loader ({exc})") from exc


def _ask(request: bytes) -> dict[str, Any] | None:
    """The answer; None if what was loaded cannot be pickled."""
    child, deadline = start(), time.monotonic() + LIMIT_S
    try:
        with suppress(BrokenPipeError):
            child.stdin.write(request)
            child.stdin.close()
        data = _read(child.stdout, deadline)
        status = child.wait()
    finally:
        with suppress(BrokenPipeError):
            child.stdin.close()
        child.stdout.close()
        child.kill()
        child.wait()
    if status == UNPICKLABLE:
        return None
    if status == OUT_OF_MEMORY:
        return {"status": "memory", "notes": []}
    if status != 0:
        raise Unreadable(_death(status))
    answer: dict[str, Any] = pickle.loads(data)  # noqa: S301  (of this kernel's own user, in the same jail)
    return answer


def _read(stream: Any, deadline: float) -> bytes:
    data = bytearray()
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([stream], [], [], left)[0]:
            raise Unreadable(f"opening it took longer than {LIMIT_S:g} s; as_='path' gives the path to it, to open it by hand")
        chunk = os.read(stream.fileno(), _CHUNK)
        if not chunk:
            return bytes(data)
        data += chunk
        if len(data) > MAX_ANSWER:
            raise Unreadable(f"what is in it comes to more than {MAX_ANSWER >> 20} MB; as_='path' gives the path to it")


def _result(answer: dict[str, Any]) -> Any:
    match answer["status"]:
        case "ok":
            return answer["result"]
        case "unreadable":
            raise Unreadable(answer["reason"])
        case "memory":
            raise Unreadable(f"opening it takes more than {MEMORY >> 20} MB of memory; as_='path' gives the path to it")
        case "missing":
            raise ModuleNotFoundError(answer["reason"], name=answer["name"])
        case "options":
            raise TypeError(answer["reason"])
        case other:
            raise Unreadable(f"the process that opens it answered {other!r}")


def _death(status: int) -> str:
    import signal

    if status >= 0:
        return f"the process that opened it ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    if name in ("SIGXCPU", "SIGKILL"):
        return "opening it took more time or memory than it may"
    return f"the library that reads it crashed on it ({name})"
