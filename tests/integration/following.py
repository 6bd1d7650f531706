"""Following a cell while it runs, and reading what came of it."""

from __future__ import annotations

import asyncio
import base64
import struct
import uuid
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from kernel_manager import CellFinished, Event, ExecutionResult, InputRequested, Output, Session, Settings, open_interpreter
from tests.integration.support import PATIENCE

EventType = TypeVar("EventType")


class Follower:
    """Runs a cell in a task; what it says can be waited for. Questions are answered by ``answer``, if given."""

    def __init__(
        self, session: Session, code: str, *, timeout: float | None = None, answer: Callable[[str], str | None] | None = None
    ) -> None:
        self.events: list[Event] = []
        self._answer = answer
        self._changed = asyncio.Condition()
        self._task = asyncio.create_task(self._follow(session, code, timeout))

    async def _follow(self, session: Session, code: str, timeout: float | None) -> ExecutionResult:
        async for event in session.run(code, timeout=timeout):
            async with self._changed:
                self.events.append(event)
                self._changed.notify_all()
            if isinstance(event, InputRequested) and self._answer is not None:
                event.answer(self._answer(event.prompt))
            elif isinstance(event, CellFinished):
                return event.result
        raise AssertionError("the cell did not say that it was over")

    async def event(self, kind: type[EventType], number: int = 0) -> EventType:
        """Wait for the event of a kind that is the ``number``-th of its kind, from 0."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: len(self.all(kind)) > number)
            return self.all(kind)[number]

    def all(self, kind: type[EventType]) -> list[EventType]:
        """The events of a kind, so far."""
        return [event for event in self.events if isinstance(event, kind)]

    async def result(self) -> ExecutionResult:
        """Wait for the cell's end."""
        async with asyncio.timeout(PATIENCE):
            return await self._task


@asynccontextmanager
async def session_with(settings: Settings, **changes: Any) -> AsyncIterator[Session]:
    """A session of a service with other settings, on the same folders; its kernel is ended afterwards."""
    async with open_interpreter(settings.model_copy(update=changes)) as interpreter:
        session = await interpreter.session("other", uuid.uuid4().hex)
        yield session
        await session.stop()


async def events_of(session: Session, code: str, **options: Any) -> list[Event]:
    """Run a cell to its end and return all that was said."""
    follower = Follower(session, code, **options)
    await follower.result()
    return follower.events


def written(result: ExecutionResult, name: str = "stdout") -> str:
    """What the cell wrote to one of its streams."""
    return "".join(output["text"] for output in result.outputs if output["output_type"] == "stream" and output["name"] == name)


def kinds(result: ExecutionResult) -> list[str]:
    """The outputs' types, in order; a stream counts by its name."""
    return [output.get("name") or output["output_type"] for output in result.outputs]


def shown(result: ExecutionResult, mime: str = "text/plain") -> list[Any]:
    """What was displayed, in one mime type, in order."""
    return [output["data"][mime] for output in result.outputs if mime in output.get("data", {})]


def figures(result: ExecutionResult) -> list[bytes]:
    """The PNG images that were displayed, in order."""
    return [base64.b64decode(image) for image in shown(result, "image/png")]


def failure(result: ExecutionResult) -> Output:
    """The one error among the outputs."""
    (output,) = (output for output in result.outputs if output["output_type"] == "error")
    return output


def colours(png: bytes) -> set[bytes]:
    """The pixels of a PNG with 8 bits a channel, each once; raises if it is damaged."""
    chunks = _png_chunks(png)
    width, _height, depth, colour_type, *_ = struct.unpack(">IIBBBBB", chunks["IHDR"])
    assert depth == 8
    size = {0: 1, 2: 3, 4: 2, 6: 4}[colour_type]
    rows = zlib.decompress(chunks["IDAT"])
    found: set[bytes] = set()
    above = bytes(width * size)
    for start in range(0, len(rows), width * size + 1):
        above = _unfiltered(rows[start], rows[start + 1 : start + 1 + width * size], above, size)
        found.update(above[at : at + size] for at in range(0, len(above), size))
    return found


def _png_chunks(png: bytes) -> dict[str, bytes]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    chunks: dict[str, bytes] = {}
    position = 8
    while position < len(png):
        length, name = struct.unpack_from(">I4s", png, position)
        data = png[position + 8 : position + 8 + length]
        assert struct.unpack_from(">I", png, position + 8 + length)[0] == zlib.crc32(name + data)
        chunks[name.decode()] = chunks.get(name.decode(), b"") + data
        position += length + 12
    assert "IEND" in chunks
    return chunks


def _unfiltered(kind: int, row: bytes, above: bytes, size: int) -> bytes:
    pixels = bytearray(row)
    for at in range(len(pixels)):
        left = pixels[at - size] if at >= size else 0
        corner = above[at - size] if at >= size else 0
        guess = (0, left, above[at], (left + above[at]) // 2, _paeth(left, above[at], corner))[kind]
        pixels[at] = (pixels[at] + guess) & 0xFF
    return bytes(pixels)


def _paeth(left: int, above: int, corner: int) -> int:
    estimate = left + above - corner
    return min((left, above, corner), key=lambda value: abs(estimate - value))
