"""The running cell's IOPub messages on disk: IOPub itself has no memory.

What a kernel publishes while its service is away, or in the instant before it dies, is gone from the socket. So each
message is also written here *before* it is sent. The kernel empties the spool when the next cell begins. Text that
a stream still holds back is kept beside it (:class:`Pending`).

Both are mappings of a fixed size (see :mod:`shared_memory`): ``u32`` bytes used, then the bytes. The spool's are a
sequence of messages: ``u32`` number of frames, then per frame ``u32`` length and its bytes (little-endian). What a reader
cannot make sense of is ignored: the code in the kernel can write here whatever it likes.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Sequence
from pathlib import Path

from .shared_memory import give_back

SPOOL_LIMIT = 8 * 1024 * 1024
#: Small messages (status, errors, counts) still fit when the limit is reached, so that the end of a cell is never lost.
SMALL_MESSAGE = 4 * 1024
SMALL_RESERVE = 1024 * 1024
MAX_FRAMES = 64

_COUNT = struct.Struct("<I")
SPOOL_SIZE = _COUNT.size + SPOOL_LIMIT + SMALL_RESERVE
PENDING_SIZE = 64 * 1024
#: A spool that was this full is given back to the system when the next cell begins.
_WORTH_GIVING_BACK = 256 * 1024


class Spool:
    """The writing side, in a mapping of :data:`SPOOL_SIZE`. Any thread may append; what does not fit counts as ``dropped``."""

    def __init__(self, memory: memoryview, limit: int = SPOOL_LIMIT) -> None:
        self._memory = memory
        self._limit = limit
        self._lock = threading.Lock()
        self._size = 0
        self.dropped = 0
        _COUNT.pack_into(memory, 0, 0)

    def append(self, frames: Sequence[bytes]) -> None:
        """Write one message, or count it as dropped."""
        record = pack(frames)
        small = len(record) <= SMALL_MESSAGE
        with self._lock:
            if self._size + len(record) > self._limit + (SMALL_RESERVE if small else 0):
                self.dropped += 1
                return
            start = _COUNT.size + self._size
            self._memory[start : start + len(record)] = record
            self._size += len(record)
            # last: what is counted is there
            _COUNT.pack_into(self._memory, 0, self._size)

    def clear(self) -> None:
        """Forget everything: a new cell begins."""
        with self._lock:
            _COUNT.pack_into(self._memory, 0, 0)
            if self._size > _WORTH_GIVING_BACK:
                give_back(self._memory)
            self._size = 0
            self.dropped = 0


def pack(frames: Sequence[bytes]) -> bytes:
    """Return one message as bytes."""
    parts = [_COUNT.pack(len(frames))]
    for frame in frames:
        data = bytes(frame)
        parts += (_COUNT.pack(len(data)), data)
    return b"".join(parts)


def read_spool(path: Path) -> list[list[bytes]]:
    """Return the messages in ``path``, oldest first; bounded, and never follows a link."""
    data = _read_used(path, SPOOL_SIZE - _COUNT.size)
    messages: list[list[bytes]] = []
    position = 0
    while (message := _message_at(data, position)) is not None:
        frames, position = message
        messages.append(frames)
    return messages


def _read_used(path: Path, limit: int) -> bytes:
    """The bytes that the mapping in ``path`` says are used, at most ``limit``."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    with os.fdopen(fd, "rb", buffering=0) as file:
        header = file.read(_COUNT.size) or b""
        if len(header) < _COUNT.size:
            return b""
        return file.read(min(_COUNT.unpack(header)[0], limit)) or b""


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
    """Text that a stream has taken but not yet published, in a mapping of :data:`PENDING_SIZE`.

    What does not fit is left out: this only covers a sudden death.
    """

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self._used = 0
        _COUNT.pack_into(memory, 0, 0)

    def add(self, text: str) -> None:
        """Append ``text``; the caller serialises calls."""
        room = PENDING_SIZE - _COUNT.size - self._used
        if room <= 0:
            return
        data = text[:room].encode("utf-8", "replace")[:room]
        start = _COUNT.size + self._used
        self._memory[start : start + len(data)] = data
        self._used += len(data)
        _COUNT.pack_into(self._memory, 0, self._used)

    def clear(self) -> None:
        """The text is published."""
        if self._used:
            self._used = 0
            _COUNT.pack_into(self._memory, 0, 0)


def read_pending(path: Path) -> str:
    """Return the text that was held back in ``path`` when its process ended, or an empty string."""
    return _read_used(path, PENDING_SIZE - _COUNT.size).decode("utf-8", "replace")
