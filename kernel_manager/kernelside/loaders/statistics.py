"""Data of statistics packages: SPSS, Stata, SAS, dBase, Weka."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from .source import Source


def load_spss(source: Source, **options: Any) -> Any:
    """A DataFrame, its labels in ``.attrs``. Options are those of ``pyreadstat.read_sav`` (``apply_value_formats=`` …)."""
    if source.head.startswith(b"SR\0"):
        from .arrays import load_idl

        return load_idl(source, **options)
    import pyreadstat

    return _labelled(source, pyreadstat.read_sav, ".sav", options)


def load_spss_portable(source: Source, **options: Any) -> Any:
    """A DataFrame. Options are those of ``pyreadstat.read_por``."""
    import pyreadstat

    return _labelled(source, pyreadstat.read_por, ".por", options)


def load_sas(source: Source, **options: Any) -> Any:
    """A DataFrame. Options are those of ``pyreadstat.read_sas7bdat``."""
    import pyreadstat

    return _labelled(source, pyreadstat.read_sas7bdat, ".sas7bdat", options)


def load_sas_transport(source: Source, **options: Any) -> Any:
    """A DataFrame. Options are those of ``pyreadstat.read_xport``."""
    import pyreadstat

    return _labelled(source, pyreadstat.read_xport, ".xpt", options)


def load_stata(source: Source, **options: Any) -> Any:
    """A DataFrame. Options are those of ``pandas.read_stata``."""
    import pandas as pd

    return pd.read_stata(io.BytesIO(source.read()), **options)


def load_dbase(source: Source, **options: Any) -> Any:
    """A DataFrame without deleted records. Options are those of ``dbfread.DBF`` (``encoding=`` …)."""
    import dbfread
    import pandas as pd

    with source.file(".dbf") as path:
        table = dbfread.DBF(path, **{"ignore_missing_memofile": True, "char_decode_errors": "replace", **options})
        promised = table.header.numrecords
        frame = pd.DataFrame(iter(table), columns=table.field_names)
        kept = len(frame) + len(table.deleted)
    if kept < promised:
        source.note(f"its header promises {promised} records and it has {kept}: the file may be cut off")
    return frame


def load_arff(source: Source) -> Any:
    """A DataFrame; nominal attributes are categories."""
    import pandas as pd
    from scipy.io import arff

    data, meta = arff.loadarff(io.StringIO(source.text()))
    frame = pd.DataFrame(data)
    for name, kind in zip(meta.names(), meta.types(), strict=True):
        if kind in ("nominal", "string"):
            text = frame[name].str.decode("utf-8")
            frame[name] = text.astype("category") if kind == "nominal" else text
    return frame


def _labelled(source: Source, read: Callable[..., Any], extension: str, options: dict[str, Any]) -> Any:
    with source.file(extension) as path:
        frame, meta = read(path, **options)
    frame.attrs["column_labels"] = meta.column_names_to_labels
    frame.attrs["value_labels"] = meta.variable_value_labels
    rows = meta.number_rows
    if not options and rows is not None and 0 <= len(frame) < rows:
        source.note(f"its header promises {rows} rows and it has {len(frame)}: the file may be cut off")
    return frame
