"""The running cell's IOPub messages on disk: IOPub itself has no memory.

What a kernel publishes while its service is away, or in the instant before it dies, is gone from the socket. So each
message is also appended here *before* it is sent. The kernel empties the spool when the next cell begins. Text that
a stream still holds back is kept in a small shared mapping (:class:`Pending`).

The file is a sequence of messages: ``u32`` number of frames, then per frame ``u32`` length and its bytes
(little-endian). A torn last message is ignored.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
from collections.abc import Sequence
from pathlib import Path

SPOOL_LIMIT = 8 * 1024 * 1024
#: Small messages (status, errors, counts) still fit when the limit is reached, so that the end of a cell is never lost.
SMALL_MESSAGE = 4 * 1024
SMALL_RESERVE = 1024 * 1024
PENDING_SIZE = 64 * 1024
MAX_FRAMES = 64

_COUNT = struct.Struct("<I")


class Spool:
    """The writing side. Any thread may append; what does not fit is counted in ``dropped``."""

    def __init__(self, path: str, limit: int = SPOOL_LIMIT) -> None:
        self._fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._limit = limit
        self._lock = threading.Lock()
        self._size = 0
        self.dropped = 0

    def append(self, frames: Sequence[bytes]) -> None:
        """Write one message, or count it as dropped."""
        record = pack(frames)
        small = len(record) <= SMALL_MESSAGE
        with self._lock:
            if self._size + len(record) > self._limit + (SMALL_RESERVE if small else 0):
                self.dropped += 1
                return
            try:
                os.write(self._fd, record)
            except OSError:
                self.dropped += 1
                return
            self._size += len(record)

    def clear(self) -> None:
        """Forget everything: a new cell begins."""
        with self._lock:
            if self._size:
                os.ftruncate(self._fd, 0)
            self._size = 0
            self.dropped = 0


def pack(frames: Sequence[bytes]) -> bytes:
    """Return one message as bytes."""
    parts = [_COUNT.pack(len(frames))]
    for frame in frames:
        data = bytes(frame)
        parts += (_COUNT.pack(len(data)), data)
    return b"".join(parts)


def read_spool(path: Path, limit: int = SPOOL_LIMIT + SMALL_RESERVE) -> list[list[bytes]]:
    """Return the messages in ``path``, oldest first; reads at most ``limit`` bytes and never follows a link."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    with os.fdopen(fd, "rb") as file:
        data = file.read(limit)
    messages: list[list[bytes]] = []
    position = 0
    while (message := _message_at(data, position)) is not None:
        frames, position = message
        messages.append(frames)
    return messages


def _message_at(data: bytes, position: int) -> tuple[list[bytes], int] | None:
    if position + _COUNT.size > len(data):
        return None
    (count,) = _COUNT.unpack_from(data, position)
    position += _COUNT.size
    if count > MAX_FRAMES:
        return None
    frames = []
    for _ in range(count):
        if position + _COUNT.size > len(data):
            return None
        (size,) = _COUNT.unpack_from(data, position)
        position += _COUNT.size
        if position + size > len(data):
            return None
        frames.append(data[position : position + size])
        position += size
    return frames, position


class Pending:
    """Text that a stream has taken but not yet published, in a file mapping that outlives the process.

    Layout: ``u32`` length, then UTF-8. What does not fit is left out: this only covers a sudden death.
    """

    def __init__(self, path: str) -> None:
        fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(fd, PENDING_SIZE)
            self._map = mmap.mmap(fd, PENDING_SIZE)
        finally:
            os.close(fd)
        self._used = 0

    def add(self, text: str) -> None:
        """Append ``text``; the caller serialises calls."""
        room = PENDING_SIZE - _COUNT.size - self._used
        if room <= 0:
            return
        data = text[:room].encode("utf-8", "replace")[:room]
        start = _COUNT.size + self._used
        self._map[start : start + len(data)] = data
        self._used += len(data)
        _COUNT.pack_into(self._map, 0, self._used)

    def clear(self) -> None:
        """The text is published."""
        if self._used:
            self._used = 0
            _COUNT.pack_into(self._map, 0, 0)


def read_pending(path: Path) -> str:
    """Return the text that was held back in ``path`` when its process ended, or an empty string."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(fd, "rb") as file:
        data = file.read(PENDING_SIZE)
    if len(data) < _COUNT.size:
        return ""
    (used,) = _COUNT.unpack_from(data)
    return data[_COUNT.size : _COUNT.size + used].decode("utf-8", "replace")
