"""How a turn looks in Discord: events in, a chain of messages out. Pure.

:class:`TurnRendering` takes the events of a turn and tells, at any time, which messages there should be: panels of text
(Components V2, edited as they grow, the buttons on the last one) and messages with files, which are sent once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

from bot.agent.events import (
    AgentEvent,
    CodeEnded,
    CodeStarted,
    FigureShown,
    FileWritten,
    InputWanted,
    OutputShown,
    PackagesInstalled,
    PackagesInstalling,
    TextDelta,
    TextEnded,
    TextWithdrawn,
    TurnEnded,
    TurnWaiting,
    Warned,
)
from bot.agent.pictures import picture_of
from bot.cell_text import SHOWN, cell_text, output_text
from bot.markdown import fenced, harmless, head, size, split_markdown, verbatim
from bot.uploads import Upload, digest, of_bytes, of_picture, pack
from kernel_manager.execution.events import (
    DisplayUpdated,
    OutputAdded,
    OutputEvent,
    OutputReplaced,
    OutputsCleared,
    StreamExtended,
)
from kernel_manager.execution.result import ExecutionResult, Output

#: Characters of an ordinary message, and of a message of components (at most 40 of these; a panel has 8 at most).
MESSAGE_LIMIT = 2_000
PANEL_LIMIT = 4_000
#: Characters of one answer that stand in messages; a longer one goes along as a file.
_ANSWER_SHOWN = 8_000
_MARKS = {"ok": "✅", "error": "❌", "timeout": "⏱️", "interrupted": "⏹️", "died": "💥"}
_WORDS = {"ok": "done", "error": "failed", "timeout": "out of time", "interrupted": "stopped", "died": "its kernel died"}

ButtonName = Literal["stop", "answer", "again", "code", "notebook", "reset"]
_AFTER: tuple[ButtonName, ...] = ("again", "code", "notebook", "reset")


@dataclass(frozen=True, slots=True)
class Panel:
    """A message of text; ``buttons`` are the names of those below it."""

    text: str
    buttons: tuple[ButtonName, ...] = ()


@dataclass(frozen=True, slots=True)
class Files:
    """A message of files."""

    uploads: tuple[Upload, ...]


Post = Panel | Files


@dataclass
class _RunningCell:
    number: int
    code: str
    since: datetime
    outputs: dict[int, Output] = field(default_factory=dict)
    installing: str = ""

    def take(self, event: OutputEvent) -> None:
        match event:
            case OutputAdded(index=index, output=output) | OutputReplaced(index=index, output=output):
                self.outputs[index] = dict(output)
            case StreamExtended(index=index, text=text) if index in self.outputs:
                output = self.outputs[index]
                # its end is enough: the result has all of it
                output["text"] = (str(output.get("text", "")) + text)[-4 * SHOWN :]
            case OutputsCleared():
                self.outputs.clear()
            case DisplayUpdated() | StreamExtended():
                pass

    @property
    def text(self) -> str:
        state = self.installing or f"running since <t:{int(self.since.timestamp())}:R>"
        return "\n".join([f"▶️ Cell {self.number} · {state}", *self.shown])

    @property
    def shown(self) -> list[str]:
        """The end of what it printed so far, as a block; empty if that is nothing."""
        text = "\n".join(text for output in self.outputs.values() if (text := output_text(output).strip("\n")))
        return [fenced(text[-SHOWN:])] if text else []


class TurnRendering:
    """The messages of one turn. ``file_limit`` is how many bytes of files one request may carry."""

    def __init__(self, file_limit: int) -> None:
        self._file_limit = file_limit
        self._parts: list[str | Files] = []
        self._text = ""
        self._cell: _RunningCell | None = None
        self._uploads: list[Upload] = []
        self._posted: set[str] = set()
        self._figures = 0
        self._cells = 0
        self._question: InputWanted | None = None
        self._waiting = False
        self._ended: TurnEnded | None = None

    @property
    def cells(self) -> int:
        """How many cells the turn has run so far."""
        return self._cells

    def take(self, event: AgentEvent, now: datetime) -> None:
        """Take in an event that happened ``now``."""
        match event:
            case TextDelta() | TextWithdrawn() | TextEnded():
                self._take_text(event)
            case CodeStarted():
                self._waiting = False
                self._cells += 1
                self._cell = _RunningCell(event.number, event.code, now)
            case CodeEnded():
                self._end_cell(event.number, event.result)
            case FigureShown(data=data, description=description):
                self._add_figure(data, description)
            case FileWritten(file=file):
                self._add(Upload(Path(file.filename).name, Path(file.path), file.size))
            case TurnEnded():
                self._end(event)
            case _:
                self._take_remark(event)

    def note_answer(self) -> None:
        """The question of the code has its answer."""
        self._question = None

    def _take_text(self, event: TextDelta | TextWithdrawn | TextEnded) -> None:
        self._waiting = False
        match event:
            case TextDelta(text=text):
                self._text += text
            case TextWithdrawn():
                self._text = ""
            case TextEnded(text=text):
                self._text = ""
                self._say(text)

    def _take_remark(self, event: AgentEvent) -> None:
        match event:
            case TurnWaiting():
                self._waiting = True
            case InputWanted():
                self._question = event
            case OutputShown(event=shown) if self._cell is not None:
                self._cell.take(shown)
            case PackagesInstalling(line=line) if self._cell is not None:
                self._cell.installing = f"installing · {verbatim(line, 120)}"
            case PackagesInstalled(names=names):
                if self._cell is not None:
                    self._cell.installing = ""
                self._parts.append(f"-# installed {verbatim(', '.join(names), 300)}")
            case Warned(text=text):
                self._parts.append(f"-# ⚠️ {verbatim(text, 600)}")

    def _say(self, text: str) -> None:
        if not text.strip():
            return
        if size(text) <= _ANSWER_SHOWN:
            self._parts.append(harmless(text))
            return
        shown = "\n".join(split_markdown(harmless(text), _ANSWER_SHOWN - 1_000)[:1])
        self._parts += [f"{shown}\n-# the answer goes on in the file", Files((of_bytes("answer.md", text.encode()),))]

    def _end_cell(self, number: int, result: ExecutionResult) -> None:
        shown = cell_text(result.outputs, number)
        lines = [f"{_MARKS[result.status]} Cell {number} · {_WORDS[result.status]} · {result.duration_s:.1f} s"]
        lines += [shown.markdown] if shown.markdown else []
        if result.cause and result.status != "error":
            lines.append(f"-# {verbatim(result.cause, 600)}")
        if result.state_lost:
            lines.append("-# All variables of this session are lost.")
        for upload in shown.uploads:
            self._add(upload)
        packed = pack(self._uploads, self._file_limit)
        lines += [f"-# {_too_large(upload, self._file_limit)}" for upload in packed.too_large[:5]]
        if len(packed.too_large) > 5:
            lines.append(f"-# and {len(packed.too_large) - 5} more files are too large")
        self._parts += ["\n".join(lines), *(Files(batch) for batch in packed.batches)]
        self._uploads, self._cell, self._question = [], None, None

    def _add_figure(self, data: Mapping[str, object], description: str) -> None:
        picture = picture_of(data, None)
        self._figures += 1
        upload = None if picture is None else of_picture(picture, self._figures)
        if upload is not None:
            self._add(Upload(upload.filename, upload.content, upload.size, description[:1024]))

    def _add(self, upload: Upload) -> None:
        """Once each: the same bytes are not sent again, whatever they are called now."""
        if isinstance(upload.content, bytes):
            mark = digest(upload.content)
            if mark in self._posted:
                return
            self._posted.add(mark)
        self._uploads.append(upload)

    def _end(self, event: TurnEnded) -> None:
        if self._cell is not None:
            self._parts.append("\n".join([f"⏹️ Cell {self._cell.number} · stopped", *self._cell.shown]))
        self._say(self._text)
        self._text, self._cell, self._question, self._ended = "", None, None, event

    # --- the messages ---------------------------------------------------------------------------------------------

    def posts(self) -> list[Post]:
        """Return the messages of the turn as they should be now, the oldest first."""
        posts: list[Post] = []
        for part in [*self._parts, *self._current()]:
            if isinstance(part, Files):
                posts.append(part)
                continue
            for piece in split_markdown(part, PANEL_LIMIT):
                last = posts[-1] if posts else None
                if isinstance(last, Panel) and size(last.text) + 1 + size(piece) <= PANEL_LIMIT:
                    posts[-1] = Panel(f"{last.text}\n{piece}")
                else:
                    posts.append(Panel(piece))
        last = posts[-1]
        assert isinstance(last, Panel)
        return [*posts[:-1], Panel(last.text, self._buttons())]

    def _current(self) -> list[str]:
        parts = [head(harmless(self._text), _ANSWER_SHOWN)] if self._text.strip() else []
        parts += [self._cell.text] if self._cell is not None else []
        return [*parts, self._status()]

    def _status(self) -> str:
        if self._ended is not None:
            return _footer(self._ended, self._cells)
        if self._question is not None:
            hidden = " (it is not shown)" if self._question.password else ""
            return f"⌨️ The code asks{hidden}: {verbatim(self._question.prompt, 300) or 'for input'}"
        return "-# ⏳ waiting for another turn of this session" if self._waiting else "-# ⏳ working"

    def _buttons(self) -> tuple[ButtonName, ...]:
        if self._ended is None:
            return ("answer", "stop") if self._question is not None else ("stop",)
        return _AFTER if self._cells else ("notebook", "reset")


def _footer(ended: TurnEnded, cells: int) -> str:
    ran = f"{cells} cell{'s' if cells != 1 else ''} · {ended.usage.seconds:.1f} s" if cells else "no code"
    word = {"completed": "done", "stopped": "stopped", "limit": "not begun", "failed": "failed"}[ended.status]
    reason = f" · {verbatim(ended.reason, 600)}" if ended.reason and ended.status != "stopped" else ""
    return f"-# {word} · {ran}{reason}"


def _too_large(upload: Upload, limit: int) -> str:
    return (
        f"{verbatim(upload.filename, 100)} has {upload.size / 2**20:.1f} MiB and Discord takes {limit / 2**20:.0f} MiB here: "
        "ask for a smaller or compressed one"
    )
