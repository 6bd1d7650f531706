"""The Python environments that kernels run in: generations beside each other, one of them current.

::

    <root>/
    ├── build.lock                  held (flock) by whoever builds
    ├── current -> g-…              switched by one rename
    └── g-20261120T183412-5f09ac/   a virtual environment
        ├── cache/matplotlib            made ahead, for every kernel's MPLCONFIGDIR
        ├── in-use.lock                held (flock, shared) by all that runs in it
        ├── requirements.lock           every package with its version
        └── threadbook-environment.json written last: a generation without it is half-built
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kernel_manager.atomic import sync_folder, write_atomic
from kernel_manager.config import Settings
from kernel_manager.errors import EnvironmentBuildError, StorageError
from kernel_manager.packages.base import Base
from kernel_manager.packages.in_thread import in_thread
from kernel_manager.packages.uv import Cancelled, PackageSource, explain_failure, find_uv, known_cause, run_uv
from kernel_manager.packages.warm_up import WarmUpError, measure_preload

MANIFEST = "threadbook-environment.json"
LOCK = "requirements.lock"
#: Held (shared) by every process that runs in a generation; see kernelside/__main__.py.
IN_USE = "in-use.lock"
#: Why the last build failed.
FAILURE = "failure.txt"
#: Seconds after a switch for which the generation before stays in any case.
SETTLING_S = 60.0

Progress = Callable[[str], None]

_GENERATION = re.compile(r"g-\d{8}T\d{6}-[0-9a-f]{6}")
_LOCK_POLL_S = 0.2
_AGAIN = "then run `threadbook env build`"


@dataclass(frozen=True, slots=True)
class Environment:
    """One generation, whole. ``root`` is its own folder, not the link ``current``; ``built_at`` is ISO 8601 in UTC."""

    generation: str
    root: Path
    python: Path
    requirements_digest: str
    package_count: int
    built_at: str

    @classmethod
    def from_root(cls, path: Path) -> Environment:
        """Read the generation in the folder ``path``; raises :class:`StorageError` if it is not whole."""
        try:
            manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
            environment = cls(
                generation=path.name,
                root=path,
                python=path / "bin" / "python",
                requirements_digest=str(manifest["requirements_digest"]),
                package_count=int(manifest["package_count"]),
                built_at=str(manifest["built_at"]),
            )
        except (OSError, ValueError, TypeError, KeyError) as exc:
            raise StorageError(f"{path} is not a whole kernel environment; run `threadbook env build`") from exc
        if not os.access(environment.python, os.X_OK):
            raise StorageError(f"{environment.python} does not run any more; run `threadbook env build`")
        return environment

    @property
    def lock(self) -> Path:
        """The file that names every package with its version, one ``name==version`` a line."""
        return self.root / LOCK


class Environments:
    """The generations below one folder. Several processes may use the same folder at once."""

    def __init__(self, root: Path, *, base: Base | None = None, uv: Path | None = None, uv_options: tuple[str, ...] = ()) -> None:
        """Use ``base.toml`` and the uv of this installation unless told otherwise. Touches nothing."""
        self.root = root.expanduser().absolute()
        self.base = base or Base.load()
        self.uv = uv
        self.uv_options = uv_options

    @classmethod
    def from_settings(cls, settings: Settings, source: PackageSource | None = None) -> Environments:
        """The generations of the settings' folder, of their profile."""
        source = source or PackageSource()
        base = Base.load(settings.environment_profile)
        return cls(settings.environments_path, base=base, uv=source.uv, uv_options=source.options)

    def current(self) -> Environment | None:
        """The generation in use, or None if there is none or it cannot be used."""
        try:
            generation = (self.root / "current").readlink().name
            return Environment.from_root(self.root / generation) if _GENERATION.fullmatch(generation) else None
        except (OSError, StorageError):
            return None

    def is_fresh(self, environment: Environment) -> bool:
        """Whether the environment was built from today's requirements and this Python version."""
        return environment.requirements_digest == self.base.digest

    def status(self) -> dict[str, Any]:
        """The current generation, ready for JSON. ``size_mb`` counts what lies in its folder, shared with uv's cache or not."""
        environment = self.current()
        return {
            "python": str(environment.python) if environment else None,
            "generation": environment.generation if environment else None,
            "package_count": environment.package_count if environment else 0,
            "fresh": environment is not None and self.is_fresh(environment),
            "built_at": environment.built_at if environment else None,
            "size_mb": round(_size_of(environment.root) / 1e6, 1) if environment else 0.0,
            "root": str(self.root),
            "failure": self._failure(),
        }

    def _failure(self) -> str | None:
        """Why the last build failed, if none has succeeded since."""
        try:
            return (self.root / FAILURE).read_text(encoding="utf-8").strip() or None
        except OSError:
            return None

    def build(
        self,
        progress: Progress | None = None,
        show_output: bool = False,
        *,
        is_cancelled: Callable[[], bool] = lambda: False,
        before_switch: Callable[[Environment], None] = lambda _new: None,
    ) -> Environment:
        """Build a new generation and make it the current one.

        While another process builds, waits and takes what that one built. ``progress`` gets a line for each step;
        ``show_output`` sends what uv says to stderr; ``before_switch`` gets the new one when it is whole, and not yet the
        current one. Raises :class:`EnvironmentBuildError`, and :class:`StorageError`
        if the folder cannot be used; whatever was current then still is.
        """
        build = _Build(self, progress, show_output=show_output, is_cancelled=is_cancelled, before_switch=before_switch)
        return build.run(self.current())

    def generations(self) -> list[str]:
        """The names of all generations there are, half-built ones included; the oldest first."""
        return sorted(path.name for path in self.root.glob("g-*") if _GENERATION.fullmatch(path.name))

    def remove_unused(self) -> list[str]:
        """Remove every generation but the current one that no process runs in; return their names.

        While somebody builds, or shortly after a switch, none is: a kernel may just be about to start in it.
        """
        if not self.root.is_dir():
            return []
        with contextlib.suppress(BlockingIOError), self._building_is_held_off():
            return self._remove_unused()
        return []

    def _remove_unused(self) -> list[str]:
        """As :meth:`remove_unused`, for the holder of the lock."""
        try:
            switched_at = (self.root / "current").lstat().st_mtime
            current = (self.root / "current").readlink().name
        except OSError:
            return []
        if time.time() - switched_at < SETTLING_S:
            return []
        folders = [self.root / name for name in self.generations() if name != current]
        return [folder.name for folder in folders if (folder / MANIFEST).exists() and _remove_if_unused(folder)]

    @contextlib.contextmanager
    def _building_is_held_off(self) -> Iterator[None]:
        lock = os.open(self.root / "build.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(lock)

    def ensure(self, progress: Progress | None = None, show_output: bool = False) -> Environment:
        """The current generation if it is fresh, else as :meth:`build`."""
        return self._fresh() or _Build(self, progress, show_output=show_output).run(None)

    async def ensure_async(self, progress: Progress | None = None) -> Environment:
        """As :meth:`ensure`, in a thread; ``progress`` is called in the loop. Cancelling it ends the build."""
        if environment := await asyncio.to_thread(self._fresh):
            return environment
        loop = asyncio.get_running_loop()

        def report(line: str) -> None:
            if progress is not None and not loop.is_closed():
                loop.call_soon_threadsafe(progress, line)

        return await in_thread(lambda is_cancelled: _Build(self, report, is_cancelled=is_cancelled).run(None))

    def _fresh(self) -> Environment | None:
        environment = self.current()
        return environment if environment and self.is_fresh(environment) else None


class _Build:
    """One building of one generation, from taking the lock to switching the link."""

    def __init__(
        self,
        environments: Environments,
        progress: Progress | None,
        *,
        show_output: bool = False,
        is_cancelled: Callable[[], bool] = lambda: False,
        before_switch: Callable[[Environment], None] = lambda _new: None,
    ) -> None:
        self._before_switch = before_switch
        self._environments = environments
        self._base = environments.base
        self._root = environments.root
        self._progress = progress or (lambda line: None)
        self._echo = sys.stderr if show_output else None
        self._is_cancelled = is_cancelled
        self._uv = Path()
        self._lock = -1

    def run(self, unwanted: Environment | None) -> Environment:
        """Build, unless another process left a fresh generation other than ``unwanted`` meanwhile."""
        with self._locked():
            made = self._environments.current()
            if made and made != unwanted and self._environments.is_fresh(made):
                return made
            self._uv = self._environments.uv or find_uv()
            return self._build(self._root / f"g-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}")

    def _build(self, target: Path) -> Environment:
        try:
            self._remove_half_built()
            self._environments._remove_unused()
            environment = self._fill(target)
            self._before_switch(environment)
            self._switch(target.name)
            (self._root / FAILURE).unlink(missing_ok=True)
        except BaseException as exc:
            shutil.rmtree(target, ignore_errors=True)
            self._note_failure(exc)
            if isinstance(exc, OSError):
                raise EnvironmentBuildError(_not_built(known_cause(str(exc)) or f"{exc}; look at {self._root}")) from exc
            raise
        return environment

    def _note_failure(self, exc: BaseException) -> None:
        if isinstance(exc, EnvironmentBuildError | OSError):
            with contextlib.suppress(OSError):
                write_atomic(self._root / FAILURE, f"{datetime.now(UTC).isoformat(timespec='seconds')} {exc}\n", mode=0o644)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self._root / "build.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            why = exc.strerror or str(exc)
            raise StorageError(f"{self._root}: {why}; set ENVIRONMENTS_DIR or DATA_DIR to a folder that can be written") from exc
        try:
            self._wait_for_lock()
            yield
        finally:
            os.close(self._lock)

    def _wait_for_lock(self) -> None:
        told = False
        while not self._try_lock():
            if not told:
                self._progress("another process builds the kernel environment: waiting for it")
                told = True
            if self._is_cancelled():
                raise Cancelled
            time.sleep(_LOCK_POLL_S)

    def _try_lock(self) -> bool:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as exc:
            raise StorageError(f"{self._root} cannot be locked ({exc.strerror}); set ENVIRONMENTS_DIR to a local disk") from exc
        return True

    def _remove_half_built(self) -> None:
        # Their builders are gone, or the lock would not be ours: uv inherits it.
        for folder in self._root.iterdir():
            if _GENERATION.fullmatch(folder.name) and not (folder / MANIFEST).exists():
                shutil.rmtree(folder, ignore_errors=True)

    def _fill(self, target: Path) -> Environment:
        self._progress(f"creating {target.name} with Python {sys.version_info.major}.{sys.version_info.minor}")
        self._run_uv("venv", "--quiet", "--no-project", "--python", _base_python(), str(target))
        python, options = str(target / "bin" / "python"), self._environments.uv_options
        self._progress(f"installing {len(self._base.requirements)} requirements and what they need")
        self._run_uv("pip", "install", "--python", python, "--compile-bytecode", "--no-build", *options, *self._base.requirements)
        self._progress("checking that it works")
        preload = self._warm_up(target)
        packages = sorted(line for line in self._freeze(python).splitlines() if "==" in line)
        write_atomic(target / LOCK, "".join(f"{line}\n" for line in packages), mode=0o644)
        manifest = {
            "requirements_digest": self._base.digest,
            "package_count": len(packages),
            "built_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "python_version": sys.version.split()[0],
            **asdict(self._base),
            "preload": preload,
        }
        (target / IN_USE).touch(mode=0o644)
        write_atomic(target / MANIFEST, json.dumps(manifest, indent=2) + "\n", mode=0o644)
        return Environment.from_root(target)

    def _freeze(self, python: str) -> str:
        return self._run_uv("pip", "freeze", "--quiet", "--python", python, aloud=False)

    def _run_uv(self, *arguments: str, aloud: bool = True) -> str:
        returncode, output = run_uv(
            self._uv,
            arguments,
            cwd=self._root,
            echo=self._echo if aloud else None,
            pass_fds=(self._lock,),
            is_cancelled=self._is_cancelled,
        )
        if returncode != 0:
            raise EnvironmentBuildError(_not_built(explain_failure(output, returncode)))
        return output

    def _warm_up(self, target: Path) -> list[str]:
        """What kernels should find imported; an environment that cannot import what it has to never becomes the current one."""
        try:
            return measure_preload(target / "bin" / "python", self._base.preload, self._base.warm_up, self._is_cancelled)
        except WarmUpError as exc:
            raise EnvironmentBuildError(_not_built(f"its packages do not import ({exc}); check the machine's libraries")) from exc

    def _switch(self, generation: str) -> None:
        link = self._root / f".current.{generation}"
        link.symlink_to(generation)
        try:
            link.replace(self._root / "current")
        except OSError:
            link.unlink(missing_ok=True)
            raise
        sync_folder(self._root)


def _remove_if_unused(folder: Path) -> bool:
    try:
        lock = os.open(folder / IN_USE, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False  # of a version that did not say who uses it
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (folder / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True


def _not_built(explanation: str) -> str:
    return f"kernel environment not built: {explanation}, {_AGAIN}"


def _base_python() -> str:
    base: str = getattr(sys, "_base_executable", None) or sys.executable
    return base


def _size_of(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(parent) / name).lstat().st_size
    return total
