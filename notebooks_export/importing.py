"""A notebook of anybody's as a session: read with suspicion, recorded in a history, run as far as wanted."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import warnings
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast, get_args

import nbformat
import nbformat.reader

from kernel_manager import CellFinished, Event, Interpreter, Session, UsageError
from kernel_manager.execution.result import ExecutionResult, Output, Status
from kernel_manager.sessions.history import Answer, Cell, Entry, KernelEnded, Role, Said, SessionHistory, plain_json
from notebooks_export.cells import about, count, is_cell_id, joined, megabytes, valid_output
from notebooks_export.formats.sanitising import harmless_if_active, is_plain_svg
from notebooks_export.notebook import said_source

#: The largest notebook that is opened: bytes, cells, characters of one cell.
MAX_BYTES = 50_000_000
MAX_CELLS = 5_000
MAX_SOURCE = 1_000_000
#: Outputs of one cell that are taken over.
_MAX_OUTPUTS = 500
_SETUP = frozenset({"title", "packages", "load-file", "answers"})
#: What outputs are taken over as: text and pictures. HTML is sanitised; scripts, widgets and the like are not taken over.
_KINDS = re.compile(r"text/(?:plain|markdown|latex|html)|image/(?:png|jpeg|gif|webp|svg\+xml)|application/(?:geo\+)?json")
_NO_DATE = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class Imported:
    """A notebook that was read: its entries as a history has them, a name for the session, and what a person should know."""

    entries: tuple[Entry, ...]
    name: str
    notes: tuple[str, ...] = ()

    @property
    def cells(self) -> list[Cell]:
        """Its code cells."""
        return [entry for entry in self.entries if isinstance(entry, Cell)]


def read_notebook(content: bytes, filename: str = "notebook.ipynb") -> Imported:
    """Read a notebook of format 3 or 4. Raises UsageError in one line for what is none, or is too large."""
    if len(content) > MAX_BYTES:
        raise UsageError(f"{filename} has {megabytes(len(content))}; notebooks of up to {megabytes(MAX_BYTES)} can be opened")
    found = _parsed(content, filename)
    cells = _cells_of(found, filename)
    reading = _Reading(filename)
    for cell in cells:
        reading.take(cell)
    name = about(found).get("session_id")
    return Imported(tuple(reading.entries), name if isinstance(name, str) and name else Path(filename).stem, reading.notes())


def _parsed(content: bytes, filename: str) -> Mapping[str, Any]:
    try:
        found = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as exc:
        raise UsageError(f"{filename} is no notebook: it does not hold JSON; export it again as .ipynb") from exc
    version = found.get("nbformat") if isinstance(found, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise UsageError(f"{filename} is no notebook: it does not say its nbformat; export it again as .ipynb")
    if version > 4 or version < 1:
        raise UsageError(f"{filename} is of notebook format {version}, which is not known here; save it in format 4")
    if version < 4:
        found = _upgraded(content.decode("utf-8-sig"), version, filename)
    return cast("dict[str, Any]", plain_json(found))


def _upgraded(text: str, version: int, filename: str) -> Mapping[str, Any]:
    """An older notebook in format 4."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            upgraded: Mapping[str, Any] = nbformat.convert(nbformat.reader.reads(text), 4)  # type: ignore[no-untyped-call]
            return upgraded
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, RecursionError, nbformat.ValidationError) as exc:
        raise UsageError(f"{filename} is a damaged notebook of format {version}; open and save it in Jupyter") from exc


def _cells_of(found: Mapping[str, Any], filename: str) -> list[Mapping[str, Any]]:
    metadata, cells = found.get("metadata"), found.get("cells")
    if not isinstance(cells, list):
        raise UsageError(f"{filename} is a damaged notebook: it has no list of cells; open and save it in Jupyter")
    if len(cells) > MAX_CELLS:
        raise UsageError(f"{filename} has {len(cells):,} cells; notebooks of up to {MAX_CELLS:,} can be opened: split it")
    language = _language(metadata if isinstance(metadata, dict) else {})
    if language not in ("", "python", "ipython", "python3"):
        raise UsageError(f"{filename} is written in {language[:40]!r}; only Python notebooks can be opened")
    return [cell for cell in cells if isinstance(cell, dict)]


def _language(metadata: Mapping[str, Any]) -> str:
    for name, key in (("language_info", "name"), ("kernelspec", "language")):
        value = metadata.get(name)
        if isinstance(value, dict) and isinstance(value.get(key), str):
            return str(value[key]).lower()
    return ""


class _Reading:
    """Cell after cell becomes an entry; what is not taken over is counted."""

    def __init__(self, filename: str) -> None:
        self._filename = Path(filename).name
        self.entries: list[Entry] = []
        self._ids: set[str] = set()
        self._left_out: dict[str, int] = {}

    def notes(self) -> tuple[str, ...]:
        """What was left out, as sentences."""
        return tuple(f"Not taken over: {what} ({number:,})." for what, number in self._left_out.items())

    def take(self, cell: Mapping[str, Any]) -> None:
        """Take in one cell."""
        part = about(cell).get("part")
        source = joined(cell.get("source", ""))
        if len(source) > MAX_SOURCE:
            raise UsageError(f"{self._filename} has a cell of {len(source):,} characters; up to {MAX_SOURCE:,} can be opened")
        if isinstance(cell.get("attachments"), dict) and cell["attachments"]:
            self._leave_out("attachments of Markdown cells", len(cell["attachments"]))
        if part in _SETUP:
            return
        if cell.get("cell_type") == "code":
            self.entries.append(self._code(cell, source))
        elif part == "kernel-ended":
            cause = about(cell).get("cause")
            self.entries.append(KernelEnded("", cause if isinstance(cause, str) else None, state_lost=True))
        elif source.strip():
            self.entries.append(self._said(about(cell), source))

    def _leave_out(self, what: str, number: int = 1) -> None:
        self._left_out[what] = self._left_out.get(what, 0) + number

    def _said(self, told: Mapping[str, Any], source: str) -> Said:
        role, name = told.get("role"), told.get("name")
        if role in get_args(Role) and isinstance(name, str):
            head = said_source(cast("Role", role), name, "")
            if source.startswith(head):
                return Said(cast("Role", role), name, source[len(head) :])
        return Said("note", self._filename, source)

    def _code(self, cell: Mapping[str, Any], source: str) -> Cell:
        told = about(cell)
        found = cell.get("outputs")
        outputs = [output for output in found if isinstance(output, dict)] if isinstance(found, list) else []
        if told.get("noted") is True:
            outputs = outputs[:-1]
        if len(outputs) > _MAX_OUTPUTS:
            self._leave_out("outputs of cells with very many", len(outputs) - _MAX_OUTPUTS)
        taken = [output for item in outputs[:_MAX_OUTPUTS] if (output := self._output(valid_output(item))) is not None]
        number = count(cell.get("execution_count"))
        status = _status(told.get("status"), taken, ran=number is not None or bool(taken))
        cause, duration = told.get("cause"), told.get("duration_s")
        return Cell(
            cell_id=self._id(cell.get("id")),
            code=source,
            msg_id="",
            kernel_id="",
            source="import",
            started_at=_NO_DATE,
            finished_at=None if status is None else _NO_DATE,
            status=status,
            execution_count=number,
            outputs=taken,
            installed_packages=_texts(told.get("installed_packages")),
            duration_s=float(duration) if isinstance(duration, int | float) and 0 <= duration < 1e9 else 0.0,
            cause=cause[:1_000] if isinstance(cause, str) else None,
            state_lost=told.get("state_lost") is True,
            answers=_answers(told.get("answers")),
        )

    def _id(self, wanted: object) -> str:
        identifier = wanted if is_cell_id(wanted) and wanted not in self._ids else secrets.token_hex(6)
        self._ids.add(str(identifier))
        return str(identifier)

    def _output(self, output: Output) -> Output | None:
        if "data" not in output:
            return output
        data = {}
        for mime, value in output["data"].items():
            if not _KINDS.fullmatch(mime) or (mime == "image/svg+xml" and not is_plain_svg(joined(value))):
                self._leave_out("scripts, widgets and other active outputs")
            else:
                data[mime] = harmless_if_active(joined(value)) if mime == "text/html" else value
        return {**output, "data": data} if data else None


def _status(told: object, outputs: list[Output], *, ran: bool) -> Status | None:
    if told in get_args(Status):
        return cast("Status", told)
    if told in ("not run", "unfinished") or not ran:
        return None
    return "error" if any(output["output_type"] == "error" for output in outputs) else "ok"


def _texts(value: object) -> list[str]:
    return [item[:200] for item in value[:200] if isinstance(item, str)] if isinstance(value, list) else []


def _answers(value: object) -> list[Answer]:
    items = value[:1_000] if isinstance(value, list) else []
    pairs = [(item.get("prompt"), item.get("answer")) for item in items if isinstance(item, dict)]
    return [Answer(prompt, answer) for prompt, answer in pairs if isinstance(prompt, str) and isinstance(answer, str)]


# Into a session.


async def import_notebook(
    interpreter: Interpreter, user_id: str | int, content: bytes, filename: str, session_id: str | None = None
) -> tuple[Session, Imported]:
    """Make a session of a notebook; nothing of it runs. Return the session and what was read.

    The session is called ``session_id``, which must be new, or after the notebook. Raises UsageError as :func:`read_notebook`.
    """
    imported = await asyncio.to_thread(read_notebook, content, filename)
    taken = {info.session_id for info in await interpreter.sessions() if info.user_id == str(user_id)}
    if session_id in taken:
        raise UsageError(f"there is a session {session_id!r} already; name another one with --session")
    session = await interpreter.session(user_id, session_id or _free_name(imported.name, taken))
    await session.adopt(imported.entries)
    return session, imported


def _free_name(wanted: str, taken: set[str]) -> str:
    plain = "".join(character for character in wanted if character.isprintable()).strip()[:_MAX_NAME] or "notebook"
    names = (plain if number == 1 else f"{plain}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def cell_lines(cells: Sequence[Cell], most: int = 30) -> list[str]:
    """A line for each of the first ``most`` cells: its number (from 1) and how it begins; then how many more there are."""
    lines = [f"[{number}] {_beginning(cell.code)}" for number, cell in enumerate(cells[:most], 1)]
    return [*lines, f"and {len(cells) - most} more"] if len(cells) > most else lines


def _beginning(code: str) -> str:
    first, _, rest = code.strip().partition("\n")
    return f"{first[:100]}{' …' if rest or len(first) > 100 else ''}"


@dataclass(frozen=True, slots=True)
class CellEvent:
    """Something that happened while an imported cell ran: the ``number`` of the cell (from 1), the cell, and the event."""

    number: int
    cell: Cell
    event: Event


def waiting_cells(history: SessionHistory, up_to: int | None = None) -> list[tuple[int, Cell]]:
    """The imported cells that did not run yet, with their numbers (from 1); ``up_to`` is the number of the last one.

    Raises UsageError for a number that there is not.
    """
    cells = history.cells
    if up_to is not None and not 1 <= up_to <= len(cells):
        raise UsageError(f"there is no cell {up_to}; the session has {len(cells)} cells")
    return [(number, cell) for number, cell in enumerate(cells[:up_to], 1) if cell.source == "import"]


def ends_the_run(cell: Cell, result: ExecutionResult) -> bool:
    """Whether no further imported cell runs after this result: it failed, and had not failed in the notebook."""
    return not result.ok and cell.status in ("ok", None)


async def run_imported(session: Session, *, up_to: int | None = None) -> AsyncIterator[CellEvent]:
    """Run the cells of an imported notebook that did not run yet, in order; see :func:`waiting_cells` for ``up_to``.

    A cell that fails ends it, unless it had failed in the notebook too.
    """
    history = await asyncio.to_thread(session.read_history)
    for number, cell in waiting_cells(history, up_to):
        result: ExecutionResult | None = None
        async with aclosing(session.run(cell.code, cell_id=cell.cell_id)) as events:
            async for event in events:
                yield CellEvent(number, cell, event)
                if isinstance(event, CellFinished):
                    result = event.result
        if result is None or ends_the_run(cell, result):
            return
