"""Columnar files: Parquet and Feather, which is Arrow's file format."""

from __future__ import annotations

from typing import Any

from .source import Source


def load_parquet(source: Source, **options: Any) -> Any:
    """A DataFrame. Options are those of ``pandas.read_parquet`` (``columns=``, ``filters=`` …)."""
    import pandas as pd

    return pd.read_parquet(source.for_reader(), **options)


def load_feather(source: Source, **options: Any) -> Any:
    """A DataFrame. Options are those of ``pandas.read_feather``. An Arrow stream without the file's frame opens too."""
    import pandas as pd

    if source.head.startswith((b"ARROW1", b"FEA1")):
        return pd.read_feather(source.for_reader(), **options)
    import pyarrow.ipc

    with pyarrow.ipc.open_stream(source.for_reader()) as stream:
        return stream.read_pandas(**options)
