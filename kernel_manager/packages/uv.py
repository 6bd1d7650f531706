"""uv, the tool that makes environments: where it is, how it is run, why it failed."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import re
import select
import shutil
import signal
import ssl
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from uv import find_uv_bin

from kernel_manager.errors import EnvironmentBuildError

# What would send uv to another interpreter or folder than the one it is told.
_MISLEADING = ("PYTHONHOME", "PYTHONPATH", "UV_PREFIX", "UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_TARGET", "VIRTUAL_ENV")
_INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL")
_POLL_MS = 200
_KEPT_CHARACTERS = 20_000
_LONGEST_REASON = 400

_CAUSES = (
    (
        r"No space left on device|Disk quota exceeded",
        "the disk is full",
        "free some space, or set ENVIRONMENTS_DIR to a folder on another disk",
    ),
    (
        r"network was disabled|Network connectivity is disabled",
        "uv is set to work offline and its cache lacks a package",
        "unset UV_OFFLINE",
    ),
    (
        r"invalid peer certificate|UnknownIssuer",
        "the certificate of the package index is not trusted",
        "set SSL_CERT_FILE to the file of your certificate authority",
    ),
    (
        r"dns error|error sending request|[Cc]onnection (refused|reset)|timed out|Network is unreachable",
        "the package index cannot be reached",
        "check the network, HTTPS_PROXY and UV_DEFAULT_INDEX",
    ),
    (r"Permission denied|Read-only file system", "a folder cannot be written", "check who owns it, and UV_CACHE_DIR"),
)
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_LABEL = re.compile(r"^(error|cause|caused by|×|╰─▶)\s*:?\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PackageSource:
    """Where packages come from, when not from where uv is set up to take them.

    For applications that bring their own wheels, and for tests: ``options`` are uv's, such as ``--no-index --find-links FOLDER``.
    """

    options: tuple[str, ...] = ()
    uv: Path | None = None


class Cancelled(Exception):  # noqa: N818 - not an error: somebody asked for it
    """The caller withdrew its request while uv was at work."""


def find_uv() -> Path:
    """The uv that belongs to this installation, else the one on PATH."""
    beside = Path(sys.executable).with_name("uv")
    if beside.is_file():
        return beside
    try:
        return Path(find_uv_bin())
    except FileNotFoundError:
        if found := shutil.which("uv"):
            return Path(found)
    raise EnvironmentBuildError("uv is not installed; run `pip install uv` in the environment that Threadbook runs in")


def uv_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment variables that uv gets, from those of this process.

    The operator's choice of index, proxy and certificates is kept, pip's index included.
    """
    result = {name: value for name, value in environ.items() if name not in _MISLEADING}
    result["UV_PYTHON_DOWNLOADS"] = "never"
    if environ.get("PIP_INDEX_URL") and not any(environ.get(name) for name in _INDEX_VARIABLES):
        result["UV_DEFAULT_INDEX"] = environ["PIP_INDEX_URL"]
    if _has_system_certificates():
        result.setdefault("UV_SYSTEM_CERTS", "true")
    return result


def run_uv(
    binary: Path,
    arguments: Sequence[str],
    *,
    cwd: Path,
    echo: TextIO | None = None,
    pass_fds: Sequence[int] = (),
    is_cancelled: Callable[[], bool] = lambda: False,
    extra_environ: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Run uv to its end; returns its exit status and what it said (the last 20,000 characters, colours removed).

    ``echo`` gets everything at once; if it is a terminal, uv sees one too and draws its progress there.
    ``is_cancelled`` is asked several times a second; when it says yes, uv is ended and :class:`Cancelled` raised.
    ``extra_environ`` are variables that the operator's own come before. What uv makes is readable by everybody, as kernels may
    run as another user.
    """
    reader, writer = _open_terminal(echo) if echo is not None and echo.isatty() else os.pipe()
    with os.fdopen(reader, "rb", buffering=0):
        try:
            process = subprocess.Popen(
                [str(binary), *arguments],
                cwd=cwd,
                env={**(extra_environ or {}), **uv_environ(os.environ)},
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                pass_fds=pass_fds,
                umask=0o022,
                process_group=0,
            )
        finally:
            os.close(writer)
        with process:
            try:
                output = _collect(reader, echo, is_cancelled)
            except BaseException:
                # Its helpers too: each of them holds what `pass_fds` names.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                raise
            return process.wait(), output


def innermost_cause(output: str) -> str:
    """Why uv failed in its own words, without advice: one line, empty if it did not say."""
    return _last_cause(output)


def explain_failure(output: str, status: int) -> str:
    """Why uv failed, from what it said and its exit status, and what to do about it: one line."""
    if known := known_cause(output):
        return known
    reason = _last_cause(output)
    if status < 0 or not reason:
        return f"uv ended with status {status} and did not say why; look for a lack of memory"
    return f"{reason}; change what is asked for, or the index it comes from (UV_DEFAULT_INDEX)"


def known_cause(text: str) -> str | None:
    """What is wrong with the machine, its network or its disk, and what to do about it, if ``text`` tells; one line."""
    for pattern, why, advice in _CAUSES:
        if re.search(pattern, text):
            return f"{why}; {advice}"
    return None


def _last_cause(output: str) -> str:
    """The innermost of the causes that uv lists, its lines joined; empty if there is none."""
    reason: list[str] = []
    for line in (line.strip() for line in output.splitlines()):
        if _LABEL.match(line):
            reason = [_LABEL.sub("", line)]
        elif reason and (not line or line.startswith("hint")):
            break
        elif reason:
            reason.append(line)
    return " ".join(reason)[:_LONGEST_REASON].rstrip(". ")


def _has_system_certificates() -> bool:
    paths = ssl.get_default_verify_paths()
    return bool(paths.cafile) or bool(paths.capath and any(Path(paths.capath).iterdir()))


def _open_terminal(like: TextIO) -> tuple[int, int]:
    reader, writer = os.openpty()
    size = fcntl.ioctl(like.fileno(), termios.TIOCGWINSZ, bytes(8))
    fcntl.ioctl(writer, termios.TIOCSWINSZ, size)
    return reader, writer


def _collect(reader: int, echo: TextIO | None, is_cancelled: Callable[[], bool]) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    kept = ""
    for chunk in _chunks(reader, is_cancelled):
        text = decoder.decode(chunk)
        kept = (kept + text)[-_KEPT_CHARACTERS:]
        if echo is not None:
            echo.write(text)
            echo.flush()
    return _ESCAPES.sub("", kept).replace("\r\n", "\n")


def _chunks(reader: int, is_cancelled: Callable[[], bool]) -> Iterator[bytes]:
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    while not is_cancelled():
        if not poll.poll(_POLL_MS):
            continue
        try:
            chunk = os.read(reader, 65_536)
        except OSError:  # how a terminal says that its other side is closed
            return
        if not chunk:
            return
        yield chunk
    raise Cancelled
