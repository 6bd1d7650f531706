"""Make the service environment ``.venv`` on a machine that has Python and nothing else.

::

    python3 tools/bootstrap.py            make it, or bring it up to date
    python3 tools/bootstrap.py --check    exit status 0 if there is nothing to do

Standard library only: it runs before anything is installed. uv does the installing; where the machine has none, it
comes from pip, from the package index itself, or from the pip that comes with Python, whichever works first.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import io
import os
import platform
import re
import shutil
import ssl
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import TextIO
from urllib.parse import urldefrag, urljoin

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "threadbook-setup"  # what .venv was made from; HALF_MADE while it is being made
HALF_MADE = "half-made"
STEPS = 4
OLDEST_UV, TOO_NEW_UV = (0, 11), (1, 0)
UV_REQUIREMENT = "uv>=0.11,<1"
DEFAULT_INDEX = "https://pypi.org/simple"
INDEX_VARIABLES = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
TIMEOUT_S = 60
MAX_DOWNLOAD = 200_000_000


class SetupError(Exception):
    """The environment cannot be made; the message is one line that says what to do."""


def main(arguments: list[str]) -> int:
    """Return the exit status: 0 when ``.venv`` is up to date, 1 when it is not."""
    if arguments == ["--check"]:
        return 0 if is_fresh() else 1
    try:
        with (ROOT / ".venv.lock").open("w") as lock:
            wait_for(lock)
            if not is_fresh():
                make_environment()
    except SetupError as exc:
        print(f"setup: {exc}", file=sys.stderr)
        return 1
    except OSError as exc:
        print(f"setup: {exc}; check the disk's free space and who owns {ROOT}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: interrupted; `make setup` goes on from here", file=sys.stderr)
        return 130
    return 0


def is_fresh() -> bool:
    """Whether ``.venv`` was made to its end, here, from today's pyproject.toml."""
    try:
        made_from = STAMP.read_text(encoding="utf-8")
    except OSError:
        return False
    return made_from == fingerprint() and runs(VENV / "bin" / "python") and (VENV / "bin" / "threadbook").exists()


def fingerprint() -> str:
    """Of all that decides what ``.venv`` holds; the place counts because scripts name it."""
    digest = hashlib.sha256(str(ROOT).encode())
    for path in (ROOT / "pyproject.toml", Path(__file__).resolve()):
        digest.update(b"\0" + path.read_bytes())
    return digest.hexdigest()


def runs(python: Path) -> bool:
    """Whether ``python`` starts and is a version that Threadbook supports."""
    if python == Path(sys.executable):
        return True
    supported = "import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))"
    try:
        return subprocess.run([python, "-I", "-S", "-c", supported], stderr=subprocess.DEVNULL, check=False).returncode == 0
    except OSError:
        return False


def wait_for(lock: TextIO) -> None:
    """Take the lock that keeps two set-ups apart."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("another setup is at work here: waiting for it", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


def make_environment() -> None:
    """Make or update ``.venv``, saying each step."""
    say(1, f"Python {platform.python_version()} ({sys.executable})")
    if not can_be_updated():
        shutil.rmtree(VENV, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="threadbook-setup-") as scratch:
        uv = find_uv() or obtain_uv(Path(scratch))
        say(2, f"uv {'.'.join(map(str, version_of(uv) or ()))}")
        say(3, "service environment (.venv)")
        install(uv)
    say(4, "kernel environment")


def install(uv: Path) -> None:
    """Install this project and what it needs for work on it; the stamp tells how far that got."""
    started = time.monotonic()
    if not VENV.exists():
        run(uv, "venv", "--quiet", "--no-project", "--python", sys.executable, "--prompt", "threadbook", str(VENV))
    STAMP.write_text(HALF_MADE, encoding="utf-8")
    run(uv, "pip", "install", "--python", str(VENV / "bin" / "python"), "--compile-bytecode", "--editable", ".[dev]")
    STAMP.write_text(fingerprint(), encoding="utf-8")
    print(f"      done in {time.monotonic() - started:.0f} s", flush=True)


def can_be_updated() -> bool:
    """Whether what lies in ``.venv`` is worth keeping: it runs, and nobody left it half-made."""
    half_made = STAMP.exists() and STAMP.read_text(encoding="utf-8") == HALF_MADE
    return runs(VENV / "bin" / "python") and not half_made


def say(step: int, text: str) -> None:
    """Show which step begins."""
    print(f"[{step}/{STEPS}] {text}", flush=True)


def run(uv: Path, *arguments: str) -> None:
    """Run uv here; what it says, its progress display included, goes to the terminal."""
    done = subprocess.run([uv, *arguments], cwd=ROOT, env=uv_environ(dict(os.environ)), check=False)
    if done.returncode != 0:
        raise SetupError(f"uv failed as said above (exit status {done.returncode}); mend that and run `make setup` again")


def uv_environ(environ: dict[str, str]) -> dict[str, str]:
    """The variables that uv gets: the machine's certificates are trusted, and pip's index is known to uv."""
    result = {name: value for name, value in environ.items() if name not in ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH")}
    result["UV_PYTHON_DOWNLOADS"] = "never"
    if environ.get("PIP_INDEX_URL") and not any(environ.get(name) for name in INDEX_VARIABLES[:2]):
        result["UV_DEFAULT_INDEX"] = environ["PIP_INDEX_URL"]
    trusted = ssl.get_default_verify_paths()
    if trusted.cafile or (trusted.capath and any(Path(trusted.capath).iterdir())):
        result.setdefault("UV_SYSTEM_CERTS", "true")
    return result


# Where uv comes from.


def find_uv() -> Path | None:
    """A uv that is here already and neither too old nor too new."""
    for candidate in (VENV / "bin" / "uv", shutil.which("uv")):
        if candidate and OLDEST_UV <= (version_of(Path(candidate)) or (0,)) < TOO_NEW_UV:
            return Path(candidate)
    return None


def version_of(uv: Path) -> tuple[int, ...] | None:
    """What ``uv --version`` says, as numbers; None if it does not run."""
    try:
        said = subprocess.run([uv, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return None
    found = re.match(r"uv (\d+)\.(\d+)\.(\d+)", said)
    return tuple(int(part) for part in found.groups()) if found else None


def obtain_uv(scratch: Path) -> Path:
    """Get uv into the folder ``scratch``: its path there. Raises :class:`SetupError` with each reason why not."""
    ways: tuple[Callable[[Path], Path], ...] = (uv_from_pip, uv_from_index, uv_from_bundled_pip)
    reasons = []
    for way in ways:
        try:
            uv = way(scratch)
        except (SetupError, OSError, ValueError, zipfile.BadZipFile) as exc:
            reasons.append(str(exc))
            continue
        if version_of(uv):
            return uv
        reasons.append(f"{uv.name} does not run on this machine")
    raise SetupError(f"cannot get uv ({'; '.join(reasons)}); check the network and its certificates, or install uv yourself")


def uv_from_pip(scratch: Path, python: str = sys.executable) -> Path:
    """By the machine's own pip, which knows the machine's index and certificates."""
    target = scratch / "pip"
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--retries", "1"]
    done = subprocess.run(
        [*command, "--only-binary", ":all:", "--no-deps", "--target", str(target), UV_REQUIREMENT],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SetupError(f"pip: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return target / "bin" / "uv"


def uv_from_bundled_pip(scratch: Path) -> Path:
    """By the pip that comes with Python; slow, as a whole environment is made for it."""
    folder = scratch / "bundled"
    done = subprocess.run([sys.executable, "-m", "venv", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SetupError("Python's own pip: not there")
    return uv_from_pip(scratch, str(folder / "bin" / "python"))


def uv_from_index(scratch: Path) -> Path:
    """By hand: the newest wheel for this machine, its checksum compared, its one file taken out."""
    index = next((os.environ[name] for name in INDEX_VARIABLES if os.environ.get(name)), DEFAULT_INDEX)
    page = f"{index.rstrip('/')}/uv/"
    wheel = newest(wheels_on(fetch(page).decode("utf-8", "replace"), page))
    print(f"      downloading uv {'.'.join(map(str, wheel.version))}", flush=True)
    content = fetch(wheel.url)
    if hashlib.sha256(content).hexdigest() != wheel.sha256:
        raise SetupError(f"index: {wheel.url} does not have the checksum that the index gives for it")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        member = next((name for name in archive.namelist() if name.endswith(".data/scripts/uv")), None)
        if member is None:
            raise SetupError(f"index: {wheel.url} has no uv in it")
        (scratch / "uv").write_bytes(archive.read(member))
    (scratch / "uv").chmod(0o755)
    return scratch / "uv"


def fetch(url: str) -> bytes:
    """The bytes at ``url``; proxies and certificates as Python finds them."""
    # Any scheme: it is the operator who names the index, and a folder may be one.
    request = urllib.request.Request(url, headers={"Accept": "application/vnd.pypi.simple.v1+html, text/html;q=0.9"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
            content: bytes = response.read(MAX_DOWNLOAD)
    except urllib.error.URLError as exc:
        raise SetupError(f"index: {url}: {exc.reason}") from exc
    except (OSError, http.client.HTTPException) as exc:
        raise SetupError(f"index: {url}: broken off ({exc!r})") from exc
    return content


@dataclass(frozen=True)
class Wheel:
    """One file of the index's page."""

    url: str
    sha256: str
    version: tuple[int, ...]
    platforms: tuple[str, ...]


class Anchors(HTMLParser):
    """Collects the ``href`` of every link that is not withdrawn."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See :class:`html.parser.HTMLParser`."""
        found = dict(attrs)
        if tag == "a" and found.get("href") and "data-yanked" not in found:
            self.links.append(str(found["href"]))


def wheels_on(html: str, page: str) -> Iterator[Wheel]:
    """The wheels of uv that the index's page lists with a checksum (the HTML that every index speaks, PEP 503)."""
    anchors = Anchors()
    anchors.feed(html)
    for link in anchors.links:
        url, fragment = urldefrag(urljoin(page, link))
        name = re.search(r"/uv-(\d+)\.(\d+)\.(\d+)-py3-none-([\w.]+)\.whl$", url)
        if name and fragment.startswith("sha256="):
            version = tuple(int(part) for part in name.groups()[:3])
            yield Wheel(url, fragment.removeprefix("sha256="), version, tuple(name[4].split(".")))


def newest(wheels: Iterable[Wheel]) -> Wheel:
    """The newest of those that run on this machine."""
    fitting = [
        wheel
        for wheel in wheels
        if OLDEST_UV <= wheel.version < TOO_NEW_UV and any(runs_here(tag, sysconfig.get_platform()) for tag in wheel.platforms)
    ]
    if not fitting:
        raise SetupError(f"index: no uv for {sysconfig.get_platform()}")
    return max(fitting, key=lambda wheel: wheel.version)


def runs_here(tag: str, machine: str) -> bool:
    """Whether a wheel's platform tag, such as ``manylinux_2_17_x86_64``, fits ``machine``, such as ``linux-x86_64``."""
    system, _, rest = machine.partition("-")
    found = re.fullmatch(r"(manylinux|musllinux|macosx)_(\d+)_(\d+)_(\w+)", tag)
    if not found or found[4] != rest.rpartition("-")[2].replace("-", "_"):
        return False
    needed = (int(found[2]), int(found[3]))
    if system == "linux":
        name, version = platform.libc_ver()
        if name != "glibc":
            return found[1] == "musllinux"
        return found[1] == "manylinux" and needed <= tuple(int(part) for part in version.split(".")[:2])
    return system == "macosx" and found[1] == "macosx"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
