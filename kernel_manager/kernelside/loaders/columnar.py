"""Columnar files: Parquet, Feather (which is Arrow's file format), ORC and Avro."""

from __future__ import annotations

import io
from typing import Any

from .source import Source, Unreadable


def load_parquet(source: Source, **options: Any) -> Any:
    """A DataFrame. Options are those of ``pandas.read_parquet`` (``columns=``, ``filters=`` …).

    GeoParquet gives a GeoDataFrame.
    """
    import pandas as pd

    if not options and _is_geoparquet(source):
        import geopandas

        return geopandas.read_parquet(source.for_reader())
    return pd.read_parquet(source.for_reader(), **options)


def _is_geoparquet(source: Source) -> bool:
    import pyarrow.parquet

    return b"geo" in (pyarrow.parquet.read_schema(source.for_reader()).metadata or {})


def load_feather(source: Source, **options: Any) -> Any:
    """A DataFrame. Options are those of ``pandas.read_feather``. An Arrow stream without the file's frame opens too."""
    import pandas as pd
    import pyarrow.ipc

    if source.head.startswith(b"FEA1") or options:
        return pd.read_feather(source.for_reader(), **options)
    if source.head.startswith(b"ARROW1"):
        with pyarrow.ipc.open_file(source.for_reader()) as file:
            return _checked(file.read_all())
    with pyarrow.ipc.open_stream(source.for_reader()) as stream:
        return _checked(stream.read_all())


def load_orc(source: Source, **options: Any) -> Any:
    """A DataFrame. Options are those of ``pyarrow.orc.read_table`` (``columns=``)."""
    import pyarrow.orc

    return _checked(pyarrow.orc.read_table(io.BytesIO(source.read()), **options))


def load_avro(source: Source, **options: Any) -> Any:
    """A DataFrame, one row for each record. Options are those of ``fastavro.reader``."""
    import fastavro
    import pandas as pd

    records = list(fastavro.reader(io.BytesIO(source.read()), **options))
    return pd.DataFrame(records)


def _checked(table: Any) -> Any:
    # Arrow trusts the offsets in a file: without this look at them, a damaged one could crash the kernel later on.
    import pyarrow

    try:
        table.validate(full=True)
    except pyarrow.ArrowInvalid as exc:
        raise Unreadable(f"it is damaged: {str(exc).splitlines()[0]}") from exc
    return table.to_pandas()
