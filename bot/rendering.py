"""How a turn looks in Discord: events in, a chain of messages out. Pure.

:class:`TurnRendering` takes the events of a turn and tells, at any time, which messages there should be: panels of text
(Components V2, edited as they grow, the buttons on the last one) and messages with files, which are sent once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bot.agent.events import (
    AgentEvent,
    CodeEnded,
    CodeRunning,
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
from bot.agent.pictures import MIMES, picture_of, saved_names
from bot.cell_text import cell_text
from bot.markdown import fenced, harmless, head, plain, size, split_markdown, verbatim
from bot.markdown_tables import MarkdownTable, split_tables
from bot.outbox import Outbox
from bot.posts import ButtonName, Files, Panel, Post, posts_of
from bot.running_cell import RunningCell
from bot.tables import table_of
from bot.uploads import of_bytes, of_file
from kernel_manager.execution.result import ExecutionResult, Output, WrittenFile

#: Characters of one answer that stand in messages; a longer one goes along as a file.
_ANSWER_SHOWN = 8_000
_NAMED = 5
_MARKS = {"ok": "✅", "error": "❌", "timeout": "⏱️", "interrupted": "⏹️", "died": "💥"}
_WORDS = {"ok": "done", "error": "failed", "timeout": "out of time", "interrupted": "stopped", "died": "its kernel died"}
_AFTER: tuple[ButtonName, ...] = ("again", "edit", "code", "notebook", "reset")


class TurnRendering:
    """The messages of one turn. ``file_limit`` is how many bytes of files one request may carry.

    ``planned`` is how many cells the turn is to run, if that is known.
    """

    def __init__(self, file_limit: int, planned: int = 0) -> None:
        self._planned = planned
        self._parts: list[str | Files] = []
        self._over: list[Post] = []
        self._put = 0
        self._text = ""
        self._cell: RunningCell | None = None
        self._outbox = Outbox(file_limit)
        self._cells = 0
        self._tables = 0
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
                self._cell = RunningCell(event.number, event.code)
            case CodeEnded():
                self._end_cell(event.number, event.result)
            case FigureShown(data=data, description=description):
                self._outbox.add_figure(data, description)
            case FileWritten(file=file):
                self._outbox.add(of_file(file))
            case TurnEnded():
                self._end(event)
            case TurnWaiting() | CodeRunning() | PackagesInstalling():
                self._take_state(event, now)
            case _:
                self._take_remark(event, now)

    def note_answer(self, text: str) -> None:
        """The question of the code has its answer."""
        question, self._question = self._question, None
        if question is not None and self._cell is not None:
            given = "••••" if question.password else verbatim(text, 200)
            self._cell.answers.append(f"-# ⌨️ {verbatim(question.prompt, 200) or 'input'} → {given}")

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

    def _take_remark(self, event: AgentEvent, now: datetime) -> None:
        match event:
            case InputWanted():
                self._question = event
            case OutputShown(event=shown) if self._cell is not None:
                self._cell.take(shown, now)
            case PackagesInstalled(names=names):
                self._parts.append(f"-# installed {verbatim(', '.join(names), 300)}")
            case Warned(text=text):
                self._parts.append(f"-# ⚠️ {verbatim(text, 600)}")

    def _take_state(self, event: TurnWaiting | CodeRunning | PackagesInstalling, now: datetime) -> None:
        state = ""
        match event:
            case TurnWaiting():
                self._waiting = self._cell is None
                state = "queued behind another turn of this session"
            case CodeRunning():
                state = f"running since <t:{int(now.timestamp())}:R>"
            case PackagesInstalling(line=line):
                state = f"installing · {verbatim(line, 120)}"
        if self._cell is not None:
            self._cell.state = state

    def _say(self, text: str) -> None:
        if not text.strip():
            return
        if size(text) <= _ANSWER_SHOWN:
            for piece in split_tables(text):
                self._say_piece(piece)
            return
        shown = "\n".join(split_markdown(harmless(text), _ANSWER_SHOWN - 1_000)[:1])
        whole = Files((of_bytes("answer.md", text.encode("utf-8", "replace")),))
        self._parts += [f"{shown}\n-# the answer goes on in the file", whole]

    def _say_piece(self, piece: str | MarkdownTable) -> None:
        if isinstance(piece, str):
            self._parts += [harmless(piece.strip("\n"))] if piece.strip() else []
            return
        table = table_of([[plain(cell) for cell in row] for row in piece.rows])
        self._tables += 1
        if table.text:
            self._parts.append(fenced(table.text))
        for suffix, content in ((".png", table.png), (".csv", table.csv)):
            if content is not None:
                self._outbox.add(of_bytes(f"answer-table-{self._tables}{suffix}", content))
        self._parts += self._outbox.post(self._cells)

    # --- cells ----------------------------------------------------------------------------------------------------

    @property
    def waits(self) -> timedelta | None:
        """How long after now :meth:`settle` may have something to post although no event came; None if nothing can."""
        return self._cell.waits if self._cell is not None else None

    def settle(self, now: datetime) -> None:
        """Have figures of the running cell posted that have stood long enough."""
        cell = self._cell
        if cell is None or (last := cell.settled(now)) is None:
            return
        told = cell.tell(last)
        shown = cell_text(told, cell.number, ended=False)
        for upload in shown.uploads:
            self._outbox.add(upload)
        for output in told:
            if (picture := picture_of(output.get("data"), output.get("metadata"))) is not None:
                self._outbox.add_figure(output["data"], picture.description)
        # also without a text: the message that shows the state now must not become one of files
        self._parts.append("\n".join([f"⤵️ Cell {cell.number}", *([shown.markdown] if shown.markdown else [])]))
        self._parts += self._outbox.post(cell.number)

    def _end_cell(self, number: int, result: ExecutionResult) -> None:
        cell = self._cell
        first = self._first_untold(result.outputs, cell.told) if cell is not None else 0
        shown = cell_text(result.outputs, number, first)
        lines = [f"{_MARKS[result.status]} Cell {number} · {_WORDS[result.status]} · {_seconds(result.duration_s)}"]
        lines += cell.answers[-_NAMED:] if cell is not None else []
        lines += [shown.markdown] if shown.markdown else []
        if result.cause and result.status != "error":
            lines.append(f"-# {verbatim(result.cause, 600)}")
        if result.state_lost:
            lines.append("-# All variables of this session are lost.")
        if saved := [file.filename for output, file in saved_figures(result) if self._outbox.add_saved(output, file)]:
            lines.append(f"-# saved as {verbatim(', '.join(saved), 300)}")
        for upload in shown.uploads:
            self._outbox.add(upload)
        self._parts.append("\n".join(lines))
        self._cell, self._question = None, None
        self._parts += self._outbox.post(number)

    def _first_untold(self, outputs: Sequence[Output], told: int) -> int:
        """The number of the first output that does not stand in messages yet: outputs may have been cut or taken back since."""
        return told + 1 if 0 <= told < len(outputs) and self._outbox.knows(outputs[told]) else 0

    def _end(self, event: TurnEnded) -> None:
        if self._cell is not None:
            self._parts.append("\n".join([f"⏹️ Cell {self._cell.number} · stopped", *self._cell.shown]))
        self._say(self._text)
        self._text, self._cell, self._question, self._ended = "", None, None, event

    # --- the messages ---------------------------------------------------------------------------------------------

    def posts(self) -> list[Post]:
        """Return the messages of the turn as they should be now, the oldest first."""
        # what is over does not change: only what came since is put together anew
        self._over = posts_of(self._parts[self._put :], self._over)
        self._put = len(self._parts)
        posts = posts_of(self._current(), self._over)
        last = posts[-1]
        assert isinstance(last, Panel)
        return [*posts[:-1], replace(last, buttons=self._buttons())]

    def _current(self) -> list[str]:
        parts = [head(harmless(self._text[:_ANSWER_SHOWN]), _ANSWER_SHOWN)] if self._text.strip() else []
        if self._cell is not None:
            cell = self._cell
            parts.append("\n".join([f"▶️ Cell {cell.number} · {cell.state}", *cell.answers[-_NAMED:], *cell.shown]))
        return [*parts, *self._planned_cells(), self._status()]

    def _planned_cells(self) -> list[str]:
        first, last = self._cells + 1, self._planned
        if first > last:
            return []
        which = f"Cell {first}" if first == last else f"Cells {first}–{last}"
        return [f"-# {which} · {'queued' if self._ended is None else 'not run'}"]

    def _status(self) -> str:
        if self._ended is not None:
            return _footer(self._ended, self._cells)
        if self._question is not None:
            return _asking(self._question)
        return "-# ⏳ waiting for another turn of this session" if self._waiting else "-# ⏳ working"

    def _buttons(self) -> tuple[ButtonName, ...]:
        if self._ended is None:
            return ("answer", "stop") if self._question is not None else ("stop",)
        return _AFTER if self._cells else ("notebook", "reset")


def saved_figures(result: ExecutionResult) -> Iterator[tuple[Output, WrittenFile]]:
    """The figures that a cell showed and also saved as pictures, as the kernel noted it."""
    for output in result.outputs:
        names = saved_names(output.get("metadata"))
        names |= {f"{name}.png" for name in names if "." not in name}
        for file in result.files:
            if file.mime in MIMES and file.filename.rpartition("/")[2] in names:
                yield output, file


def _asking(question: InputWanted) -> str:
    prompt = verbatim(question.prompt, 300)
    if question.password:
        advice = "Press Answer, do not write it here: what you enter there is neither shown nor kept."
        return f"🔒 The code asks for a secret: {prompt}\n-# {advice}"
    return f"⌨️ The code asks: {prompt or 'for input'}\n-# Press Answer, or reply to this message."


def _footer(ended: TurnEnded, cells: int) -> str:
    ran = f"{cells} cell{'s' if cells != 1 else ''} · {_seconds(ended.usage.seconds)}" if cells else "no code"
    word = {"completed": "done", "stopped": "stopped", "limit": "not begun", "failed": "failed"}[ended.status]
    reason = f" · {verbatim(ended.reason, 600)}" if ended.reason and ended.status != "stopped" else ""
    return f"-# {word} · {ran}{reason}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 0.1 or seconds == 0 else f"{seconds:.2f} s"
