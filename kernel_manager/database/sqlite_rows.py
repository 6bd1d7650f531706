"""Between records and rows of the SQLite database. Pure."""

from __future__ import annotations

import json
import sqlite3

from kernel_manager.database import records
from kernel_manager.database.protocol import AssistantRecord, FileRecord, Json

FILE_COLUMNS = "file_id, user_id, filename, file_type, file_path, file_size, created_at, expires_at, original_name, store"
ASSISTANT_COLUMNS = "assistant_id, name, instructions, model, options, created_at, updated_at"


def file_row(record: FileRecord) -> tuple[object, ...]:
    """Return the values of FILE_COLUMNS."""
    return (
        record["file_id"],
        record["user_id"],
        record["filename"],
        record["file_type"],
        record["file_path"],
        record["file_size"],
        records.to_ms(record["created_at"]),
        None if record["expires_at"] is None else records.to_ms(record["expires_at"]),
        record.get("original_name"),
        record.get("store"),
    )


def file_record(row: sqlite3.Row) -> FileRecord:
    """Return what a row of ``user_files`` says."""
    record = FileRecord(
        file_id=row["file_id"],
        user_id=row["user_id"],
        filename=row["filename"],
        file_type=row["file_type"],
        file_path=row["file_path"],
        file_size=row["file_size"],
        created_at=records.from_ms(row["created_at"]),
        expires_at=None if row["expires_at"] is None else records.from_ms(row["expires_at"]),
    )
    if row["original_name"] is not None:
        record["original_name"] = row["original_name"]
    if row["store"] is not None:
        record["store"] = row["store"]
    return record


def assistant_row(record: AssistantRecord) -> tuple[object, ...]:
    """Return the values of ASSISTANT_COLUMNS."""
    options = json.dumps(record["options"], ensure_ascii=False)
    times = records.to_ms(record["created_at"]), records.to_ms(record["updated_at"])
    return record["assistant_id"], record["name"], record["instructions"], record["model"], options, *times


def assistant_record(row: sqlite3.Row) -> AssistantRecord:
    """Return what a row of ``assistants`` says."""
    return AssistantRecord(
        assistant_id=row["assistant_id"],
        name=row["name"],
        instructions=row["instructions"],
        model=row["model"],
        options=json.loads(row["options"]),
        created_at=records.from_ms(row["created_at"]),
        updated_at=records.from_ms(row["updated_at"]),
    )


def json_or_text(stored: object) -> Json:
    """Return a value; one that a person inserted by hand need not be JSON."""
    try:
        value: Json = json.loads(str(stored))
    except ValueError:
        return str(stored)
    return value
