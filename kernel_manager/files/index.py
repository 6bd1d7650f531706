"""The list of a user's files that their kernels read: ``index.json``, old or new, never half."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from kernel_manager.atomic import write_atomic
from kernel_manager.errors import StorageError

#: The list of the files, which the kernel's ``load_file`` reads.
INDEX = "index.json"
INDEX_VERSION = 1
FILE_MODE = 0o644


@dataclass(frozen=True, slots=True)
class ShelfEntry:
    """A file on the shelf. ``path`` is relative to the shelf's folder, ``size`` in bytes.

    ``created_at`` and ``expires_at`` are ISO 8601 in UTC; a file without the latter never expires. ``mime`` is its type as far
    as its name tells.
    """

    file_id: str
    filename: str
    original_name: str
    path: str
    size: int
    created_at: str
    expires_at: str | None = None
    mime: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Index:
    """The files, the last added last; whose they are, and the id of the database that knew all of them."""

    files: list[ShelfEntry] = field(default_factory=list)
    user_id: str | None = None
    database: str | None = None


def read_index(folder: Path) -> Index:
    """Return the list; an empty one if there is none. Raises OSError, and StorageError if it is damaged."""
    path = folder / INDEX
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["version"] != INDEX_VERSION:
            raise StorageError(f"{path} was written by another version of Threadbook; use that one or remove it")
        files = [_entry(values) for values in content["files"]]
        return Index(files, content.get("user_id"), content.get("database"))
    except FileNotFoundError:
        return Index()
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise StorageError(f"{path} is damaged; restore it, or remove it to begin with no files") from exc


def write_index(folder: Path, index: Index) -> None:
    """Replace the list; raises OSError and then leaves it as it was."""
    content: dict[str, Any] = {"version": INDEX_VERSION, "user_id": index.user_id, "database": index.database}
    content["files"] = [asdict(entry) for entry in index.files]
    write_atomic(folder / INDEX, json.dumps(content), FILE_MODE)


def _entry(values: dict[str, Any]) -> ShelfEntry:
    entry = ShelfEntry(**{field.name: values[field.name] for field in fields(ShelfEntry) if field.name in values})
    if Path(entry.path).name != entry.path:
        raise ValueError(f"{entry.path!r} leads out of the folder")
    return entry
