"""What a kernel says that it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_VARIABLES = 100
MAX_COLUMNS = 30
MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the session. ``shape`` is None if it has none or is not known; ``columns`` are those of a DataFrame.

    ``value`` is that of a number, of True, False or None, as code.
    """

    name: str
    type: str
    shape: tuple[int, ...] | None = None
    columns: tuple[str, ...] = ()
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Variables:
    """The last variables that were made, oldest first; ``total`` is how many there are."""

    listed: tuple[Variable, ...]
    total: int

    @classmethod
    def of(cls, reply: Mapping[str, Any]) -> Variables:
        """Read a kernel's reply, which may say anything: what makes no sense is left out."""
        given = reply.get("variables")
        listed = [_variable(entry) for entry in given[:MAX_VARIABLES]] if isinstance(given, list) else []
        found = tuple(variable for variable in listed if variable is not None)
        total = reply.get("total")
        return cls(found, max(len(found), total) if isinstance(total, int) else len(found))


def _variable(entry: Any) -> Variable | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not isinstance(entry.get("type"), str):
        return None
    shape, columns, value = entry.get("shape"), entry.get("columns"), entry.get("value")
    return Variable(
        name=_line(entry["name"]),
        type=_line(entry["type"]),
        shape=tuple(size for size in shape[:8] if isinstance(size, int)) if isinstance(shape, list) else None,
        columns=tuple(_line(column) for column in columns[:MAX_COLUMNS] if isinstance(column, str))
        if isinstance(columns, list)
        else (),
        value=_line(value) if isinstance(value, str) else None,
    )


def _line(text: str) -> str:
    return " ".join(text[:MAX_NAME].split())
