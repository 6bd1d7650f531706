"""What an error says is missing. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_MAX_TEXT = 5_000
_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_NO_MODULE = re.compile(rf"No module named ['\"]?({_NAME})")
_CANNOT_IMPORT = re.compile(rf"cannot import name ['\"](\w+)['\"] from ['\"]({_NAME})['\"]")
#: How libraries name a package that they would like to have; pandas has two ways.
_HINTS = (
    re.compile(rf"Missing optional dependency ['\"]({_NAME})['\"]"),
    re.compile(rf"`Import ({_NAME})` failed"),
    re.compile(rf"\b(?:pip|conda|mamba) install (?:-\S+ )*[`'\"]?({_NAME})"),
    re.compile(rf"\bneeds the (?:package|library) [`'\"]?({_NAME})"),
)
_IMPORT_ERRORS = frozenset(("ModuleNotFoundError", "ImportError"))
_ABOUT_PACKAGES = re.compile(r"Import|Dependenc|Missing|Librar|Backend|NotInstalled")


@dataclass(frozen=True, slots=True)
class Lack:
    """What was missing: ``modules`` are dotted names to try in turn, ``names`` are what a library called the package."""

    modules: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


def read_lack(ename: str, evalue: str) -> Lack | None:
    """What an error is about, or None if it is not about a missing package."""
    text = evalue[:_MAX_TEXT]
    if ename not in _IMPORT_ERRORS and not _ABOUT_PACKAGES.search(ename):
        return None
    if match := _NO_MODULE.search(text):
        return Lack(modules=(match[1],))
    if match := _CANNOT_IMPORT.search(text):
        return Lack(modules=(f"{match[2]}.{match[1]}", match[2]))
    names = tuple(match[1].rstrip(".") for hint in _HINTS if (match := hint.search(text)))
    return Lack(names=names) if names else None


def last_error(outputs: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """The error that ended a cell, if its outputs have one."""
    return next((output for output in reversed(outputs) if output.get("output_type") == "error"), None)
