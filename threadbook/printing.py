"""How a cell looks in a terminal: its events as they come, and what is to be said at its end."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernel_manager.execution.artifacts import shown_name
from kernel_manager.execution.events import (
    CellFinished,
    DisplayUpdated,
    Event,
    OutputAdded,
    OutputReplaced,
    OutputsCleared,
    PackagesInstalling,
    SessionWaiting,
    StreamExtended,
)
from kernel_manager.execution.result import ExecutionResult, Output, WrittenFile
from threadbook.control_sequences import plain
from threadbook.figures import FigureFolder, Picture, decoded, picture_of
from threadbook.remainder import remainder
from threadbook.terminal import StreamName, Terminal

#: Seconds between two showings of an output that keeps changing.
REFRESH_S = 0.2
_MAX_FILES_NAMED = 20
_PLACEHOLDER = re.compile(r"<[\w.]+ object(?: at 0x[0-9a-fA-F]+)?>")
_READABLE_MIMES = ("text/markdown", "text/latex")


class CellPrinter:
    """Shows the events of cells. It is used for one cell after the other, or for one only."""

    def __init__(
        self,
        terminal: Terminal,
        figures: FigureFolder,
        session_id: str,
        *,
        numbered: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """With ``numbered``, results have ``Out[n]:`` before them. ``clock`` counts seconds."""
        self._terminal = terminal
        self._figures = figures
        self._session_id = session_id
        self._numbered = numbered
        self._clock = clock
        self._forget()

    def show(self, event: Event) -> None:
        """Show one event. Raises :class:`OSError` if the terminal or the file behind it takes no more."""
        match event:
            case SessionWaiting():
                self._terminal.line(waiting_line(self._session_id, event.holder_pid))
            case PackagesInstalling():
                self._terminal.line(_one_line(event.line))
            case OutputAdded():
                self._added(event.index, event.output)
            case StreamExtended():
                self._extended(event.index, event.text)
            case OutputReplaced():
                self._replaced(event.index, event.output)
            case DisplayUpdated():
                self._updated(event.data)
            case OutputsCleared():
                self._terminal.restart_line()
                self._forget()
            case CellFinished():
                self._finished(event.result)

    def _forget(self) -> None:
        self._shown: dict[int, str | None] = {}
        self._stream_names: dict[int, StreamName] = {}
        self._pictures: dict[int, Path] = {}
        self._changed: dict[int, Output] = {}
        self._refreshed_at: dict[int, float] = {}
        self._bundles: dict[int, Mapping[str, Any]] = {}

    # Outputs.

    def _added(self, index: int, output: Output) -> None:
        if output["output_type"] == "stream":
            self._stream_names[index] = "stderr" if output["name"] == "stderr" else "stdout"
            self._shown[index] = ""
            self._extended(index, output["text"])
        else:
            self._shown[index] = None
            self._bundles[index] = output.get("data", {})
            self._show_output(output, index)

    def _extended(self, index: int, text: str) -> None:
        self._shown[index] = (self._shown.get(index) or "") + text
        self._terminal.pass_on(self._stream_names.get(index, "stdout"), text)

    def _show_output(self, output: Output, index: int | None = None) -> None:
        match output["output_type"]:
            case "stream":
                self._terminal.block("stderr" if output["name"] == "stderr" else "stdout", output["text"])
            case "error":
                self._terminal.block("stderr", "\n".join(output["traceback"]) or f"{output['ename']}: {output['evalue']}")
            case "execute_result":
                prefix = f"Out[{output['execution_count'] or ' '}]: " if self._numbered else ""
                self._show_bundle(output["data"], index, prefix)
            case _:
                self._show_bundle(output["data"], index)

    def _show_bundle(self, data: Mapping[str, Any], index: int | None, prefix: str = "") -> None:
        # a formula has a picture, too, but in a terminal its text says more
        if (picture := picture_of(data)) and not ("text/latex" in data and "text/plain" in data):
            self._show_picture(picture, index)
        elif (text := readable_text(data)) is not None:
            self._terminal.block("stdout", prefix + ("\n" if prefix and "\n" in text else "") + text)
        elif page := decoded("text/html", data.get("text/html")):
            self._show_picture(Picture(page, ".html"), index)
        else:
            kinds = ", ".join(sorted(data)) or "nothing"
            self._terminal.block("stdout", prefix + str(data.get("text/plain") or f"[{kinds}: not shown in a terminal]"))

    def _show_picture(self, picture: Picture, index: int | None) -> None:
        try:
            path = self._save(picture, index)
        except OSError as exc:
            self._terminal.line(f"figure not saved: {exc.strerror or exc}")
            return
        if index is not None:
            self._pictures[index] = path
        kind = "page" if picture.suffix == ".html" else "figure"
        size = f" ({picture.size[0]}x{picture.size[1]})" if picture.size else ""
        self._terminal.line(f"{kind}: {shown_name(str(path))}{size}", "stdout")

    def _save(self, picture: Picture, index: int | None) -> Path:
        earlier = self._pictures.get(index) if index is not None else None
        if earlier is None or earlier.suffix != picture.suffix:
            return self._figures.save(picture.content, picture.suffix)
        self._figures.replace(earlier, picture.content)
        return earlier

    # Outputs that change after they were shown.

    def _replaced(self, index: int, output: Output) -> None:
        self._changed[index] = output
        self._bundles[index] = output.get("data", {})
        now = self._clock()
        # A figure waits for the end of the cell: what counts is how its file looks then.
        if index not in self._pictures and now - self._refreshed_at.get(index, -REFRESH_S) >= REFRESH_S:
            self._refreshed_at[index] = now
            self._show_changed(index)

    def _show_changed(self, index: int) -> None:
        self._show_output(self._changed.pop(index), index)

    def _updated(self, data: Mapping[str, Any]) -> None:
        """Show what a display of an earlier cell became, unless an output of this cell shows the same."""
        if data not in self._bundles.values():
            self._show_bundle(data, None)

    # The end.

    def _finished(self, result: ExecutionResult) -> None:
        for index in sorted(self._changed):
            self._show_changed(index)
        for output in remainder(result.outputs, self._shown):
            self._show_output(output)
        if self._terminal.is_terminal():
            self._terminal.end_line()
        for line in closing_lines(result, with_error=not self._numbered):
            self._terminal.line(line)
        self._forget()


@dataclass(frozen=True, slots=True)
class WaitingPrinter:
    """Shows nothing but that the cell has to wait."""

    terminal: Terminal
    session_id: str

    def show(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, SessionWaiting):
            self.terminal.line(waiting_line(self.session_id, event.holder_pid))
        elif isinstance(event, PackagesInstalling):
            self.terminal.line(_one_line(event.line))


def waiting_line(session_id: str, holder_pid: int | None) -> str:
    """Say that another process drives the session."""
    holder = f"process {holder_pid}" if holder_pid is not None else "another process"
    return f"session {shown_name(session_id)} is in use by {holder}; waiting"


def readable_text(data: Mapping[str, Any]) -> str | None:
    """Return what a person reads of a mime bundle, or None if there is only a placeholder for something else."""
    text = _text(data, "text/plain")
    if text is not None and not _PLACEHOLDER.fullmatch(text):
        return text
    for mime in _READABLE_MIMES:
        if (readable := _text(data, mime)) is not None:
            return readable
    if "application/json" in data:
        return json.dumps(data["application/json"], indent=2, ensure_ascii=False)
    return None if "text/html" in data else text


def _text(data: Mapping[str, Any], mime: str) -> str | None:
    value = data.get(mime)
    if isinstance(value, list):
        return "".join(map(str, value))
    return value if isinstance(value, str) else None


def closing_lines(result: ExecutionResult, *, with_error: bool = True) -> Iterable[str]:
    """What is said after a cell: why it failed, what was lost, installed and written.

    Without ``with_error``, an error whose traceback was shown is not said again.
    """
    cause = _one_line(result.cause or "")
    if result.ok:
        # A cell that ran well can have a cause too: why it found itself in a fresh kernel.
        yield from [f"state lost: {cause}"] if result.state_lost else []
    else:
        if with_error or result.state_lost or not _has_traceback(result):
            yield f"{result.status}: {cause}" if cause else result.status
        yield from ["state lost: the session's variables are gone; it goes on with a fresh kernel"] if result.state_lost else []
    if result.installed_packages:
        yield f"installed: {_one_line(', '.join(result.installed_packages))}"
    for file in result.files[:_MAX_FILES_NAMED]:
        yield written_line(file)
    if len(result.files) > _MAX_FILES_NAMED:
        yield f"and {len(result.files) - _MAX_FILES_NAMED} more files in {shown_name(str(_common_folder(result.files)))}"


def _has_traceback(result: ExecutionResult) -> bool:
    return result.status == "error" and any(output["output_type"] == "error" for output in result.outputs)


def written_line(file: WrittenFile) -> str:
    """Name a file that a cell wrote."""
    return f"wrote: {shown_name(file.path)} ({readable_size(file.size)})"


def readable_size(size: int) -> str:
    """Return a number of bytes as a person reads it: ``820 bytes``, ``1.2 KB``."""
    if size < 1_000:
        return f"{size} byte{'s' if size != 1 else ''}"
    value = float(size)
    for unit in ("KB", "MB"):
        value /= 1_000
        if value < 999.95:
            return f"{value:.1f} {unit}"
    return f"{value / 1_000:.1f} GB"


def _common_folder(files: list[WrittenFile]) -> Path:
    # A name is relative to the working folder, so what is left of the path without it is that folder.
    first = files[0]
    return Path(*Path(first.path).parts[: -len(Path(first.filename).parts)])


def _one_line(text: str) -> str:
    return " ".join(plain(text).split())
