"""What a session holds: its variables by name, type and shape, without running any code of the user's."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

MAX_VARIABLES = 100
MAX_NAME = 100
MAX_COLUMNS = 30
#: Packages whose objects may be asked for their shape: their properties are no code of the user's.
KNOWN = ("numpy", "pandas", "polars", "pyarrow", "scipy", "torch", "xarray")
#: Types whose values are told, too: that runs no code of the user's. Texts are not among them: one may be a password.
PLAIN = (int, float, complex, bool, type(None))
MAX_BITS = 256
SIZED = (str, bytes, bytearray, list, tuple, dict, set, frozenset, range)


def variables(namespace: Mapping[str, Any], hidden: Mapping[str, Any]) -> dict[str, Any]:
    """List what the user made: the last ones, oldest first, and how many there are in all."""
    names = [name for name, value in namespace.items() if _is_of_user(name, value, hidden)]
    return {"variables": [_described(name, namespace[name]) for name in names[-MAX_VARIABLES:]], "total": len(names)}


def _is_of_user(name: Any, value: Any, hidden: Mapping[str, Any]) -> bool:
    if not isinstance(name, str) or name.startswith("_") or isinstance(value, types.ModuleType):
        return False
    return name not in hidden or hidden[name] is not value


def _described(name: str, value: Any) -> dict[str, Any]:
    kind = type(value)
    found: dict[str, Any] = {"name": name[:MAX_NAME], "type": kind.__name__[:MAX_NAME], "shape": None, "columns": None}
    if kind in PLAIN:
        found["value"] = _value(value)
    if kind in SIZED:
        found["shape"] = [len(value)]
    elif str(kind.__module__).partition(".")[0] in KNOWN:
        found["shape"] = _shape(value)
        found["columns"] = _columns(value)
    return found


def _value(value: Any) -> str | None:
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        return None
    return repr(value)


def _shape(value: Any) -> list[int] | None:
    try:
        return [int(size) for size in value.shape][:8]
    except Exception:  # noqa: BLE001  (an object without a shape is listed without one)
        return None


def _columns(value: Any) -> list[str] | None:
    if type(value).__name__ != "DataFrame":
        return None
    try:
        return [str(column)[:MAX_NAME] for column in list(value.columns)[:MAX_COLUMNS]]
    except Exception:  # noqa: BLE001  (as above)
        return None
