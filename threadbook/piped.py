"""Cells from a stdin that is no terminal: a file, a pipe, another program."""

from __future__ import annotations

import asyncio
import codecs
import os
import threading
from collections.abc import Awaitable, Callable

from threadbook.completeness import continues_block, is_block, parses

#: Asked for a text; returns Jupyter's word for whether it is a whole cell.
IsComplete = Callable[[str], Awaitable[str]]

_CHUNK = 65_536
#: A line that belongs to the block before it has come by then, if a file or a program sends it.
_NEXT_LINE_S = 0.1


class LineReader:
    """The lines of a descriptor, without their ends, as they come."""

    def __init__(self, descriptor: int) -> None:
        """Start to read. The thread that does ends with the process: a pipe may never have an end."""
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._ahead: list[str | None] = []
        threading.Thread(target=self._read, args=(descriptor,), daemon=True, name="stdin").start()

    async def next(self) -> str | None:
        """Return the next line, or None at the end."""
        line = self._ahead.pop() if self._ahead else await self._lines.get()
        if line is None:
            self._ahead.append(None)
        return line

    async def peek(self, seconds: float) -> str | None:
        """Return the next line, which stays the next one, if it comes within that time; else None."""
        if not self._ahead:
            try:
                self._ahead.append(await asyncio.wait_for(self._lines.get(), seconds))
            except TimeoutError:
                return None
        return self._ahead[-1]

    def _read(self, descriptor: int) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        held = ""
        try:
            while chunk := os.read(descriptor, _CHUNK):
                *lines, held = (held + decoder.decode(chunk)).split("\n")
                self._put(*lines)
        except OSError:
            pass  # what cannot be read has ended
        held += decoder.decode(b"", final=True)
        self._put(*([held] if held else []), None)

    def _put(self, *lines: str | None) -> None:
        try:
            for line in lines:
                self._loop.call_soon_threadsafe(self._lines.put_nowait, line.removesuffix("\r") if line else line)
        except RuntimeError:
            pass  # the loop is closed: nobody wants to know


async def next_cell(lines: LineReader, is_complete: IsComplete) -> str | None:
    """Return the next cell, or None at the end.

    A cell ends with the line that makes it complete. A block ends with an empty line, or before a line that does
    not belong to it; what follows at once and may belong to it, as in a script, does.
    """
    text = ""
    while (line := await lines.next()) is not None:
        if not text and not line.strip():
            continue
        text = f"{text}\n{line}" if text else line
        if text.startswith(":") or await _ends_here(text, lines, is_complete):
            return text
    return text or None


async def _ends_here(text: str, lines: LineReader, is_complete: IsComplete) -> bool:
    complete = await is_complete(text) != "incomplete"
    if is_block(text) and (complete or parses(text)):
        following = await lines.peek(_NEXT_LINE_S)
        if following is not None:
            return not continues_block(following)
    return complete
