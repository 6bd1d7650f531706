"""Figures of a session as files that a person can open."""

from __future__ import annotations

import base64
import binascii
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

#: What is saved, the best first, and the ending that it gets.
SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "image/svg+xml": ".svg",
    "application/pdf": ".pdf",
}
_TEXT_MIMES = frozenset({"image/svg+xml", "text/html"})
_MAX_JPEG_SEGMENTS = 1_000


@dataclass(frozen=True, slots=True)
class Picture:
    """The bytes of a figure, the ending of its file and, where the format tells, width and height in pixels."""

    content: bytes
    suffix: str
    size: tuple[int, int] | None = None


def picture_of(data: Mapping[str, Any]) -> Picture | None:
    """Return the best picture in a mime bundle, or None if there is none."""
    for mime, suffix in SUFFIXES.items():
        if mime in data and (content := decoded(mime, data[mime])):
            return Picture(content, suffix, pixels(content))
    return None


def decoded(mime: str, value: Any) -> bytes:
    """Return the bytes of a mime bundle's value; none if it is malformed."""
    text = "".join(value) if isinstance(value, list) else value
    if not isinstance(text, str):
        return b""
    if mime in _TEXT_MIMES:
        return text.encode("utf-8", "replace")
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return b""


def pixels(content: bytes) -> tuple[int, int] | None:
    """Return width and height of a PNG, GIF or JPEG, from its first bytes."""
    try:
        if content.startswith(b"\x89PNG\r\n\x1a\n"):
            return _pair(">II", content, 16)
        if content.startswith((b"GIF87a", b"GIF89a")):
            return _pair("<HH", content, 6)
        if content.startswith(b"\xff\xd8"):
            return _jpeg_pixels(content)
    except struct.error:
        return None
    return None


def _pair(form: str, content: bytes, offset: int) -> tuple[int, int]:
    first, second = struct.unpack_from(form, content, offset)
    return int(first), int(second)


def _jpeg_pixels(content: bytes) -> tuple[int, int] | None:
    offset = 2
    for _ in range(_MAX_JPEG_SEGMENTS):
        sign, marker, length = struct.unpack_from(">BBH", content, offset)
        if sign != 0xFF:
            return None
        # The frame's header, which tells the size; three of these markers mean something else.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = _pair(">HH", content, offset + 5)
            return width, height
        offset += 2 + length
    return None


class FigureFolder:
    """The folder that figures are saved in. It is made when the first one comes."""

    def __init__(self, path: Path, clock: Callable[[], datetime] = datetime.now) -> None:
        """Files are named after the time that ``clock`` tells."""
        self._path = path
        self._clock = clock

    def save(self, content: bytes, suffix: str) -> Path:
        """Write a new file and return its path. Raises :class:`OSError`."""
        stem = f"{self._clock():%Y%m%d-%H%M%S}"
        with self._opened() as folder:
            number = 1
            while True:
                name = f"{stem}-{number}{suffix}"
                try:
                    _write(name, content, os.O_EXCL, folder)
                except FileExistsError:
                    number += 1
                else:
                    return self._path / name

    def replace(self, path: Path, content: bytes) -> None:
        """Write a new content into a file that :meth:`save` made. Raises :class:`OSError`."""
        with self._opened() as folder:
            _write(path.name, content, os.O_TRUNC, folder)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """By descriptor and without following links: code may have had its hands on the session's folder."""
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield folder
        finally:
            os.close(folder)


def _write(name: str, content: bytes, flag: int, folder: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | flag
    with os.fdopen(os.open(name, flags, 0o600, dir_fd=folder), "wb") as stream:
        stream.write(content)
