"""Which packages may be installed: distributions, their import names and versions, and what to say of all others."""

from __future__ import annotations

import difflib
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

from kernel_manager.errors import SettingsError
from kernel_manager.packages.requirement import Requirement, normalised, parse_requirement

_MAX_FILE = 1_000_000
_LONGEST_SHOWN = 60
_NEAR = 0.72
#: What libraries call a package when they miss it, where that is neither its name nor an import name.
_ALIASES = {"pytables": "tables", "pyqt": "", "cv": "opencv-python-headless", "opencv": "opencv-python-headless"} | {
    "opencv-python": "opencv-python-headless",
    "opencv-contrib-python": "opencv-python-headless",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "pil": "pillow",
    "bs4": "beautifulsoup4",
    "yaml": "pyyaml",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "pptx": "python-pptx",
    "umap": "umap-learn",
    "fitz": "pymupdf",
}


@dataclass(frozen=True, slots=True)
class Approved:
    """One distribution: its normalised name, what it is imported by (dotted names), and the versions that may be installed.

    ``companions`` are approved distributions that come with it when a cell imports it.
    """

    name: str
    imports: tuple[str, ...]
    versions: str = ""
    companions: tuple[str, ...] = ()

    @property
    def requirement(self) -> str:
        """What the resolver is asked for."""
        return f"{self.name}{self.versions}"


class ApprovedPackages:
    """All of them, found by name or by import name."""

    def __init__(self, packages: Iterable[Approved]) -> None:
        self._by_name = {package.name: package for package in packages}
        self._by_import = {name: package for package in self._by_name.values() for name in package.imports}

    @classmethod
    def load(cls, addition: Path | None = None) -> ApprovedPackages:
        """Read ``approved.toml`` of this package, and an operator's file; raises SettingsError.

        The file adds entries, or replaces those of the same name; ``replace = true`` in it leaves out all built-in ones.
        """
        text = resources.files("kernel_manager.packages").joinpath("approved.toml").read_text(encoding="utf-8")
        builtin = _read(text, "approved.toml")
        if addition is None:
            return cls(builtin)
        try:
            if addition.stat().st_size > _MAX_FILE:
                raise SettingsError(f"APPROVED_PACKAGES: {addition} is larger than {_MAX_FILE // 1_000_000} MB; shorten it")
            own = addition.read_text(encoding="utf-8")
            replaces = tomllib.loads(own).get("replace") is True
        except (OSError, ValueError) as exc:
            raise SettingsError(f"APPROVED_PACKAGES: {addition} cannot be read ({exc}); correct or unset it") from exc
        return cls([*([] if replaces else builtin), *_read(own, str(addition))])

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Any:
        return iter(self._by_name.values())

    def named(self, name: str) -> Approved | None:
        """The distribution of that name, however it is spelled, or that people mean by it."""
        plain = normalised(name)
        return self._by_name.get(plain) or self._by_name.get(_ALIASES.get(plain, ""))

    def imported_as(self, module: str) -> Approved | None:
        """The distribution that a dotted name comes from: the one with the longest import name that it begins with."""
        found = self.import_name(module)
        return self._by_import[found] if found else None

    def import_name(self, module: str) -> str | None:
        """The import name that a dotted name begins with, or None."""
        parts = module.split(".")
        names = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
        return next((name for name in names if name in self._by_import), None)

    @cached_property
    def constraints(self) -> Mapping[str, str]:
        """Requirement texts by name: no package, wanted or only needed by one that is, gets another version."""
        return {package.name: package.requirement for package in self._by_name.values() if package.versions}

    # --- what to say ----------------------------------------------------------------------------------------------

    def advice(self, module: str) -> str:
        """What to do about a module that is not there and does not come from an approved distribution; one line."""
        top = module.partition(".")[0]
        shown = _shown(top)
        if (package := self.named(top)) is not None:
            return f"there is no module {shown}: the package {package.name} is imported as `{package.imports[0]}`"
        near = difflib.get_close_matches(top.lower(), {name.lower(): name for name in self._names_of_modules}, n=1, cutoff=_NEAR)
        if near:
            return f"there is no module {shown}; did you mean `{self._spelled(near[0])}`?"
        return f"there is no module {shown}, and no approved package has one; do without it, or ask the operator to approve it"

    def refusal(self, wanted: str) -> str:
        """Why something that ``pip install`` was asked for is not installed; one line."""
        requirement = parse_requirement(wanted)
        shown = _shown(wanted)
        if requirement is None:
            return f"{shown} was not installed: only names of approved packages can be, no addresses, paths or options"
        near = difflib.get_close_matches(requirement.name, self._by_name, n=1, cutoff=_NEAR)
        hint = f"did you mean {near[0]}?" if near else "do without it, or ask the operator to approve it"
        return f"{shown} was not installed: it is not an approved package; {hint}"

    def requirement_of(self, wanted: str) -> tuple[Approved, Requirement] | None:
        """The approved distribution that ``pip install`` is asked for, and how; None if it is none."""
        requirement = parse_requirement(wanted)
        package = self.named(requirement.name) if requirement is not None else None
        return (package, requirement) if package is not None and requirement is not None else None

    @property
    def _names_of_modules(self) -> list[str]:
        return [*self._by_import, *sys.stdlib_module_names]

    def _spelled(self, lowered: str) -> str:
        return next(name for name in self._names_of_modules if name.lower() == lowered)


def _shown(text: str) -> str:
    plain = "".join(character if character.isprintable() else "?" for character in text)
    return repr(plain if len(plain) <= _LONGEST_SHOWN else f"{plain[:_LONGEST_SHOWN]}…")


def _read(text: str, where: str) -> list[Approved]:
    try:
        table = tomllib.loads(text).get("packages", {})
        return [_entry(name, entry) for name, entry in table.items()]
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        raise SettingsError(f'{where}: {exc}; an entry is NAME = {{ imports = ["module"], versions = ">=1,<2" }}') from exc


def _entry(name: str, entry: Mapping[str, Any]) -> Approved:
    versions = str(entry.get("versions", ""))
    requirement = parse_requirement(f"{name}{versions}")
    if requirement is None or requirement.extras:
        raise ValueError(f"{name!r} with versions {versions!r} is no requirement")
    imports = entry["imports"]
    if not isinstance(imports, list) or not imports or not all(_is_dotted(item) for item in imports):
        raise ValueError(f"the imports of {name!r} are not a list of module names")
    companions = entry.get("with", [])
    if not isinstance(companions, list) or not all(isinstance(item, str) for item in companions):
        raise ValueError(f"what {name!r} comes with is not a list of names")
    return Approved(requirement.name, tuple(imports), requirement.versions, tuple(map(normalised, companions)))


def _is_dotted(name: object) -> bool:
    return isinstance(name, str) and all(part.isidentifier() for part in name.split("."))
