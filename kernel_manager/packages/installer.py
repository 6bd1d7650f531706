"""Installs approved packages into a user's overlay: what is missing, in versions that go with the environment's, or nothing.

Everything is done in a folder that no kernel sees, and shown by one rename. uv asks its cache first, so what is there
needs no network.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kernel_manager.errors import PackageInstallError, PackageRefusedError, StorageError
from kernel_manager.packages.approved import Approved, ApprovedPackages
from kernel_manager.packages.overlay import Overlay, OverlayContent, add_links, size_of
from kernel_manager.packages.requirement import Requirement, normalised
from kernel_manager.packages.uv import Cancelled, PackageSource, find_uv, innermost_cause, known_cause, run_uv

Progress = Callable[[str], None]

#: Seconds for which an index that could not be reached is not asked again.
OUTAGE_S = 60.0
#: An index that does not answer is given up soon; the operator's own variables come first.
_IMPATIENT = {"UV_HTTP_CONNECT_TIMEOUT": "5", "UV_HTTP_TIMEOUT": "15", "UV_HTTP_RETRIES": "1"}
#: Seconds for which versions are looked for in the index; nothing large is downloaded then.
RESOLVING_LIMIT_S = 20.0
_NO_ANSWER = "the package index does not answer; check the network, HTTPS_PROXY and UV_DEFAULT_INDEX"
_UNREACHABLE = "index cannot be reached"
_MAX_WANTED = 50
_LONGEST_REASON = 400


@dataclass(frozen=True, slots=True)
class Wanted:
    """A package to install: what is approved, and how it was asked for."""

    package: Approved
    requirement: Requirement

    @classmethod
    def plainly(cls, package: Approved) -> Wanted:
        """The package in whatever approved version fits."""
        return cls(package, Requirement(package.name))

    @property
    def lines(self) -> tuple[str, ...]:
        """What the resolver is asked for: the approved versions, and those that were asked for."""
        name = f"{self.package.name}[{self.requirement.extras}]" if self.requirement.extras else self.package.name
        return tuple(dict.fromkeys((f"{name}{self.package.versions}", f"{name}{self.requirement.versions}")))

    @property
    def text(self) -> str:
        """What to write down so that it can be asked for again."""
        return str(Requirement(self.package.name, self.requirement.extras, self.requirement.versions))


@dataclass(frozen=True, slots=True)
class Installation:
    """What came of an installation: the packages that were asked for, and all that was added, by name with its version."""

    requested: tuple[str, ...]
    added: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InstallLimits:
    """Bounds of an installation: bytes of one overlay, seconds of one installation. ``link_mode`` is uv's."""

    max_bytes: int
    timeout: float
    link_mode: str = "copy"


class Installer:
    """Installs into overlays of one environments folder. Used from threads; ``clock`` counts seconds."""

    def __init__(
        self,
        environments: Path,
        approved: ApprovedPackages,
        limits: InstallLimits,
        source: PackageSource | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environments = environments
        self._approved = approved
        self._limits = limits
        self._source = source or PackageSource()
        self._clock = clock
        self._outage: tuple[float, str] | None = None

    def install(
        self,
        overlay: Overlay,
        wanted: Sequence[Wanted],
        progress: Progress = lambda _line: None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> Installation:
        """Add to an overlay what it and its environment lack of ``wanted``.

        Raises PackageRefusedError when that cannot be, PackageInstallError when it could not be done this time, StorageError,
        and Cancelled; then the overlay is as it was.
        """
        if len(wanted) > _MAX_WANTED:
            raise PackageRefusedError(f"{len(wanted)} packages at once are too many; ask for {_MAX_WANTED} at most")
        names = _listed(item.package.name for item in wanted)
        deadline = self._clock() + self._limits.timeout

        def is_over() -> bool:
            if is_cancelled():
                return True
            if self._clock() >= deadline:
                raise PackageInstallError(f"{names} not installed: it took longer than {self._limits.timeout:g} s; try again")
            return False

        progress(f"looking for {names}")
        try:
            with overlay.locked(is_over) as lock, tempfile.TemporaryDirectory(prefix="tb-uv-") as folder:
                work = _Work(self, overlay, names, Path(folder), lock, is_over, progress)
                return work.run(wanted)
        except OSError as exc:
            reason = known_cause(str(exc)) or f"{exc.strerror or exc}; check DATA_DIR and free space"
            raise StorageError(f"{names} not installed: {reason}") from exc

    def base_versions(self, generation: str) -> dict[str, str]:
        """Every package of an environment with its version; raises PackageInstallError if it is gone."""
        return dict(self._base(generation))

    def _base(self, generation: str) -> Iterable[tuple[str, str]]:
        try:
            lines = (self._environments / generation / "requirements.lock").read_text(encoding="utf-8").splitlines()
        except OSError as exc:
            raise PackageInstallError(
                f"the kernel environment {generation} is gone; restart the session to use the present one"
            ) from exc
        return _pins(lines)


class _Work:
    """One installation, by the holder of the overlay's lock."""

    def __init__(
        self,
        installer: Installer,
        overlay: Overlay,
        names: str,
        folder: Path,
        lock: int,
        is_over: Callable[[], bool],
        progress: Progress,
    ) -> None:
        self._installer = installer
        self._overlay = overlay
        self._names = names
        self._folder = folder
        self._lock = lock
        self._is_over = is_over
        self._progress = progress
        self._python = installer._environments / overlay.folder.name / "bin" / "python"

    def run(self, wanted: Sequence[Wanted]) -> Installation:
        base = self._installer.base_versions(self._overlay.folder.name)
        before = self._overlay.content()
        resolved = self._resolve(wanted, {**before.packages, **base})
        added = {name: version for name, version in resolved.items() if name not in base and name not in before.packages}
        requested = tuple(dict.fromkeys(item.package.name for item in wanted))
        if added:
            self._progress(f"installing {_listed(f'{name} {version}' for name, version in added.items())}")
            self._fill(added, before, [item.text for item in wanted])
        return Installation(requested, added)

    def _resolve(self, wanted: Sequence[Wanted], pinned: Mapping[str, str]) -> dict[str, str]:
        """Every package that is needed, with a version that goes with all that is there already."""
        approved = {name: text for name, text in self._installer._approved.constraints.items() if name not in pinned}
        constraints = [*(f"{name}=={version}" for name, version in pinned.items()), *approved.values()]
        asked, bounds, answer = (self._folder / name for name in ("asked.in", "bounds.txt", "answer.txt"))
        asked.write_text("".join(f"{line}\n" for item in wanted for line in item.lines), encoding="utf-8")
        bounds.write_text("".join(f"{line}\n" for line in constraints), encoding="utf-8")
        self._uv(
            RESOLVING_LIMIT_S,
            *("pip", "compile", "--quiet", "--no-header", "--no-annotate", "--no-build"),
            *("--python", str(self._python), "--constraints", str(bounds), "--output-file", str(answer), str(asked)),
        )
        return dict(_pins(answer.read_text(encoding="utf-8").splitlines()))

    def _fill(self, added: Mapping[str, str], before: OverlayContent, asked: Sequence[str]) -> None:
        version = self._overlay.new_version()
        try:
            self._uv(
                None,
                *("pip", "install", "--target", str(version), "--no-deps", "--no-build", "--compile-bytecode"),
                *("--python", str(self._python), "--link-mode", self._installer._limits.link_mode),
                *(f"{name}=={number}" for name, number in added.items()),
            )
            (version / ".lock").unlink(missing_ok=True)
            if self._overlay.current.exists():
                add_links(self._overlay.current.resolve(), version)
            size = size_of(version)
            if size > self._installer._limits.max_bytes:
                raise PackageRefusedError(
                    f"{self._names} not installed: with it, your packages would take {size / 2**20:,.0f} MB of the "
                    f"{self._installer._limits.max_bytes / 2**20:,.0f} MB allowed (MAX_PACKAGES_MB); "
                    "`threadbook packages reset` removes those that are there"
                )
            requested = tuple(dict.fromkeys((*before.requested, *asked)))
            OverlayContent(requested, {**before.packages, **added}, size).write(version)
            if self._is_over():
                raise Cancelled
            self._overlay.switch(version)
        except BaseException:
            shutil.rmtree(version, ignore_errors=True)
            raise

    # --- uv -------------------------------------------------------------------------------------------------------

    def _uv(self, limit: float | None, *arguments: str) -> None:
        """Run uv on its cache; only if that is not enough, let it use the network, for at most ``limit`` seconds."""
        options = self._installer._source.options
        status, output = self._run(None, *arguments, *options, *(() if "--offline" in options else ("--offline",)))
        if status and "--offline" not in options:
            self._check_outage()
            status, output = self._run(limit, *arguments, *options)
        if status:
            raise self._failure(output, status)

    def _run(self, limit: float | None, *arguments: str) -> tuple[int, str]:
        clock = self._installer._clock
        until = None if limit is None else clock() + limit

        def is_over() -> bool:
            if until is not None and clock() >= until:
                self._installer._outage = (clock(), _NO_ANSWER)
                self._check_outage()
            return self._is_over()

        return run_uv(
            self._installer._source.uv or find_uv(),
            arguments,
            cwd=self._folder,
            pass_fds=(self._lock,),
            is_cancelled=is_over,
            extra_environ=_IMPATIENT,
        )

    def _check_outage(self) -> None:
        outage = self._installer._outage
        if outage is not None and self._installer._clock() < outage[0] + OUTAGE_S:
            raise PackageInstallError(f"{self._names} not installed: {outage[1]}")

    def _failure(self, output: str, status: int) -> Exception:
        if known := known_cause(output):
            if _UNREACHABLE in known:
                self._installer._outage = (self._installer._clock(), known)
            return PackageInstallError(f"{self._names} not installed: {known}")
        reason = innermost_cause(output)[:_LONGEST_REASON]
        if status < 0 or not reason:
            return PackageInstallError(f"{self._names} not installed: uv ended with status {status}; try again")
        return PackageRefusedError(f"{self._names} not installed: {reason}; versions that are there already stay")


def _pins(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        name, equals, version = line.partition("==")
        if equals:
            yield normalised(name.strip()), version.split(";")[0].strip()


def _listed(names: Iterable[str], most: int = 5) -> str:
    every = list(dict.fromkeys(names))
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return f"{', '.join(every[:most])}{more}"
