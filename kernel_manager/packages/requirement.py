"""A package as a person asks for it: a name, extras and versions, and nothing that could lead elsewhere. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LONGEST = 200
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?"
_VERSION = r"(?:==|>=|<=|~=|!=|<|>)\s*[A-Za-z0-9][A-Za-z0-9.*+!_-]{0,40}"
_REQUIREMENT = re.compile(
    rf"(?P<name>{_NAME})\s*(?:\[(?P<extras>{_NAME}(?:\s*,\s*{_NAME}){{0,9}})\])?\s*"
    rf"(?P<versions>{_VERSION}(?:\s*,\s*{_VERSION}){{0,5}})?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Requirement:
    """``name`` is normalised; ``extras`` and ``versions`` (such as ``>=1,<2``) are empty when nothing was asked for."""

    name: str
    extras: str = ""
    versions: str = ""

    def __str__(self) -> str:
        extras = f"[{self.extras}]" if self.extras else ""
        return f"{self.name}{extras}{self.versions}"


def normalised(name: str) -> str:
    """The one spelling of a distribution's name: ``Scikit_Learn`` is ``scikit-learn``."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse_requirement(text: str) -> Requirement | None:
    """Read ``name[extras]>=1,<2``; None for anything else: addresses, paths, options, markers, other characters."""
    text = text.strip()
    match = _REQUIREMENT.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        return None
    compact = {key: re.sub(r"\s+", "", match[key] or "") for key in ("extras", "versions")}
    return Requirement(normalised(match["name"]), **compact)
