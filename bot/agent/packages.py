"""The packages that a model is told of: those that people ask for by name, not all that these need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kernel_manager.interpreter import Interpreter
from kernel_manager.packages.base import Base
from kernel_manager.packages.environments import Environment
from kernel_manager.packages.requirement import parse_requirement

#: Of those that can be installed, the ones that are told of first.
_BEST_KNOWN = (
    *("scikit-learn", "statsmodels", "sympy", "plotly", "altair", "polars", "duckdb", "lightgbm", "xgboost", "nltk", "rapidfuzz"),
    *("opencv-python-headless", "scikit-image", "wordcloud", "lifelines", "prophet"),
)
_PLUMBING = frozenset({"ipykernel"})


@dataclass(frozen=True, slots=True)
class PackageNames:
    """``there``: what kernels have, with the versions that code depends on most. ``installable``: names, the best known first."""

    there: tuple[str, ...] = ()
    installable: tuple[str, ...] = ()


class PackageList:
    """Tells which packages the kernels of an interpreter have and may get, also after the environment was renewed."""

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        self._known: tuple[str, PackageNames] | None = None

    def __call__(self) -> PackageNames:
        """Return the names; only those that may be installed before there is an environment."""
        environment = self._interpreter.environments.current()
        generation = environment.generation if environment is not None else ""
        if self._known is None or self._known[0] != generation:
            versions = _versions(environment) if environment is not None else {}
            approved = (package.name for package in self._interpreter.packages.approved)
            self._known = generation, name_packages(versions, approved)
        return self._known[1]


def _versions(environment: Environment) -> dict[str, str]:
    try:
        return read_lock(environment.lock.read_text("utf-8"))
    except OSError:  # it was replaced and removed a moment ago
        return {}


def name_packages(versions: Mapping[str, str], approved: Iterable[str]) -> PackageNames:
    """Choose from everything that is installed, by name and version, and everything that may be."""
    main, wanted = (_names(Base.load(profile).requirements) for profile in ("minimal", "full"))
    there = [f"{name} {_minor(versions[name])}" if name in main else name for name in wanted if name in versions]
    left = [name for name in approved if name not in versions]
    known = [name for name in _BEST_KNOWN if name in left]
    return PackageNames(tuple(there), (*known, *(name for name in left if name not in known)))


def read_lock(text: str) -> dict[str, str]:
    """Return the versions by name that a file of pinned requirements has."""
    pins = (line.partition("==") for line in text.splitlines() if "==" in line and not line.lstrip().startswith(("#", "-")))
    return {name.strip(): version.split()[0] for name, _, version in pins if version.strip()}


def _names(requirements: Iterable[str]) -> list[str]:
    parsed = map(parse_requirement, requirements)
    return [requirement.name for requirement in parsed if requirement is not None and requirement.name not in _PLUMBING]


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
