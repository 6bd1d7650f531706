"""The tables of the SQLite database, as a list of steps: a database of version N has had the first N of them."""

from __future__ import annotations

import sqlite3

from kernel_manager.errors import DatabaseError

#: Version 1 had files and configuration only; version 2 knows the original name, assistants and usage.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE user_files (
        file_id TEXT PRIMARY KEY NOT NULL,
        user_id TEXT NOT NULL,
        filename TEXT NOT NULL,
        file_type TEXT NOT NULL,
        file_path TEXT NOT NULL,
        file_size INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER
    ) WITHOUT ROWID;
    CREATE INDEX user_files_by_user ON user_files (user_id, expires_at DESC);
    CREATE INDEX user_files_by_expiry ON user_files (expires_at);
    CREATE TABLE app_config (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;
    """,
    """
    ALTER TABLE user_files ADD COLUMN original_name TEXT;
    ALTER TABLE user_files ADD COLUMN store TEXT;
    CREATE TABLE assistants (
        assistant_id TEXT PRIMARY KEY NOT NULL,
        name TEXT NOT NULL,
        instructions TEXT NOT NULL,
        model TEXT,
        options TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE user_assistants (user_id TEXT PRIMARY KEY NOT NULL, assistant_id TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX user_assistants_by_assistant ON user_assistants (assistant_id);
    CREATE TABLE usage (
        user_id TEXT NOT NULL,
        day TEXT NOT NULL,
        assistant_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        input_tokens INTEGER NOT NULL DEFAULT 0,
        cached_tokens INTEGER NOT NULL DEFAULT 0,
        output_tokens INTEGER NOT NULL DEFAULT 0,
        requests INTEGER NOT NULL DEFAULT 0,
        runs INTEGER NOT NULL DEFAULT 0,
        seconds REAL NOT NULL DEFAULT 0,
        PRIMARY KEY (user_id, day, assistant_id, kind)
    ) WITHOUT ROWID;
    CREATE INDEX usage_by_day ON usage (day);
    """,
)
SCHEMA_VERSION = len(MIGRATIONS)


def migrate(connection: sqlite3.Connection) -> int:
    """Bring the database to the current version, all steps or none; return the version that it had.

    The connection is in autocommit mode. Raises DatabaseError for one that a newer Threadbook wrote.
    """
    if _version(connection) == SCHEMA_VERSION:
        return SCHEMA_VERSION
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)  # another process may have done it meanwhile
        if version > SCHEMA_VERSION:
            raise DatabaseError(
                f"the database has version {version}, and this Threadbook knows {SCHEMA_VERSION}; "
                "use the newer Threadbook, or set DATABASE_URL to another file"
            )
        for step in MIGRATIONS[version:]:
            for statement in filter(None, map(str.strip, step.split(";"))):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    return version


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
