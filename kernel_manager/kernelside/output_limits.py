"""Bounds on what a cell sends, at the source: a flood must not bury the end of the cell.

Nothing here is a protection (the code of a cell owns this process); the service has bounds of its own. These keep the
socket's queue short, so that ``idle`` arrives, and what comes out useful: the head and the tail, and how much was cut.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

#: Characters that one flush of a stream sends at most.
FLUSH_LIMIT = 128 * 1024
#: Flushes on request within one interval; more are left to the timer.
FLUSHES_PER_INTERVAL = 50
#: Bytes of one value in a mime bundle, and lines of a traceback.
VALUE_LIMIT = 24 * 1024 * 1024
TEXT_VALUE_LIMIT = 256 * 1024
TRACEBACK_LIMIT = 400
#: Bytes of one message; the service's sockets take a little more.
MESSAGE_LIMIT = 48 * 1024 * 1024

DISPLAY_BURST = 400
DISPLAYS_PER_SECOND = 20.0
DISPLAYS_HELD = 20
#: The same in characters: a service that reads slowly must not fill this process's memory with what waits for it.
DISPLAY_SIZE_BURST = 64 * 1024 * 1024
DISPLAY_SIZE_PER_SECOND = 16.0 * 1024 * 1024
DISPLAY_SIZE_HELD = 48 * 1024 * 1024

Message = dict[str, Any]


class TextBuffer:
    """Text between two flushes: its first and last ``limit / 2`` characters, and how many lay between."""

    def __init__(self, limit: int = FLUSH_LIMIT) -> None:
        self._half = limit // 2
        self._head: list[str] = []
        self._head_size = 0
        self._tail: list[str] = []
        self._tail_size = 0
        self._cut = 0

    def write(self, text: str) -> None:
        """Append ``text``, however long, without copying more than is kept."""
        room = self._half - self._head_size
        if room > 0:
            self._head.append(text[:room])
            self._head_size += min(room, len(text))
            if len(text) <= room:
                return
        start = max(room, 0)
        kept = text[max(start, len(text) - self._half) :]
        self._cut += len(text) - start - len(kept)
        self._tail.append(kept)
        self._tail_size += len(kept)
        if self._tail_size > 2 * self._half:
            self._shorten_tail()

    def _shorten_tail(self) -> None:
        tail = "".join(self._tail)[-self._half :]
        self._cut += self._tail_size - len(tail)
        self._tail, self._tail_size = [tail], len(tail)

    def take(self) -> str:
        """Return the text, with a line where it was cut."""
        if self._tail_size > self._half:
            self._shorten_tail()
        middle = cut_note(self._cut) if self._cut else ""
        return "".join(self._head) + middle + "".join(self._tail)


def cut_note(characters: int) -> str:
    """Return the line that stands for ``characters`` that were cut."""
    return f"\n… {characters:,} characters cut …\n"


class DisplayLimiter:
    """Lets displays of a cell through: a burst, then a steady rate, in number and in size; only the last of what waits are kept.

    ``admit`` and ``finish`` return the messages to send now, in order.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._held: deque[tuple[Message, int]] = deque()
        self.begin()

    def begin(self) -> None:
        """A new cell starts."""
        self._held.clear()
        self._held_size = 0
        self._tokens = float(DISPLAY_BURST)
        self._size_tokens = float(DISPLAY_SIZE_BURST)
        self._refilled = self._clock()
        self.cut = 0

    def admit(self, message: Message) -> list[Message]:
        """Take one display message and return what may be sent now."""
        self._refill()
        if not self._replaces_held(message):
            self._hold(message)
        ready = []
        while self._held and self._tokens >= 1 and self._size_tokens > 0:
            self._tokens -= 1
            self._size_tokens -= self._held[0][1]
            ready.append(self._release())
        return ready

    def finish(self) -> list[Message]:
        """The cell is over: return what still waits."""
        return [self._release() for _ in range(len(self._held))]

    def _hold(self, message: Message) -> None:
        size = size_of(message)
        self._held.append((message, size))
        self._held_size += size
        while len(self._held) > DISPLAYS_HELD or (self._held_size > DISPLAY_SIZE_HELD and len(self._held) > 1):
            self._release()
            self.cut += 1

    def _release(self) -> Message:
        message, size = self._held.popleft()
        self._held_size -= size
        return message

    def _refill(self) -> None:
        now = self._clock()
        since = now - self._refilled
        self._tokens = min(DISPLAY_BURST, self._tokens + since * DISPLAYS_PER_SECOND)
        self._size_tokens = min(DISPLAY_SIZE_BURST, self._size_tokens + since * DISPLAY_SIZE_PER_SECOND)
        self._refilled = now

    def _replaces_held(self, message: Message) -> bool:
        if message.get("msg_type") != "update_display_data":
            return False
        display_id = _display_id(message)
        for index, (held, size) in enumerate(self._held):
            if held.get("msg_type") == "update_display_data" and _display_id(held) == display_id:
                self._held[index] = (message, size_of(message))
                self._held_size += self._held[index][1] - size
                return True
        return False


def size_of(value: object) -> int:
    """About how many characters a message, or a part of one, has as JSON."""
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, dict):
        return sum(map(size_of, value.values()))
    return sum(map(size_of, value)) if isinstance(value, (list, tuple)) else 8


def _display_id(message: Message) -> object:
    return (message.get("content", {}).get("transient") or {}).get("display_id")


def shorten_content(content: dict[str, Any]) -> None:
    """Cut values that nobody can use in place: a 2 GB text, a traceback of a million lines."""
    data = content.get("data")
    if isinstance(data, dict):
        _shorten_bundle(data)
    traceback = content.get("traceback")
    if isinstance(traceback, list):
        if len(traceback) > TRACEBACK_LIMIT:
            half = TRACEBACK_LIMIT // 2
            traceback[half:-half] = [f"… {len(traceback) - 2 * half:,} entries cut …"]
        content["traceback"] = [_shorten_text(str(entry)) for entry in traceback]
    if isinstance(evalue := content.get("evalue"), str):
        content["evalue"] = _shorten_text(evalue)


def _shorten_bundle(data: dict[str, Any]) -> None:
    notes = []
    for mime, value in list(data.items()):
        if isinstance(value, str) and mime != "text/plain" and len(value) > VALUE_LIMIT:
            notes.append(f"({mime} of {len(value):,} characters left out: more than {VALUE_LIMIT:,})")
            del data[mime]
    text = data.get("text/plain", "")
    if isinstance(text, str) and (notes or "text/plain" in data):
        data["text/plain"] = "\n".join([*notes, _shorten_text(text)])


def _shorten_text(text: str) -> str:
    if len(text) <= TEXT_VALUE_LIMIT:
        return text
    half = TEXT_VALUE_LIMIT // 2
    return text[:half] + cut_note(len(text) - 2 * half) + text[-half:]


def left_out(content: Message, size: int) -> Message:
    """Return what is sent in place of a content that makes a message of ``size`` bytes."""
    note = f"(an output of {size:,} bytes left out: more than {MESSAGE_LIMIT:,})"
    kept: Message = {
        name: content[name] for name in ("transient", "execution_count", "name", "ename", "status") if name in content
    }
    if "data" in content:
        return {**kept, "data": {"text/plain": note}, "metadata": {}}
    if "text" in content:
        return {**kept, "text": note}
    return {**kept, "evalue": note, "traceback": [note]}


def encodable(value: Any) -> Any:
    """Return ``value`` with every character that UTF-8 cannot carry (a lone surrogate) replaced."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {encodable(key): encodable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encodable(item) for item in value]
    return value
