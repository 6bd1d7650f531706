"""Databases in one file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any
from urllib.parse import quote

from .exact import restore, suspects
from .source import Source, Unreadable

_MAX_NAMED = 20


def load_sqlite(source: Source, *, table: Any = ..., query: str | None = None) -> Any:
    """A DataFrame of the first table, of ``table=``, or of an SQL ``query=``; ``table=None`` gives all in a dict."""
    with source.file() as path, closing(_open_sqlite(path)) as connection:
        if query is not None:
            return _read_query(connection, query)
        names = [name for (name,) in connection.execute(_TABLES)]
        frames = {name: _read_query(connection, f"SELECT * FROM {_quoted(name)}") for name in _chosen(names, table)}  # noqa: S608
        _check(connection)
    return _one_or_all(source, names, frames, table)


_TABLES = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY rowid"


def _open_sqlite(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{quote(path)}?mode=ro&immutable=1", uri=True)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    return connection


def _read_query(connection: sqlite3.Connection, query: str) -> Any:
    import pandas as pd

    frame = pd.read_sql_query(query, connection)
    return restore(frame, connection.execute(query)) if suspects(frame) else frame


def _check(connection: sqlite3.Connection) -> None:
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise Unreadable(f"the database is damaged ({str(found).splitlines()[0][:200]}); query='SELECT …' reads what is left")


def load_duckdb(source: Source, *, table: Any = ..., query: str | None = None) -> Any:
    """A DataFrame of the first table, of ``table=``, or of an SQL ``query=``; ``table=None`` gives all in a dict."""
    import duckdb

    with source.file() as path, closing(duckdb.connect(path, read_only=True)) as connection:
        if query is not None:
            return connection.execute(query).df()
        names = [row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY table_oid").fetchall()]
        frames = {name: connection.execute(f"SELECT * FROM {_quoted(name)}").df() for name in _chosen(names, table)}  # noqa: S608
    return _one_or_all(source, names, frames, table)


def _chosen(names: list[str], table: Any) -> list[str]:
    if not names:
        raise Unreadable("it has no tables")
    if table is None:
        return names
    if table is ...:
        return names[:1]
    if table not in names:
        raise Unreadable(f"it has no table {table!r}; its tables: {_listed(names)}")
    return [table]


def _one_or_all(source: Source, names: list[str], frames: dict[str, Any], table: Any) -> Any:
    if table is None:
        return frames
    (name, frame), *_ = frames.items()
    others = [other for other in names if other != name]
    if table is ... and others:
        source.note(f"this is table {name!r}; others: {_listed(others)} (table=… opens one, table=None all, query=… asks in SQL)")
    return frame


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return ", ".join(map(repr, names[:_MAX_NAMED])) + more


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
