"""R's own files."""

from __future__ import annotations

from typing import Any

from .source import Source, Unreadable


def load_r(source: Source) -> Any:
    """What is in it: an ``.rds`` gives its object, an ``.rda`` its objects by name; data frames become DataFrames."""
    import rdata

    data = source.read()
    parsed = rdata.parser.parse_data(data)
    content = rdata.conversion.convert(parsed)
    if isinstance(content, dict) and not content:
        raise Unreadable("it holds no objects")
    return content
