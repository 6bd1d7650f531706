"""Files on their way to Discord: read without following anything, compressed if that was asked for."""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import discord

from bot.uploads import Upload, digest, was_written
from kernel_manager.errors import UsageError
from kernel_manager.files.inside import open_inside

logger = logging.getLogger(__name__)

_CHUNK = 2**20
_DATE = (1980, 1, 1, 0, 0, 0)


class TooLargeError(Exception):
    """An archive came to more than it may have."""


@dataclass(frozen=True, slots=True)
class Sendable:
    """A file as it goes to Discord; ``mark`` tells equal contents from different ones, ``written`` that the code wrote it."""

    file: discord.File
    mark: str
    written: bool


def to_send(upload: Upload, workspace: Path) -> Sendable | None:
    """Read an upload; None if what the code wrote is gone or no plain file any more. Raises TooLargeError."""
    try:
        content = _archive(upload, workspace) if isinstance(upload.content, tuple) else b"".join(_chunks(upload, workspace))
    except (UsageError, ValueError, OSError) as exc:
        logger.warning("a file that the code wrote was not sent: %s", exc)
        return None
    file = discord.File(io.BytesIO(content), upload.filename, description=upload.description or None)
    return Sendable(file, digest(content), was_written(upload))


def each_once(read: Sequence[Sendable | None], figures: set[str]) -> list[discord.File]:
    """Return the files of one message, without those that the code wrote of ``figures`` which were sent before.

    Of a figure and the same one as a file, in one message, it is the file: its name was chosen. ``figures`` grows.
    """
    found: list[Sendable] = []
    places: dict[str, int] = {}
    for each in read:
        if each is None or (each.written and each.mark in figures):
            continue
        if each.written and each.mark in places:
            found[places[each.mark]] = each
            continue
        if not each.written:
            places[each.mark] = len(found)
        found.append(each)
    figures.update(places)
    return [each.file for each in found]


def _chunks(upload: Upload, workspace: Path) -> Iterator[bytes]:
    """The bytes of a file, at most as many as it had when it was captured: it may grow meanwhile."""
    if isinstance(upload.content, bytes):
        yield upload.content
        return
    assert isinstance(upload.content, Path)
    with open_inside(workspace, upload.content.relative_to(workspace).as_posix()) as stream:
        left = upload.size
        while left > 0 and (chunk := stream.read(min(left, _CHUNK))):
            left -= len(chunk)
            yield chunk


def _archive(upload: Upload, workspace: Path) -> bytes:
    assert isinstance(upload.content, tuple)
    stream = _Limited(upload.size)
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in _named(upload.content):
            with archive.open(_entry(name), "w", force_zip64=True) as inside:
                for chunk in _chunks(member, workspace):
                    inside.write(chunk)
    return stream.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _named(members: tuple[Upload, ...]) -> Iterator[tuple[str, Upload]]:
    """The members, each under a name of its own."""
    taken: set[str] = set()
    for member in members:
        name, number = member.filename, 1
        while name in taken:
            number += 1
            name = f"{number}-{member.filename}"
        taken.add(name)
        yield name, member


class _Limited(io.BytesIO):
    """Takes so many bytes and no more."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def write(self, content: Any) -> int:
        written = super().write(content)
        if self.tell() > self._limit:
            raise TooLargeError
        return written
