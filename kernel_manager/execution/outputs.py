"""IOPub messages of one cell → its nbformat 4.5 outputs. Pure: no kernel, no socket, no clock.

The meaning of each message is Jupyter's (as in nbclient and JupyterLab): consecutive messages of one stream
are one output, a ``display_id`` names every output that was shown with it, ``clear_output(wait=True)`` waits
for the next output. What is ours is that nothing a kernel sends can break or fill the service: messages of the
wrong shape are normalised or replaced by a line that says so, and everything is bounded.

What is kept when a limit is reached:

* Stream text: the first and the last half of ``max_text``; the middle is a line saying how much was cut.
* Number of outputs: the first and the last half of ``max_outputs``. The marker between them is a ``stderr``
  stream: every frontend shows that kind, and nobody parses it as the code's own result.
* Bytes of figures, tables, results and errors: those that came first, up to half of ``max_total``, stay; of
  the later ones the newest stay, and an older one is replaced by a short ``text/plain`` that says what it was.
  Such a replacement takes at most a few KB and is not counted.

Events and their index: ``index`` counts outputs in the order they came, from 0 at the start and again after
each ``OutputsCleared``. Until ``max_outputs`` is passed it is also the position in :attr:`OutputCollector.outputs`.
Later outputs are not announced (except the cell's first error, under its own index), nor is stream text after
``max_text`` characters, so that whoever mirrors the events stays within the same limits. What counts at the end
is ``outputs``.
"""

from __future__ import annotations

import io
import math
import re
from collections import OrderedDict, deque
from dataclasses import dataclass
from itertools import islice
from typing import Any

from kernel_manager.execution.events import (
    DisplayUpdated,
    OutputAdded,
    OutputEvent,
    OutputReplaced,
    OutputsCleared,
    StreamExtended,
)
from kernel_manager.execution.result import Output

#: Characters of text that stay of an output whose data had to go.
_SMALL_TEXT = 2_000
#: What a JSON value costs besides its text: about what it takes in memory.
_NODE_BYTES = 32
#: What an update costs besides its data.
_UPDATE_BYTES = 500
#: Deeper values would exhaust the stack of whoever copies, checks or writes them.
_MAX_DEPTH = 64
_MAX_NAME = 200
_MAX_DISPLAY_ID = 1_000
_MAX_WHOLE_NUMBER = 2**53
_MAX_INT_BITS = 1_024
#: Small messages are gathered into chunks of this many characters, for a chunk has a price of its own.
_CHUNK = 4_096

_TOO_DEEP = f"… nested deeper than {_MAX_DEPTH} levels …"
_MALFORMED = "… a malformed output of the kernel was left out …"
_NOT_LIVE = "\n… more text follows; its end is shown when the cell is done …\n"

_SURROGATE = re.compile("[\ud800-\udfff]")
_JSON_MIME = re.compile(r"application/(.*\+)?json")


@dataclass(frozen=True, slots=True)
class OutputLimits:
    """What one cell may keep.

    ``max_text``: characters of all its stream outputs together. ``max_outputs``: outputs, at least 2.
    ``max_total``: bytes of all its other outputs together (text in UTF-8, images in base64; each number, list
    and so on within JSON counts 32). Raises ValueError when a number is too small.
    """

    max_text: int
    max_outputs: int
    max_total: int

    def __post_init__(self) -> None:
        if self.max_outputs < 2 or self.max_text < 0 or self.max_total < 0:
            raise ValueError(f"max_outputs must be at least 2 and the others not negative: {self}")


class OutputCollector:
    """Collects the outputs of one cell, message by message.

    The work per message does not depend on what came before, except that an update touches every output of its
    ``display_id``.
    """

    def __init__(self, limits: OutputLimits) -> None:
        self._limits = limits
        self._failed = False
        self._clear_pending = False
        self._told = _UpdateBudget(limits.max_total)
        self._reset()

    @property
    def outputs(self) -> list[Output]:
        """The outputs so far: valid nbformat 4.5, a copy, built anew at each access."""
        rendered = [self._rendered(slot) for slot in (*self._head, *self._tail)]
        if self._cut:
            rendered.insert(len(self._head), _stream_output("stderr", f"… {self._cut:,} outputs cut …\n"))
        return rendered

    @property
    def display_ids(self) -> dict[str, list[int]]:
        """Which positions in :attr:`outputs` carry which ``display_id``."""
        moved = len(self._head) + 1 if self._cut else len(self._head)
        positions = [*enumerate(self._head), *enumerate(self._tail, moved)]
        found: dict[str, list[int]] = {}
        for position, slot in positions:
            if isinstance(slot, _Item) and slot.display_id is not None:
                found.setdefault(slot.display_id, []).append(position)
        return found

    @property
    def failed(self) -> bool:
        """Whether an ``error`` output came, even if it was cleared or cut since."""
        return self._failed

    def handle(self, msg: dict[str, Any]) -> list[OutputEvent]:
        """Take in one jupyter_client message and return what it changed; never raises on what is in the message.

        Messages that are no outputs are ignored. ``DisplayUpdated`` comes with every message that names a
        ``display_id``, ``display_data`` and ``execute_result`` included, because outputs of earlier cells with
        that id change too; whether there are any is for the session to know. The last of each id take ``max_total``
        bytes together, at most: an update that would not fit is shortened or not told.
        """
        header, content = msg.get("header"), msg.get("content")
        msg_type = header.get("msg_type") if isinstance(header, dict) else None
        content = content if isinstance(content, dict) else {}
        match msg_type:
            case "stream":
                return self._stream(content)
            case "display_data" | "execute_result":
                return self._display(msg_type, content)
            case "update_display_data":
                return self._update(_display_id(content), _bundle(content, self._limits.max_total))
            case "error":
                return self._error(content)
            case "clear_output":
                return self._clear(wait=bool(content.get("wait")))
        return []

    def _stream(self, content: dict[Any, Any]) -> list[OutputEvent]:
        name = "stderr" if content.get("name") == "stderr" else "stdout"
        text = content.get("text")
        if not isinstance(text, str):
            name, text = "stderr", f"{_MALFORMED}\n"
        events = self._cleared_if_pending()
        stream = self._tail[-1] if self._tail else self._head[-1] if self._head else None
        if isinstance(stream, _Stream) and stream.name == name:
            if stream.announced and (live := self._live(text)):
                events.append(StreamExtended(stream.index, live))
        else:
            stream = _Stream(self._came, name, announced=self._came < self._limits.max_outputs)
            self._append(stream)
            if stream.announced:
                events.append(OutputAdded(stream.index, _stream_output(name, self._live(text))))
        self._text.add(stream, text)
        return events

    def _display(self, output_type: str, content: dict[Any, Any]) -> list[OutputEvent]:
        display_id = _display_id(content)
        bundle = _bundle(content, self._limits.max_total)
        events = self._update(display_id, bundle)
        output: Output = {"output_type": output_type, "data": bundle.data, "metadata": bundle.metadata}
        if output_type == "execute_result":
            output["execution_count"] = whole_number(content.get("execution_count"))
        return events + self._add(output, bundle.cost, display_id)

    def _update(self, display_id: str | None, bundle: _Bundle) -> list[OutputEvent]:
        if display_id is None:
            return []
        events: list[OutputEvent] = []
        for item in [*self._displays.get(display_id, {}).values()]:
            output = {**item.output, "data": bundle.data, "metadata": bundle.metadata}
            shrunk = self._data.admit(item, output, bundle.cost)
            events += _replaced([*shrunk, item])
        if (told := self._told.admit(display_id, bundle)) is not None:
            events.append(DisplayUpdated(display_id, _copied(told.data), _copied(told.metadata)))
        return events

    def _error(self, content: dict[Any, Any]) -> list[OutputEvent]:
        output, cost = _error_output(content, self._limits.max_text)
        events = self._add(output, cost, None, first_error=not self._failed)
        self._failed = True
        return events

    def _add(self, output: Output, cost: int, display_id: str | None, *, first_error: bool = False) -> list[OutputEvent]:
        events = self._cleared_if_pending()
        announced = first_error or self._came < self._limits.max_outputs
        item = _Item(self._came, output, display_id, announced=announced)
        self._append(item)
        if display_id is not None:
            self._displays.setdefault(display_id, {})[item.index] = item
        events += _replaced(self._data.admit(item, output, cost))
        if announced:
            events.append(OutputAdded(item.index, _copied(item.output)))
        return events

    def _clear(self, *, wait: bool) -> list[OutputEvent]:
        self._clear_pending = wait
        if wait:
            return []
        self._reset()
        return [OutputsCleared()]

    def _cleared_if_pending(self) -> list[OutputEvent]:
        return self._clear(wait=False) if self._clear_pending else []

    def _reset(self) -> None:
        self._came = 0
        self._head: list[_Slot] = []
        self._tail: deque[_Slot] = deque()
        self._displays: dict[str, dict[int, _Item]] = {}
        self._text = _TextBudget(self._limits.max_text)
        self._data = _DataBudget(self._limits.max_total)
        self._live_left: int | None = self._limits.max_text

    @property
    def _cut(self) -> int:
        return self._came - len(self._head) - len(self._tail)

    def _append(self, slot: _Slot) -> None:
        self._came += 1
        kept_last = self._limits.max_outputs // 2
        if len(self._head) < self._limits.max_outputs - kept_last:
            self._head.append(slot)
            return
        self._tail.append(slot)
        if len(self._tail) > kept_last:
            self._forget(self._tail.popleft())

    def _forget(self, slot: _Slot) -> None:
        if isinstance(slot, _Stream):
            self._text.release(slot)
            return
        self._data.release(slot)
        if slot.display_id is not None:
            others = self._displays[slot.display_id]
            del others[slot.index]
            if not others:
                del self._displays[slot.display_id]

    def _live(self, text: str) -> str:
        """Return what of ``text`` is announced; None in ``_live_left`` says that the end was announced too."""
        if self._live_left is None:
            return ""
        live = clean_text(text[: self._live_left])
        self._live_left -= len(live)
        if len(live) < len(text):
            self._live_left = None
            return live + _NOT_LIVE
        return live

    def _rendered(self, slot: _Slot) -> Output:
        if isinstance(slot, _Stream):
            return _stream_output(slot.name, self._text.rendered(slot))
        output: Output = _copied(slot.output)
        return output


class _Stream:
    """A stream output: text that stays, then ``cut`` characters that are gone, then text that may still go."""

    __slots__ = ("announced", "cut", "first", "index", "last", "name")

    def __init__(self, index: int, name: str, *, announced: bool) -> None:
        self.index = index
        self.name = name
        self.announced = announced
        self.first = io.StringIO()
        self.cut = 0
        self.last: deque[io.StringIO] = deque()

    def append(self, text: str) -> None:
        if not self.last or self.last[-1].tell() >= _CHUNK:
            self.last.append(io.StringIO())
        self.last[-1].write(text)


class _Item:
    """An output that is no stream. ``output`` is never changed in place, only exchanged."""

    __slots__ = ("announced", "cost", "display_id", "index", "output")

    def __init__(self, index: int, output: Output, display_id: str | None, *, announced: bool) -> None:
        self.index = index
        self.output = output
        self.display_id = display_id
        self.announced = announced
        self.cost = 0


_Slot = _Stream | _Item


class _TextBudget:
    """Keeps the first and the last half of all stream text.

    Only the last stream ever grows, so the streams in the order they came, and their chunks, are the order of
    the text. Whole chunks are let go as soon as the rest is enough; the exact cut is made when rendering.
    """

    def __init__(self, limit: int) -> None:
        self._keep_last = limit // 2
        self._first_left = limit - self._keep_last
        self._last_size = 0
        self._streams: OrderedDict[int, _Stream] = OrderedDict()

    def add(self, stream: _Stream, text: str) -> None:
        first = text[: self._first_left]
        stream.first.write(first)
        self._first_left -= len(first)
        kept = text[max(len(first), len(text) - self._keep_last) :]
        stream.cut += len(text) - len(first) - len(kept)
        if kept:
            stream.append(kept)
            self._streams[stream.index] = stream
            self._last_size += len(kept)
            self._trim()

    def release(self, stream: _Stream) -> None:
        if self._streams.pop(stream.index, None) is not None:
            self._last_size -= sum(chunk.tell() for chunk in stream.last)

    def rendered(self, stream: _Stream) -> str:
        last = "".join(chunk.getvalue() for chunk in stream.last)
        excess = max(0, self._last_size - self._keep_last)
        if not excess or stream is not next(iter(self._streams.values())):
            excess = 0
        first, cut = stream.first.getvalue(), stream.cut + excess
        return clean_text(_joined(first, cut, last[excess:]))

    def _trim(self) -> None:
        while True:
            oldest = next(iter(self._streams.values()))
            size = oldest.last[0].tell()
            if self._last_size - size < self._keep_last:
                return
            oldest.last.popleft()
            oldest.cut += size
            self._last_size -= size
            if not oldest.last:
                del self._streams[oldest.index]


class _DataBudget:
    """Decides which outputs keep their data: the first half of the bytes firmly, then the newest."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._firm = 0
        self._loose: OrderedDict[int, _Item] = OrderedDict()

    def admit(self, item: _Item, output: Output, cost: int) -> list[_Item]:
        """Give ``item`` its (new) output, or its short form if it cannot fit; return the items shrunk for it."""
        self.release(item)
        if cost > self._limit - self._firm:
            item.output, item.cost = _shrunk(output, self._limit), 0
            return []
        shrunk = []
        while self._used + cost > self._limit:
            shrunk.append(self._shrink_oldest())
        item.output, item.cost = output, cost
        self._used += cost
        if self._used <= self._limit // 2:
            self._firm += cost
        else:
            self._loose[item.index] = item
        return shrunk

    def release(self, item: _Item) -> None:
        self._used -= item.cost
        if self._loose.pop(item.index, None) is None:
            self._firm -= item.cost
        item.cost = 0

    def _shrink_oldest(self) -> _Item:
        _, item = self._loose.popitem(last=False)
        self._used -= item.cost
        item.output, item.cost = _shrunk(item.output, self._limit), 0
        return item


class _UpdateBudget:
    """Bounds what whoever keeps the last ``DisplayUpdated`` of each ``display_id`` has to keep."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._costs: dict[str, int] = {}

    def admit(self, display_id: str, bundle: _Bundle) -> _Bundle | None:
        """Return what may be told of an update: all of it, its short form, or nothing."""
        if self._fits(display_id, bundle.cost):
            return bundle
        small = _Bundle(_small_data(bundle.data, self._limit), {}, 0)
        return small if self._fits(display_id, _SMALL_TEXT) else None

    def _fits(self, display_id: str, cost: int) -> bool:
        cost += len(display_id) + _UPDATE_BYTES
        used = self._used - self._costs.get(display_id, 0) + cost
        if used > self._limit:
            return False
        self._used, self._costs[display_id] = used, cost
        return True


class _OverLimitError(Exception):
    """A value takes more than may be kept."""


class _Meter:
    """Copies JSON values into clean ones and counts what they take; raises _OverLimitError past ``limit``."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.spent = 0

    def text(self, value: str) -> str:
        # The length first: encoding makes a copy, which must not be made of something huge.
        self._spend(_NODE_BYTES + len(value))
        if value.isascii():
            return value
        try:
            self._spend(len(value.encode()) - len(value))
        except UnicodeEncodeError:
            self._spend(2 * len(value))
            return clean_text(value)
        return value

    def json(self, value: object, depth: int = 0) -> Any:
        if isinstance(value, str):
            return self.text(value)
        self._spend(_NODE_BYTES)
        if not isinstance(value, (dict, list, tuple)):
            return _scalar(value)
        if depth == _MAX_DEPTH:
            return _TOO_DEEP
        if isinstance(value, dict):
            return {self.text(key): self.json(item, depth + 1) for key, item in value.items() if isinstance(key, str)}
        return [self.json(item, depth + 1) for item in value]

    def _spend(self, amount: int) -> None:
        self.spent += amount
        if self.spent > self._limit:
            raise _OverLimitError


@dataclass(frozen=True, slots=True)
class _Bundle:
    """A clean mime bundle with its metadata and what both take."""

    data: dict[str, Any]
    metadata: dict[str, Any]
    cost: int


def _bundle(content: dict[Any, Any], limit: int) -> _Bundle:
    data, metadata = content.get("data"), content.get("metadata")
    if not isinstance(data, dict):
        return _Bundle({"text/plain": _MALFORMED}, {}, 0)
    meter = _Meter(limit)
    try:
        clean = _mime_data(data, meter)
        return _Bundle(clean, meter.json(metadata) if isinstance(metadata, dict) else {}, meter.spent)
    except _OverLimitError:
        return _Bundle(_small_data(data, limit), {}, 0)


def _mime_data(data: dict[Any, Any], meter: _Meter) -> dict[str, Any]:
    """Keep what nbformat allows; if something had to go and no text is left, the text says so."""
    clean: dict[str, Any] = {}
    for mime, value in data.items():
        if not _is_mime(mime):
            continue
        meter.text(mime)
        if _JSON_MIME.fullmatch(mime):
            clean[mime] = meter.json(value)
        elif (text := _multiline(value)) is not None:
            clean[mime] = meter.text(text)
    if len(clean) < len(data):
        clean.setdefault("text/plain", _MALFORMED)
    return clean


def _is_mime(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= _MAX_NAME and name.isprintable()


def _multiline(value: object) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return None


def _scalar(value: object) -> object:
    """Return a number, boolean or None as JSON can carry it: NaN, infinities and anything else become None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, int):
        return value if value.bit_length() <= _MAX_INT_BITS else None
    return None


def _small_data(data: dict[Any, Any], limit: int) -> dict[str, Any]:
    left_out = [_described(mime, value) for mime, value in islice(data.items(), 8) if _is_mime(mime)]
    if len(data) > len(left_out):
        left_out.append(f"{len(data) - len(left_out):,} more")
    plain = data.get("text/plain")
    text = _clipped(plain, _SMALL_TEXT) + "\n" if isinstance(plain, str) else ""
    return {"text/plain": f"{text}… left out: {', '.join(left_out)}; the outputs of one cell may take {limit:,} bytes …"}


def _described(mime: str, value: object) -> str:
    text = _multiline(value)
    return mime if text is None else f"{mime} ({len(text):,} characters)"


def _shrunk(output: Output, limit: int) -> Output:
    if output["output_type"] != "error":
        return {**output, "data": _small_data(output["data"], limit), "metadata": {}}
    size = sum(map(len, output["traceback"]))
    note = f"… {size:,} characters of traceback left out; the outputs of one cell may take {limit:,} bytes …"
    return {**output, "evalue": _clipped(output["evalue"], _SMALL_TEXT), "traceback": [note]}


def _error_output(content: dict[Any, Any], max_text: int) -> tuple[Output, int]:
    ename, evalue = content.get("ename"), content.get("evalue")
    lines = _traceback(content.get("traceback"), max_text)
    output: Output = {
        "output_type": "error",
        "ename": _clipped(ename, _MAX_NAME) if isinstance(ename, str) else "Error",
        "evalue": _clipped(evalue, max(max_text, _SMALL_TEXT)) if isinstance(evalue, str) else "",
        "traceback": lines,
    }
    cost = len(output["evalue"].encode()) + sum(_NODE_BYTES + len(line.encode()) for line in lines)
    return output, cost


def _traceback(value: object, max_text: int) -> list[str]:
    lines = [line for line in value if isinstance(line, str)] if isinstance(value, list) else []
    limit = max(max_text, _SMALL_TEXT)
    if sum(map(len, lines)) + len(lines) <= limit:
        return [clean_text(line) for line in lines]
    # Frontends join the lines with newlines, so one string of several lines looks the same.
    return [_clipped("\n".join(lines), limit)]


def _stream_output(name: str, text: str) -> Output:
    return {"output_type": "stream", "name": name, "text": text}


def _replaced(items: list[_Item]) -> list[OutputEvent]:
    return [OutputReplaced(item.index, _copied(item.output)) for item in items if item.announced]


def _display_id(content: dict[Any, Any]) -> str | None:
    transient = content.get("transient")
    display_id = transient.get("display_id") if isinstance(transient, dict) else None
    if isinstance(display_id, str) and 0 < len(display_id) <= _MAX_DISPLAY_ID:
        return clean_text(display_id)
    return None


def whole_number(value: object) -> int | None:
    """Return an execution count as it came, or None if it cannot be one."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_WHOLE_NUMBER:
        return value
    return None


def _clipped(text: str, keep: int) -> str:
    """Return ``text`` without lone surrogates, and without its middle if it is longer than ``keep``."""
    if len(text) <= keep:
        return clean_text(text)
    last = keep // 2
    first = keep - last
    return clean_text(_joined(text[:first], len(text) - keep, text[len(text) - last :]))


def _joined(first: str, cut: int, last: str) -> str:
    if not cut:
        return first + last
    line_end = "\n" if first and not first.endswith("\n") else ""
    return f"{first}{line_end}… {cut:,} characters cut …\n{last}"


def clean_text(text: str) -> str:
    """Replace lone surrogates, which UTF-8 cannot carry; the length stays the same."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return value
