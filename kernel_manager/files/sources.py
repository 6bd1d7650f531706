"""Where the bytes of a file come from: a path, bytes, or a stream, read in chunks whoever gives them."""

from __future__ import annotations

import asyncio
import inspect
import os
import stat
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, Protocol

from kernel_manager.errors import UsageError

CHUNK = 1 << 20

_Read = Callable[[int], bytes]


class AsyncReadable(Protocol):
    """A stream whose ``read`` is awaited."""

    def read(self, size: int = ..., /) -> Awaitable[bytes]:
        """Return up to ``size`` bytes, none at the end."""


Stream = BinaryIO | AsyncReadable | AsyncIterable[bytes] | bytes | os.PathLike[str]


async def chunks_of(stream: Stream, name: str) -> AsyncIterator[bytes]:
    """Yield what the stream gives, in chunks of at most CHUNK bytes; blocking reads happen in a thread.

    Raises UsageError if it cannot be read or gives no bytes. ``name`` is what the errors call it.
    """
    if isinstance(stream, bytes | bytearray | memoryview):
        for start in range(0, len(stream), CHUNK):
            yield bytes(stream[start : start + CHUNK])
    elif isinstance(stream, os.PathLike):
        with opened(stream, name) as read:
            while chunk := await asyncio.to_thread(read, CHUNK):
                yield chunk
    elif isinstance(stream, AsyncIterable):
        async for chunk in stream:
            for start in range(0, len(checked(chunk, name)), CHUNK):
                yield chunk[start : start + CHUNK]
    else:
        while chunk := await _read_once(stream, name):
            yield chunk


async def _read_once(stream: BinaryIO | AsyncReadable, name: str) -> bytes:
    read = getattr(stream, "read", None)
    if read is None:
        raise UsageError(f"{name}: a {type(stream).__name__} is no stream; give a path, bytes, or something with read()")
    if inspect.iscoroutinefunction(read):
        return checked(await read(CHUNK), name)
    chunk = await asyncio.to_thread(_reader(stream, name), CHUNK)
    return checked(await chunk if inspect.isawaitable(chunk) else chunk, name)


def checked(chunk: object, name: str) -> bytes:
    """Return what a stream gave if it is bytes; raises UsageError."""
    if not isinstance(chunk, bytes):
        raise UsageError(f"{name}: its stream gives no bytes; open it in binary mode")
    return chunk


@contextmanager
def opened(path_or_stream: str | os.PathLike[str] | BinaryIO, name: str) -> Iterator[_Read]:
    """What reads the source. Raises :class:`UsageError` if it cannot be opened, and the reader if it cannot be read."""
    if not isinstance(path_or_stream, (str, os.PathLike)):
        reader = _reader(path_or_stream, name)
        yield lambda size: checked(reader(size), name)
        return
    path = os.fspath(path_or_stream)
    try:
        # Without O_NONBLOCK a FIFO that nobody writes to would hold the caller here.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError as exc:
        raise UsageError(f"there is no file {path}; check the path") from exc
    except (OSError, ValueError) as exc:
        raise UsageError(f"{path} cannot be read ({cause(exc)}); check the path and its permissions") from exc
    try:
        _check_regular(os.fstat(descriptor).st_mode, path)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            reader = _reader(file, name)
            yield lambda size: checked(reader(size), name)
    finally:
        os.close(descriptor)


def _check_regular(mode: int, path: str) -> None:
    if stat.S_ISDIR(mode):
        raise UsageError(f"{path} is a folder; hand in the files in it one by one, or an archive of it")
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path} is not a regular file; copy what it gives into one and hand that in")


def _reader(stream: BinaryIO | AsyncReadable, name: str) -> Callable[[int], object]:
    def read(size: int) -> object:
        try:
            return stream.read(size)
        except OSError as exc:
            raise UsageError(f"{name} cannot be read ({cause(exc)}); check where it comes from") from exc

    return read


def cause(exc: OSError | ValueError) -> str:
    """Return what the system says about an error."""
    return (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
