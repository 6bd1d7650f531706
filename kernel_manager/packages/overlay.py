"""The overlay of one user and one environment generation: what was installed for them, beside the environment.

::

    <data>/packages/<user>/
    ├── <generation>.lock           held (flock) by whoever installs; where no kernel sees it
    └── <generation>/               stays: kernels have it (in a jail as /packages)
        ├── current -> v-…          last on every kernel's sys.path; switched by one rename
        └── v-5f09ac…/              what was installed, whole; never changed once it is current
            └── threadbook-overlay.json

A live kernel finds what was added without being told: Python reads a folder on its path anew when the folder's modification time
is another one, and each version's is later than the one's before. So the folder has to exist before a kernel starts.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kernel_manager.atomic import sync_folder, write_atomic
from kernel_manager.errors import StorageError
from kernel_manager.kernelside import protocol
from kernel_manager.packages.requirement import parse_requirement
from kernel_manager.packages.uv import Cancelled

MANIFEST = "threadbook-overlay.json"
CURRENT = protocol.OVERLAY

_VERSION = re.compile(r"v-[0-9a-f]{12}")
_LOCK_POLL_S = 0.05
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class OverlayContent:
    """What an overlay holds: the requirements that were asked for, every package with its version, and the size in bytes."""

    requested: tuple[str, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)
    size: int = 0

    @classmethod
    def read(cls, version: Path) -> OverlayContent:
        """Read the manifest of one version; that of an empty one if there is none, or none that can be read."""
        try:
            values = json.loads((version / MANIFEST).read_text(encoding="utf-8"))
            packages = {str(name): str(number) for name, number in values["packages"].items()}
            return cls(tuple(map(str, values["requested"])), packages, int(values["size"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def listed(self) -> list[tuple[str, str, bool]]:
        """Each package with its version, and whether it was asked for by name."""
        parsed = [parse_requirement(text) for text in self.requested]
        asked = {requirement.name for requirement in parsed if requirement is not None}
        return [(name, version, name in asked) for name, version in sorted(self.packages.items())]

    def write(self, version: Path) -> None:
        """Write the manifest; raises OSError."""
        body = {"requested": list(self.requested), "packages": dict(self.packages), "size": self.size}
        write_atomic(version / MANIFEST, json.dumps(body, indent=1) + "\n", mode=0o644)


class Overlay:
    """See the module. ``folder`` is the one that stays. Methods raise StorageError when the disk does not do as they say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def current(self) -> Path:
        """What kernels have on their path."""
        return self.folder / CURRENT

    def prepare(self) -> None:
        """Have an overlay, an empty one if need be: to be called before a kernel starts."""
        if self.current.is_dir():
            return
        with self.locked(), _explained(self.folder):
            if not self.current.is_dir():
                self.switch(self.new_version(), durable=False)  # lost in a power cut, it is made again

    def content(self) -> OverlayContent:
        """What is in it now."""
        return OverlayContent.read(self.current)

    def has(self, module: str) -> bool:
        """Whether a dotted name can be imported from it."""
        return holds_module(self.current, module)

    # --- for the holder of the lock -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self, is_cancelled: Callable[[], bool] = lambda: False) -> Iterator[int]:
        """Hold the overlay's lock; yields its descriptor. Raises Cancelled when ``is_cancelled`` says so meanwhile."""
        with _explained(self.folder):
            make_readable(self.folder)
            path = self.folder.with_name(f"{self.folder.name}.lock")
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            while not _try_lock(lock):
                if is_cancelled():
                    raise Cancelled
                time.sleep(_LOCK_POLL_S)
            yield lock
        finally:
            os.close(lock)

    def new_version(self) -> Path:
        """Make the folder of a new version; no kernel sees it yet."""
        version = self.folder / f"v-{secrets.token_hex(6)}"
        make_readable(version)
        return version

    def switch(self, version: Path, *, durable: bool = True) -> None:
        """Have kernels see this version from now on; what is older than the one before goes.

        Unless ``durable``, a power cut may take that back.
        """
        before = self._linked()
        previous = (self.folder / before).stat().st_mtime_ns if before and (self.folder / before).exists() else 0
        now = max(time.time_ns(), previous + _NS)
        os.utime(version, ns=(now, now))
        link = self.folder / f".{CURRENT}.{version.name}"
        link.symlink_to(version.name)
        link.replace(self.current)
        if durable:
            sync_folder(self.folder)
        self.tidy(keep={version.name, before})

    def tidy(self, keep: set[str | None] | None = None) -> None:
        """Remove what interrupted installs and earlier versions left; a kernel may be reading the one before the current."""
        kept = keep or {self._linked()}
        for path in self.folder.iterdir():
            if _VERSION.fullmatch(path.name) and path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)
            elif path.name.startswith(f".{CURRENT}."):
                path.unlink(missing_ok=True)

    def remove(self) -> bool:
        """Remove the overlay of a generation that is gone; return whether it is away."""
        with self.locked(), contextlib.suppress(OSError):
            shutil.rmtree(self.folder)
            self.folder.with_name(f"{self.folder.name}.lock").unlink(missing_ok=True)
        return not self.folder.exists()

    def _linked(self) -> str | None:
        try:
            return self.current.readlink().name
        except OSError:
            return None


def holds_module(folder: Path, module: str) -> bool:
    """Whether a folder on Python's path has a module or package of that dotted name."""
    parts = module.split(".")
    parent = folder.joinpath(*parts[:-1])
    if (parent / parts[-1]).is_dir() or (parent / f"{parts[-1]}.py").is_file():
        return True
    return any(path.suffix == ".so" for path in parent.glob(f"{parts[-1]}.*"))


def make_readable(folder: Path) -> None:
    """Have a folder that everybody may read, whatever the umask: kernels may run as another user; raises OSError."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)


def add_links(source: Path, target: Path) -> None:
    """Have in ``target`` every file of ``source`` that it lacks, without using space; raises OSError."""
    for parent, _, names in os.walk(source):
        folder = target / Path(parent).relative_to(source)
        make_readable(folder)
        for name in names:
            with contextlib.suppress(FileExistsError):
                os.link(Path(parent) / name, folder / name, follow_symlinks=False)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum((Path(parent) / name).lstat().st_size for parent, _, names in os.walk(folder) for name in names)


@contextlib.contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StorageError(f"{folder}: {exc.strerror or exc}; check DATA_DIR, its owner and free space") from exc


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
