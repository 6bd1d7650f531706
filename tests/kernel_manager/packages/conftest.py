"""A small world of packages: an environment with one of them, and a folder of wheels that is the only place where uv looks."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from kernel_manager.packages.approved import Approved, ApprovedPackages
from kernel_manager.packages.desk import PackageDesk
from kernel_manager.packages.installer import Installer, InstallLimits, Wanted
from kernel_manager.packages.overlay import Overlay
from kernel_manager.packages.uv import PackageSource
from tests.wheels import make_wheel

GENERATION = "g-20260101T000000-abcdef"
LIMITS = InstallLimits(max_bytes=10_000_000, timeout=60)


@dataclass
class World:
    """See the module."""

    folder: Path
    approved: ApprovedPackages

    @property
    def wheels(self) -> Path:
        return self.folder / "wheels"

    @property
    def environments(self) -> Path:
        return self.folder / "environments"

    @property
    def source(self) -> PackageSource:
        return PackageSource(("--offline", "--no-index", "--find-links", str(self.wheels)))

    def add_generation(self, name: str, **versions: str) -> None:
        """An environment: a Python, the modules of ``versions``, and the lock that says so."""
        root = self.environments / name
        (root / "bin").mkdir(parents=True)
        (root / "bin" / "python").symlink_to(sys.executable)
        site = root / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
        site.mkdir(parents=True)
        for module in versions:
            (site / f"{module}.py").touch()
        (root / "requirements.lock").write_text("".join(f"{module}=={version}\n" for module, version in versions.items()))

    def installer(self, **changes: object) -> Installer:
        return Installer(self.environments, self.approved, replace(LIMITS, **changes), self.source)  # type: ignore[arg-type]

    def desk(self) -> PackageDesk:
        return PackageDesk(self.folder / "overlays", self.environments, self.approved, LIMITS, self.source)

    def overlay(self, user: str = "ada", generation: str = GENERATION) -> Overlay:
        overlay = Overlay(self.folder / "overlays" / user / generation)
        overlay.prepare()
        return overlay

    def wanted(self, *texts: str) -> list[Wanted]:
        found = [self.approved.requirement_of(text) for text in texts]
        return [Wanted(*item) for item in found if item is not None]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("PIP_FIND_LINKS", "UV_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    names = ("tiny", "needs-tiny", "needs-old", "core", "big", "both", "space-one", "absent", "halfway")
    packages = [Approved(name, (name.replace("-", "_"),)) for name in names if name != "space-one"]
    packages += [Approved("space-one", ("space.one",)), Approved("ranged", ("ranged",), ">=1,<2")]
    made = World(tmp_path, ApprovedPackages(packages))
    made.wheels.mkdir()
    made.add_generation(GENERATION, core="2.0")
    make_wheel(made.wheels, "tiny")
    make_wheel(made.wheels, "core", version="1.0")
    make_wheel(made.wheels, "core", version="2.0")
    make_wheel(made.wheels, "core", version="3.0")
    make_wheel(made.wheels, "needs-tiny", requires=["tiny", "core>=1"])
    make_wheel(made.wheels, "needs-old", requires=["core<2"])
    make_wheel(made.wheels, "ranged", version="1.5")
    make_wheel(made.wheels, "ranged", version="2.5")
    make_wheel(made.wheels, "both", requires=["ranged"])
    make_wheel(made.wheels, "big", f"DATA = {'x' * 100_000!r}\n")
    make_wheel(made.wheels, "space-one", files={"space/one/__init__.py": "", "space/one/part.py": ""})
    return made
