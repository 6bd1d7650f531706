"""A file of a user as the rest of the service sees it, and the limits that all of them keep to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from kernel_manager.config import Settings
from kernel_manager.database.protocol import FileRecord
from kernel_manager.files.index import ShelfEntry

_MB = 1 << 20


@dataclass(frozen=True, slots=True)
class FileLimits:
    """Of one user: how many files, bytes of one, bytes of all; ``lifetime`` None: they never expire."""

    max_files: int
    max_file_bytes: int
    max_total_bytes: int
    lifetime: timedelta | None

    @classmethod
    def of(cls, settings: Settings) -> FileLimits:
        """The limits that the operator set."""
        largest, total = settings.max_file_size_mb * _MB, settings.max_user_files_mb * _MB
        return cls(settings.max_files_per_user, largest, total, settings.file_lifetime)

    @property
    def largest_file(self) -> int:
        """Bytes of the largest file that fits."""
        return min(self.max_file_bytes, self.max_total_bytes)

    def expiry(self, start: datetime) -> datetime | None:
        """When a file that is used at ``start`` expires."""
        return None if self.lifetime is None else start + self.lifetime


@dataclass(frozen=True, slots=True)
class UserFile:
    """``filename`` is safe, ``original_name`` as it was given; ``file_type`` a MIME type, ``size`` in bytes, times in UTC."""

    file_id: str
    user_id: str
    filename: str
    original_name: str
    file_type: str
    path: Path
    size: int
    created_at: datetime
    expires_at: datetime | None

    @classmethod
    def of(cls, record: FileRecord, folder: Path | None = None) -> UserFile:
        """The file that a record is of; ``folder`` is where its bytes are now, if the record may be behind."""
        return cls(
            file_id=record["file_id"],
            user_id=record["user_id"],
            filename=record["filename"],
            original_name=record.get("original_name", record["filename"]),
            file_type=record["file_type"],
            path=Path(record["file_path"]) if folder is None else folder / Path(record["file_path"]).name,
            size=record["file_size"],
            created_at=record["created_at"],
            expires_at=record["expires_at"],
        )

    def to_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        expires = None if self.expires_at is None else self.expires_at.isoformat()
        return {**asdict(self), "path": str(self.path), "created_at": self.created_at.isoformat(), "expires_at": expires}


@dataclass(frozen=True, slots=True)
class AddedFile:
    """A file that was added, and the older ones that had to go for it. ``note`` says if some could not go yet."""

    file: UserFile
    removed: list[UserFile] = field(default_factory=list)
    note: str | None = None


def is_ours(record: FileRecord, folder: Path, store: str) -> bool:
    """Whether the bytes of a record are for this data folder, by its id ``store``, to look after; ``folder`` is the user's."""
    return record["store"] == store if "store" in record else Path(record["file_path"]).parent == folder


def record_of(entry: ShelfEntry, user_id: str, folder: Path, store: str) -> FileRecord:
    """The database's record of what lies on a shelf."""
    return FileRecord(
        file_id=entry.file_id,
        user_id=user_id,
        filename=entry.filename,
        file_type=entry.mime,
        file_path=str(folder / entry.path),
        file_size=entry.size,
        created_at=datetime.fromisoformat(entry.created_at),
        expires_at=None if entry.expires_at is None else datetime.fromisoformat(entry.expires_at),
        original_name=entry.original_name,
        store=store,
    )


def entry_of(record: FileRecord, path: str) -> ShelfEntry:
    """What the kernels' list says of a file whose record there is; ``path`` is its name on the shelf."""
    return ShelfEntry(
        file_id=record["file_id"],
        filename=record["filename"],
        original_name=record.get("original_name", record["filename"]),
        path=path,
        size=record["file_size"],
        created_at=record["created_at"].isoformat(),
        expires_at=None if record["expires_at"] is None else record["expires_at"].isoformat(),
        mime=record["file_type"],
    )


def surplus(files: Sequence[UserFile], limits: FileLimits, newest: str | None = None) -> list[UserFile]:
    """Return the files that have to go so that the others keep within the limits: the oldest first, never ``newest``."""
    leaving: list[UserFile] = []
    count, total = len(files), sum(file.size for file in files)
    for file in sorted(files, key=lambda file: (file.created_at, file.file_id)):
        if count <= limits.max_files and total <= limits.max_total_bytes:
            break
        if file.file_id != newest:
            leaving.append(file)
            count, total = count - 1, total - file.size
    return leaving
