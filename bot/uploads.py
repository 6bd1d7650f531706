"""Files that a turn sends: named, found once, and put together so that each request stays within Discord's limits. Pure."""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.agent.pictures import Picture

MAX_FILES = 10


@dataclass(frozen=True, slots=True)
class Upload:
    """A file to send. ``content`` are its bytes, or where they lie; ``size`` is in bytes.

    ``description`` is for who cannot see it.
    """

    filename: str
    content: bytes | Path
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


def digest(content: bytes) -> str:
    """Return what tells equal contents from different ones."""
    return hashlib.sha256(content).hexdigest()


def pack(uploads: Sequence[Upload], limit: int) -> Packed:
    """Put files together, in order: at most ten and ``limit`` bytes a request."""
    batches: list[list[Upload]] = []
    too_large = []
    for upload in uploads:
        if upload.size > limit:
            too_large.append(upload)
        elif batches and len(batches[-1]) < MAX_FILES and sum(other.size for other in batches[-1]) + upload.size <= limit:
            batches[-1].append(upload)
        else:
            batches.append([upload])
    return Packed(tuple(map(tuple, batches)), tuple(too_large))
