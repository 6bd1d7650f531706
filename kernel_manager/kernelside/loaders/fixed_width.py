"""Tables whose columns have a fixed width."""

from __future__ import annotations

import io
from typing import Any

from .source import Source, Unreadable


def load_fixed_width(source: Source, **options: Any) -> Any:
    """A DataFrame. Options are those of ``pandas.read_fwf`` (``colspecs=``, ``widths=``…)."""
    import pandas as pd

    text = source.text()
    if not text.strip():
        raise Unreadable("it is empty")
    try:
        return pd.read_fwf(io.StringIO(text), **options)
    except pd.errors.EmptyDataError as exc:
        raise Unreadable("it holds no table") from exc
