"""Columnar files: Parquet, Feather (which is Arrow's file format), ORC and Avro."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from ..memory_errors import memory_left
from .exact import restore, suspects, to_integers
from .source import Source, Unreadable


def load_parquet(source: Source, **options: Any) -> Any:
    """A DataFrame. Options are those of ``pandas.read_parquet`` (``columns=``, ``filters=`` …).

    GeoParquet gives a GeoDataFrame.
    """
    import pandas as pd
    import pyarrow.parquet

    if not options and _is_geoparquet(source):
        import geopandas

        return geopandas.read_parquet(source.for_reader())
    _refuse_giant(source, options)
    frame = pd.read_parquet(source.for_reader(), **options)
    if {"dtype_backend", "filters"} & options.keys():
        return frame
    return _with_digits(frame, lambda names: pyarrow.parquet.read_table(source.for_reader(), columns=names))


def _with_digits(frame: Any, read: Callable[[list[str]], Any]) -> Any:
    """``frame``, its ids exact: of integers with gaps pandas makes floats, which have sixteen digits."""
    for position in suspects(frame):
        column = read([frame.columns[position]]).column(0)
        if str(column.type).startswith(("int", "uint")) and (exact := to_integers(column.to_pylist())) is not None:
            frame.isetitem(position, exact)
    return frame


def _refuse_giant(source: Source, options: dict[str, Any]) -> None:
    """Raise :class:`Unreadable` for what cannot fit: runs of one value take no room in the file and all the more in memory."""
    import pyarrow.parquet

    left = memory_left()
    if left is None or {"columns", "filters"} & options.keys():
        return
    metadata = pyarrow.parquet.read_metadata(source.for_reader())
    groups = [metadata.row_group(number) for number in range(min(metadata.num_row_groups, 10_000))]
    stored = sum(group.total_byte_size for group in groups)
    needed = max(stored, metadata.num_rows * metadata.num_columns * 8)
    if needed > left:
        size = f"its {metadata.num_rows:,} rows of {metadata.num_columns} columns take about {needed >> 20:,} MB"
        raise Unreadable(f"{size}, the kernel has {left >> 20:,} MB; columns=[…] or filters=… reads a part")


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
    return restore(pd.DataFrame(records), records)


def _checked(table: Any) -> Any:
    # Arrow trusts the offsets in a file: without this look at them, a damaged one could crash the kernel later on.
    import pyarrow

    try:
        table.validate(full=True)
    except pyarrow.ArrowInvalid as exc:
        raise Unreadable(f"it is damaged: {str(exc).splitlines()[0]}") from exc
    return _with_digits(table.to_pandas(), table.select)
