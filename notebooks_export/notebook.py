"""A session's history as a notebook (nbformat 4.5)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from kernel_manager.errors import ServiceError
from kernel_manager.sessions.history import Cell, KernelEnded, Said, SessionHistory, plain_json, timestamp
from notebooks_export.cells import (
    NotebookCell,
    code_cell,
    count,
    escaped,
    markdown_cell,
    note_output,
    one_line,
    valid_output,
    with_unique_ids,
)
from notebooks_export.cleaning import superseded
from notebooks_export.code import mentions_load_file
from notebooks_export.disk import write_file
from notebooks_export.setup_cells import answers_cell, load_file_cell, packages_cell
from notebooks_export.surroundings import Surroundings

_ENDINGS = {
    "error": "The cell ended with an error.",
    "timeout": "The cell ran longer than it may and was stopped.",
    "interrupted": "The cell was interrupted.",
    "died": "The kernel died while this cell ran.",
    None: "It is not known how this cell ended: its kernel or the service was gone, or it still runs.",
}
#: Cells that ended like this would hold up or end a kernel again.
_STOPPED = frozenset({"timeout", "interrupted", "died"})


def to_notebook(
    history: SessionHistory,
    *,
    title: str | None = None,
    python_version: str | None = None,
    surroundings: Surroundings | None = None,
    dropped: Collection[str] = (),
    left_out: Iterable[tuple[str, str]] = (),
) -> NotebookNode:
    """Return a valid notebook of a session; the same history gives the same notebook.

    ``title`` replaces the heading, ``python_version`` (``"3.12.4"``) goes into the notebook's metadata unless the
    ``surroundings`` tell it. ``dropped`` are ids of cells that are left out; ``left_out`` are names of data
    files and why they do not lie beside the notebook. Each cell tells its status, duration and start in ``metadata.threadbook``.
    """
    surroundings = surroundings or Surroundings(python_version=python_version)
    cells = [_title_cell(history, title)]
    cells.extend(_setup_cells(history, surroundings, left_out))
    cells.extend(_entry_cells(history, frozenset(dropped)))
    about = {"session_id": history.session_id, "dropped_cells": len(dropped)}
    metadata = _metadata(surroundings.python_version) | {"threadbook": about}
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": with_unique_ids(cells)}
    return valid_notebook(content)


def valid_notebook(content: dict[str, Any]) -> NotebookNode:
    """Return the content as a notebook that was validated; raises :class:`ServiceError` if it is none."""
    notebook: NotebookNode = nbformat.from_dict(plain_json(content))  # type: ignore[no-untyped-call]
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as exc:
        raise ServiceError(f"The session does not make a valid notebook ({one_line(str(exc))[:300]}); report this.") from exc
    return notebook


def notebook_bytes(nb: NotebookNode) -> bytes:
    """The notebook as it is written: UTF-8 JSON."""
    text: str = nbformat.writes(nb)  # type: ignore[no-untyped-call]
    return text.encode("utf-8", "replace") + b"\n"


def write_notebook(nb: NotebookNode, path: Path) -> None:
    """Write a notebook so that ``path`` is the old file or the whole new one, whatever happens.

    Raises :class:`UsageError` if nothing can be put there and :class:`StorageError` if writing fails.
    """
    content = notebook_bytes(nb)
    write_file(path, lambda stream: stream.write(content))


def _metadata(python_version: str | None) -> dict[str, Any]:
    language: dict[str, Any] = {
        "name": "python",
        "codemirror_mode": {"name": "ipython", "version": 3},
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3",
    }
    if python_version is not None:
        language["version"] = python_version
    return {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": language,
    }


# Cells.


def _title_cell(history: SessionHistory, title: str | None) -> NotebookCell:
    heading = title or f"Session {history.session_id}"
    begun = f", begun on {_readable(history.created_at)}" if history.created_at else ""
    source = f"# {escaped(heading)}\n\nA Threadbook session{begun}."
    return markdown_cell("title", source, {"threadbook": {"part": "title"}})


def add_to_title(nb: NotebookNode, lines: Iterable[str]) -> None:
    """Add paragraphs to the title of a notebook of ours."""
    for line in lines:
        nb.cells[0].source += f"\n\n{escaped(line)}"


def _setup_cells(
    history: SessionHistory, surroundings: Surroundings, left_out: Iterable[tuple[str, str]]
) -> Iterator[NotebookCell]:
    if (packages := packages_cell(surroundings)) is not None:
        yield packages
    if any(mentions_load_file(cell.code) for cell in history.cells):
        yield load_file_cell(surroundings, left_out)
    if (answers := answers_cell([answer for cell in history.cells for answer in cell.answers])) is not None:
        yield answers


def _entry_cells(history: SessionHistory, dropped: frozenset[str]) -> Iterator[NotebookCell]:
    folded = superseded(history.cells)
    lost: KernelEnded | None = None
    told, ends = False, 0
    for entry in history.entries:
        match entry:
            case Cell() if entry.cell_id in dropped:
                continue
            case Cell():
                if lost is not None and not told:
                    ends += 1
                    yield _ended_cell(ends, lost)
                yield _finished_cell(entry, folded=entry.cell_id in folded)
                lost, told = None, entry.state_lost
            case KernelEnded():
                lost = entry if entry.state_lost else lost
            case Said():
                yield _said_cell(entry)


def _ended_cell(number: int, ended: KernelEnded) -> NotebookCell:
    reason = f": {escaped(ended.cause).rstrip('.')}" if ended.cause else ""
    source = f"*Here the kernel ended{reason}. What the cells above had defined was gone for those below.*"
    return markdown_cell(f"kernel-ended-{number}", source, {"threadbook": {"part": "kernel-ended", "cause": ended.cause}})


def said_source(role: str, name: str, text: str) -> str:
    """The Markdown of something that was said: a note as it is, else with who said it."""
    return text if role == "note" else f"**{escaped(name or role)}** ({role}):\n\n{text}"


def _said_cell(said: Said) -> NotebookCell:
    source = said_source(said.role, said.name, said.text)
    digest = hashlib.sha256(f"{said.role}\0{said.name}\0{said.text}".encode("utf-8", "surrogatepass")).hexdigest()[:12]
    about = {"role": said.role, "name": said.name} | ({"said_at": timestamp(said.at)} if said.at else {})
    return markdown_cell(f"said-{digest}", source, {"threadbook": about})


def _finished_cell(cell: Cell, *, folded: bool) -> NotebookCell:
    note = _ending_note(cell)
    result = code_cell(cell.cell_id, cell.code, _cell_metadata(cell, folded=folded, noted=bool(note)))
    result["execution_count"] = count(cell.execution_count)
    result["outputs"] = [valid_output(output) for output in cell.outputs] + note
    return result


def _cell_metadata(cell: Cell, *, folded: bool, noted: bool) -> dict[str, Any]:
    about: dict[str, Any] = {
        "status": cell.status or ("not run" if cell.source == "import" else "unfinished"),
        "duration_s": cell.duration_s,
        "started_at": timestamp(cell.started_at),
    }
    if cell.cause:
        about["cause"] = cell.cause
    if cell.state_lost:
        about["state_lost"] = True
    if cell.answers:
        about["answers"] = [{"prompt": answer.prompt, "answer": answer.answer} for answer in cell.answers]
    if cell.installed_packages:
        about["installed_packages"] = list(cell.installed_packages)
    if noted:
        about["noted"] = True
    metadata: dict[str, Any] = {"execution": _execution_times(cell), "threadbook": about}
    if tags := _tags(cell, folded=folded):
        metadata["tags"] = tags
    if folded:
        metadata["jupyter"] = {"source_hidden": True, "outputs_hidden": True}
    return metadata


def _tags(cell: Cell, *, folded: bool) -> list[str]:
    """``raises-exception`` lets Run All go on; ``skip-execution`` is what nbclient calls cells that it should not run."""
    tags = ["raises-exception"] if cell.status not in ("ok", None) else []
    if cell.status in _STOPPED:
        tags.append("skip-execution")
    return [*tags, "superseded"] if folded else tags


def _execution_times(cell: Cell) -> dict[str, str]:
    started = timestamp(cell.started_at)
    times = {"iopub.status.busy": started, "iopub.execute_input": started}
    if cell.finished_at is not None:
        finished = timestamp(cell.finished_at)
        times |= {"shell.execute_reply": finished, "iopub.status.idle": finished}
    return times


def _ending_note(cell: Cell) -> list[NotebookCell]:
    """One line that says why the cell did not end well, where its outputs do not."""
    explained = cell.status == "error" and any(output.get("output_type") == "error" for output in cell.outputs)
    if cell.status == "ok" or explained or (cell.status is None and cell.source == "import"):
        return []
    reason = one_line(cell.cause or _ENDINGS[cell.status])
    lost = " The session's variables were lost." if cell.state_lost and "lost" not in reason else ""
    return [note_output(f"{reason}{lost}")]


def _readable(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
