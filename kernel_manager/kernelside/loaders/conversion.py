"""A DataFrame of what a loader gave, for ``as_='table'``."""

from __future__ import annotations

from typing import Any

from .source import Source, Unreadable


def to_table(source: Source, content: Any) -> Any:
    """``content`` as a DataFrame. Raises :class:`Unreadable` if there is no table in it."""
    import pandas as pd

    if isinstance(content, pd.DataFrame):
        return content
    if isinstance(content, dict) and content and all(isinstance(value, pd.DataFrame) for value in content.values()):
        return _first(source, {str(name): frame for name, frame in content.items()})
    if tables := getattr(content, "tables", None):
        return _first(source, {str(number): frame for number, frame in enumerate(tables, 1)})
    if (members := getattr(content, "members", None)) is not None:
        return members
    for method in ("to_pandas", "to_dataframe"):
        if hasattr(content, method):
            return getattr(content, method)()
    return _of_values(content)


def _of_values(content: Any) -> Any:
    import pandas as pd

    shape = getattr(content, "shape", None)
    if shape is not None and len(shape) <= 2:
        return pd.DataFrame(content if shape else [content])
    if isinstance(content, dict):
        return pd.json_normalize(content)
    if isinstance(content, list):
        return pd.json_normalize(content) if all(isinstance(item, dict) for item in content) else pd.DataFrame({"value": content})
    raise Unreadable("it holds no table; without as_='table' it opens as what it is")


def _first(source: Source, tables: dict[str, Any]) -> Any:
    name, frame = next(iter(tables.items()))
    if len(tables) > 1:
        source.note(f"this is table {name!r} of {len(tables)}; without as_='table' all of them come")
    return frame
