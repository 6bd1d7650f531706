"""Files that a turn sends: named, found once, and put together so that each request stays within Discord's limits. Pure."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.agent.pictures import Picture
from bot.markdown import plain
from kernel_manager.execution.result import WrittenFile

MAX_FILES = 10
#: Characters of a file's name as it is sent.
MAX_NAME = 80
#: How many times the limit a file may have that is sent compressed, if that helps.
_WORTH_TRYING = 20
_MAX_ARCHIVES = 5
#: Endings of files that compressing makes no smaller.
_DENSE = frozenset(
    f".{suffix}"
    for suffix in (
        *("7z", "br", "bz2", "gz", "lz4", "rar", "tgz", "whl", "xz", "zip", "zst"),
        *("avif", "gif", "heic", "jpeg", "jpg", "png", "webp"),
        *("aac", "avi", "flac", "m4a", "mkv", "mov", "mp3", "mp4", "ogg", "opus", "webm"),
        *("docx", "epub", "feather", "npz", "ods", "parquet", "pdf", "pptx", "xlsx"),
    )
)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to send. ``content`` are its bytes, or where they lie, or what it is an archive of.

    ``size`` is in bytes, of an archive the most that it may have. ``description`` is for who cannot see it.
    """

    filename: str
    content: bytes | Path | tuple[Upload, ...]
    size: int
    description: str = ""


@dataclass(frozen=True, slots=True)
class Packed:
    """Batches of one request each, and the files that are too large for any."""

    batches: tuple[tuple[Upload, ...], ...]
    too_large: tuple[Upload, ...]


def of_bytes(filename: str, content: bytes, description: str = "") -> Upload:
    """Return an upload of these bytes."""
    return Upload(filename, content, len(content), description)


def of_picture(picture: Picture, number: int) -> Upload | None:
    """Return a figure as a file; None for a kind that has no bytes of its own."""
    if picture.content is None:
        return None
    suffix = mimetypes.guess_extension(picture.mime) or ".png"
    return of_bytes(f"figure-{number}{suffix}", picture.content, picture.description[:1024])


def of_file(file: WrittenFile) -> Upload:
    """Return a file that the code wrote."""
    return Upload(shown_name(file.filename), Path(file.path), file.size)


def was_written(upload: Upload) -> bool:
    """Whether the code wrote it as a file, or all that it is an archive of."""
    match upload.content:
        case Path():
            return True
        case tuple():
            return all(map(was_written, upload.content))
    return False


def members_of(upload: Upload) -> int:
    """How many files it is an archive of."""
    return len(upload.content) if isinstance(upload.content, tuple) else 1


def shown_name(filename: str) -> str:
    """Return the last part of a file's name, without what is no text, and not too long; its ending stays."""
    name = " ".join(plain(filename.rpartition("/")[2]).split()) or "file"
    dot = name.rfind(".")
    suffix = name[dot:] if dot > 0 and len(name) - dot <= 12 else ""
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - len(suffix) - 1]}…{suffix}"


def digest(content: bytes) -> str:
    """Return what tells equal contents from different ones."""
    return hashlib.sha256(content).hexdigest()


def pack(uploads: Sequence[Upload], limit: int) -> Packed:
    """Put files together, in order: at most ten and ``limit`` bytes a request.

    What is too large goes as an archive, if that helps.
    """
    batches: list[list[Upload]] = []
    too_large = []
    for upload in uploads:
        if upload.size <= limit:
            _put(upload, batches, limit)
        elif upload.size <= _WORTH_TRYING * limit and Path(upload.filename).suffix.lower() not in _DENSE:
            _put(Upload(f"{upload.filename}.zip", (upload,), limit), batches, limit)
        else:
            too_large.append(upload)
    return Packed(tuple(map(tuple, batches)), tuple(too_large))


def _put(upload: Upload, batches: list[list[Upload]], limit: int) -> None:
    last = batches[-1] if batches else None
    if last is not None and len(last) < MAX_FILES and sum(other.size for other in last) + upload.size <= limit:
        last.append(upload)
    else:
        batches.append([upload])


def archives(uploads: Sequence[Upload], name: str, limit: int) -> tuple[list[Upload], list[Upload]]:
    """Put many files into few archives called after ``name``, each within ``limit`` bytes; return these, and what is left out."""
    room = limit * 9 // 10  # names and places of the members take some
    groups: list[list[Upload]] = []
    left_out = []
    for upload in uploads:
        if upload.size > room:
            left_out.append(upload)
        elif groups and sum(other.size for other in groups[-1]) + upload.size <= room:
            groups[-1].append(upload)
        elif len(groups) < _MAX_ARCHIVES:
            groups.append([upload])
        else:
            left_out.append(upload)
    names = [f"{name}.zip" if len(groups) == 1 else f"{name}-{number}.zip" for number in range(1, len(groups) + 1)]
    made = [Upload(each, tuple(group), limit) for each, group in zip(names, groups, strict=True)]
    return made, left_out
