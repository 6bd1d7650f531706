"""Which distributions the code of a session needs, with the versions that it had."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions
from pathlib import Path, PurePosixPath

from kernel_manager.sessions.history import Cell
from notebooks_export.code import imported_names
from notebooks_export.surroundings import Installed, Requirement

#: What a kernel in a plain environment needs to run a notebook at all.
KERNEL = "ipykernel"

# What libraries import by themselves, when code calls these.
_ON_DEMAND = (
    ("matplotlib", re.compile(r"\.(?:plot|hist|boxplot)\b|%matplotlib\b")),
    ("openpyxl", re.compile(r"\.to_excel\(|\bExcelWriter\(|\.xls[xm]\b")),
    ("python-calamine", re.compile(r"calamine|\.xls\b")),
    ("pyarrow", re.compile(r"parquet|feather|pyarrow|\.orc\b", re.IGNORECASE)),
    ("lxml", re.compile(r"\bread_(?:html|xml)\(|\.to_xml\(")),
    ("jinja2", re.compile(r"\.style\b")),
    ("tabulate", re.compile(r"\.to_markdown\(")),
    ("xlsxwriter", re.compile(r"xlsxwriter", re.IGNORECASE)),
    ("sqlalchemy", re.compile(r"\.to_sql\(|\bread_sql")),
)
# What the stand-in for load_file opens files with, by extension.
_OPENERS = (
    ((".csv", ".tsv", ".jsonl", ".ndjson"), ("pandas",)),
    ((".xlsx", ".xlsm", ".xls", ".ods"), ("pandas", "python_calamine")),
    ((".parquet", ".feather"), ("pandas", "pyarrow")),
    ((".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp"), ("PIL",)),
)
_PINNED = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:==\s*([A-Za-z0-9][A-Za-z0-9.!+_-]*))?\s*")


def installed_in(folders: Iterable[Path]) -> Installed:
    """Read the distributions in ``site-packages`` folders; the first of two with one name counts."""
    modules: dict[str, list[str]] = {}
    versions: dict[str, str] = {}
    for distribution in distributions(path=[str(folder) for folder in folders if folder.is_dir()]):
        name = canonical(distribution.metadata["Name"] or "")
        if not name or name in versions:
            continue
        versions[name] = distribution.version
        for module in _modules_of(distribution):
            modules.setdefault(module, []).append(name)
    return Installed({module: tuple(names) for module, names in modules.items()}, versions)


def _modules_of(distribution: Distribution) -> set[str]:
    if declared := distribution.read_text("top_level.txt"):
        return set(declared.split())
    tops = set()
    for file in distribution.files or ():
        path = PurePosixPath(str(file))
        if path.suffix in (".py", ".so", ".pyd") and ".." not in path.parts:
            tops.add(path.parts[0].partition(".")[0])
    return tops


def canonical(name: str) -> str:
    """The name of a distribution as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def requirements_of(cells: Iterable[Cell], installed: Installed, extra_modules: Iterable[str] = ()) -> tuple[Requirement, ...]:
    """What the cells import, what their results say was installed for them, and what libraries need for it."""
    found: dict[str, Requirement] = {}
    modules = set(extra_modules)
    for cell in cells:
        modules |= imported_names(cell.code)
        for requirement in map(_pinned, cell.installed_packages):
            if requirement is not None:
                found[requirement.name] = installed.named(requirement.name) or requirement
        for name, sign in _ON_DEMAND:
            if sign.search(cell.code) and (requirement := installed.named(name)):
                found[name] = requirement
    for module in sorted(modules - sys.stdlib_module_names):
        found.update({requirement.name: requirement for requirement in installed.of_module(module)})
    return tuple(found[name] for name in sorted(found))


def modules_to_open(names: Iterable[str]) -> set[str]:
    """The modules that opening files of these names takes, where Threadbook's own ``load_file`` is not."""
    plain = [name.lower().removesuffix(".gz") for name in names]
    return {module for endings, modules in _OPENERS if any(name.endswith(endings) for name in plain) for module in modules}


def _pinned(text: str) -> Requirement | None:
    match = _PINNED.fullmatch(text[:200])
    return Requirement(canonical(match[1]), match[2]) if match else None
