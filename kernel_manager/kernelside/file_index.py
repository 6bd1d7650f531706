"""The files of a user as a kernel sees them: ``FILES`` and ``list_files()``, read from ``index.json`` at each look."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from .file_types import BY_EXTENSION, BY_NAME

INDEX = "index.json"

_MAX_TEXT = 200
_MAX_NAME = 48
_MAX_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Listed:
    """A file of the index. ``size`` is in bytes or None, times are ISO 8601; what the index does not say is empty."""

    file_id: str
    filename: str
    original_name: str
    path: Path
    size: int | None = None
    created_at: str = ""
    expires_at: str = ""
    kind: str = ""

    def is_called(self, name: str) -> bool:
        """Whether ``name`` stands for this file."""
        return name in (self.file_id, self.filename, self.original_name)

    @property
    def type(self) -> str:
        """What its name says that it is."""
        return BY_EXTENSION.get(PurePath(self.filename.lower()).suffix, BY_NAME["bytes"]).label


class FilesTable:
    """``FILES``: what ``load_file`` finds. It shows itself as a table, and is as new as the moment it is looked at."""

    def __init__(self, index_folder: str) -> None:
        self._folder = Path(index_folder)

    def list_files(self) -> Any:
        """A DataFrame of the files that were handed in, the newest first; ``load_file`` takes a filename or a file_id of it."""
        import pandas as pd

        files = list(reversed(read_index(self._folder)))
        more = [name for name in ("expires_at", "kind") if any(getattr(file, name) for file in files)]
        # The first and the last are what pandas shows where not all have room.
        columns = ["filename", "type", "size", "created_at", *more, "file_id"]
        frame = pd.DataFrame([[getattr(file, name) for name in columns] for file in files], columns=columns)
        for name in ("created_at", "expires_at"):
            if name in columns:
                frame[name] = pd.to_datetime(frame[name], format="ISO8601", errors="coerce", utc=True)
        return frame

    def __len__(self) -> int:
        return len(read_index(self._folder))

    def __iter__(self) -> Iterator[str]:
        return iter([file.filename for file in reversed(read_index(self._folder))])

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and any(file.is_called(name) for file in read_index(self._folder))

    def __repr__(self) -> str:
        files = list(reversed(read_index(self._folder)))
        if not files:
            return "no files yet; those that are handed in appear here"
        shown = [
            (_short(file.filename), file.type, "" if file.size is None else f"{file.size:,}", file.file_id) for file in files
        ]
        more = f"\n… {len(files) - _MAX_SHOWN} more; list_files() has all" if len(files) > _MAX_SHOWN else ""
        return _aligned([("filename", "type", "size", "file_id"), *shown[:_MAX_SHOWN]]) + more

    def _repr_html_(self) -> str | None:
        html: str | None = self.list_files()._repr_html_() if len(self) else None
        return html


def _aligned(rows: list[tuple[str, str, str, str]]) -> str:
    name, kind, size = (max(len(row[column]) for row in rows) for column in range(3))
    return "\n".join(f"{row[0]:<{name}}  {row[1]:<{kind}}  {row[2]:>{size}}  {row[3]}" for row in rows)


def _short(name: str) -> str:
    """A name that leaves room for the rest of its line; the end, which says what it is, stays."""
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 12]}…{name[-11:]}"


def read_index(folder: Path) -> list[Listed]:
    """The files of the index in ``folder``, the oldest first; none if there is no index yet. Raises :class:`ValueError`."""
    try:
        content = json.loads((folder / INDEX).read_text("utf-8"))
        return [_listed(file, folder) for file in content["files"]]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ValueError(f"the list of files, {folder / INDEX}, cannot be read: {exc}") from None


def _listed(file: dict[str, Any], folder: Path) -> Listed:
    size = file.get("size", file.get("file_size"))
    return Listed(
        file_id=file["file_id"],
        filename=file["filename"],
        original_name=_text(file, "original_name"),
        path=folder / file["path"],
        size=size if isinstance(size, int) else None,
        created_at=_text(file, "created_at"),
        expires_at=_text(file, "expires_at"),
        kind=_text(file, "kind"),
    )


def _text(file: dict[str, Any], name: str) -> str:
    value = file.get(name)
    return value[:_MAX_TEXT] if isinstance(value, str) and name != "original_name" else value if isinstance(value, str) else ""
