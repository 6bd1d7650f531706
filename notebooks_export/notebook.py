"""A session's history as a notebook (nbformat 4.5)."""

from __future__ import annotations

import itertools
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from kernel_manager.errors import ServiceError, StorageError, UsageError
from kernel_manager.sessions.history import Cell, KernelEnded, Said, SessionHistory, plain_json, timestamp

_JSON_MIME = re.compile(r"application/(.*\+)?json")
_CELL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MARKDOWN_SIGNS = re.compile(r"([\\`*_\[\]<>$|~&#])")
_LOAD_FILE = re.compile(r"\bload_file\b")
_MAX_COUNT = 2**53

_ENDINGS = {
    "error": "The cell ended with an error.",
    "timeout": "The cell ran longer than it may and was stopped.",
    "interrupted": "The cell was interrupted.",
    "died": "The kernel died while this cell ran.",
    None: "It is not known how this cell ended: its kernel or the service was gone, or it still runs.",
}

#: What stands in for the kernel's ``load_file`` where the notebook runs without Threadbook.
LOAD_FILE_FALLBACK = '''\
# The kernel of this session had `load_file`. Elsewhere this stands in for it:
# it opens files that lie beside this notebook or in the folder `files` beside it.
try:
    load_file
except NameError:

    def load_file(name):
        """Open a file by its extension: CSV, Excel, JSON, Parquet, images and text."""
        from pathlib import Path

        name = str(name)
        path = next((p for p in (Path(name), Path("files", name), Path("files", Path(name).name)) if p.is_file()), None)
        if path is None:
            folders = [folder for folder in (Path("."), Path("files")) if folder.is_dir()]
            there = sorted(str(p) for folder in folders for p in folder.iterdir() if p.is_file())[:50]
            raise FileNotFoundError(
                f"{name!r} is not there. Put the file beside this notebook or into the folder 'files' beside it. "
                f"There is: {', '.join(there) or 'nothing'}"
            )
        kind = path.suffix.lower()
        if kind in {".csv", ".tsv", ".xlsx", ".xlsm", ".xls", ".ods", ".parquet"}:
            import importlib.util

            import pandas

            if kind in {".csv", ".tsv"}:
                return pandas.read_csv(path, sep="\\t" if kind == ".tsv" else ",")
            if kind == ".parquet":
                return pandas.read_parquet(path)
            return pandas.read_excel(path, engine="calamine" if importlib.util.find_spec("python_calamine") else None)
        if kind == ".json":
            import json

            return json.loads(path.read_text(encoding="utf-8-sig"))
        if kind in {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp"}:
            from PIL import Image

            return Image.open(path)
        try:
            return path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            return path.read_bytes()
'''


def to_notebook(history: SessionHistory, *, title: str | None = None, python_version: str | None = None) -> NotebookNode:
    """Return a valid notebook of a session; the same history gives the same notebook.

    ``title`` replaces the heading, ``python_version`` (``"3.12.4"``) goes into the notebook's metadata. Each
    cell tells its status, duration and start in ``metadata.threadbook``.
    """
    cells = [_title_cell(history, title)]
    if any(_LOAD_FILE.search(cell.code) for cell in history.cells):
        cells.append(_code_cell("load-file", LOAD_FILE_FALLBACK))
    cells.extend(_entry_cells(history))
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": _metadata(python_version), "cells": _with_unique_ids(cells)}
    notebook: NotebookNode = nbformat.from_dict(plain_json(content))  # type: ignore[no-untyped-call]
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as exc:
        raise ServiceError(f"The session does not make a valid notebook ({_one_line(str(exc))[:300]}); report this.") from exc
    return notebook


def write_notebook(nb: NotebookNode, path: Path) -> None:
    """Write a notebook so that ``path`` is the old file or the whole new one, whatever happens.

    Raises :class:`UsageError` if nothing can be put there and :class:`StorageError` if writing fails.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise UsageError(f"{path} is not a file that a notebook can replace; name another one.")
    if not target.parent.is_dir():
        raise UsageError(f"The folder {target.parent} does not exist; make it, or name another one.")
    text: str = nbformat.writes(nb)  # type: ignore[no-untyped-call]
    content = text.encode("utf-8", "replace") + b"\n"
    try:
        _replace(target, content)
    except OSError as exc:
        raise StorageError(f"{path} cannot be written: {exc.strerror or exc}; free space or name another place.") from exc


def _replace(target: Path, content: bytes) -> None:
    temporary = target.with_name(f".{secrets.token_hex(8)}.ipynb.tmp")
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


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


def _with_unique_ids(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give cells that share an id, or whose id a notebook cannot have, one of their own."""
    taken: set[str] = set()
    numbers = itertools.count(2)
    for cell in cells:
        wanted = cell["id"] if _CELL_ID.fullmatch(cell["id"]) else "cell"
        cell["id"] = wanted
        while cell["id"] in taken:
            cell["id"] = f"{wanted[:48]}-{next(numbers)}"
        taken.add(cell["id"])
    return cells


# Cells.


def _title_cell(history: SessionHistory, title: str | None) -> dict[str, Any]:
    heading = title or f"Session {history.session_id}"
    begun = f", begun on {_readable(history.created_at)}" if history.created_at else ""
    return _markdown_cell("title", f"# {_escaped(heading)}\n\nA Threadbook session{begun}.")


def _entry_cells(history: SessionHistory) -> Iterator[dict[str, Any]]:
    lost: KernelEnded | None = None
    told = False
    for number, entry in enumerate(history.entries):
        match entry:
            case Cell():
                if lost is not None and not told:
                    yield _markdown_cell(f"kernel-ended-{number}", _lost_state(lost))
                yield _finished_cell(entry)
                lost, told = None, entry.state_lost
            case KernelEnded():
                lost = entry if entry.state_lost else lost
            case Said():
                yield _said_cell(f"said-{number}", entry)


def _lost_state(ended: KernelEnded) -> str:
    reason = f": {_escaped(ended.cause).rstrip('.')}" if ended.cause else ""
    return f"*Here the kernel ended{reason}. What the cells above had defined was gone for those below.*"


def _said_cell(cell_id: str, said: Said) -> dict[str, Any]:
    source = f"**{_escaped(said.name or said.role)}** ({said.role}):\n\n{said.text}"
    about = {"role": said.role, "name": said.name} | ({"said_at": timestamp(said.at)} if said.at else {})
    return _markdown_cell(cell_id, source, {"threadbook": about})


def _finished_cell(cell: Cell) -> dict[str, Any]:
    result = _code_cell(cell.cell_id, cell.code)
    result["execution_count"] = _count(cell.execution_count)
    result["outputs"] = [_valid_output(output) for output in cell.outputs] + _ending_note(cell)
    result["metadata"] = _cell_metadata(cell)
    return result


def _cell_metadata(cell: Cell) -> dict[str, Any]:
    about: dict[str, Any] = {
        "status": cell.status or "unfinished",
        "duration_s": cell.duration_s,
        "started_at": timestamp(cell.started_at),
    }
    if cell.cause:
        about["cause"] = cell.cause
    if cell.state_lost:
        about["state_lost"] = True
    metadata: dict[str, Any] = {"execution": _execution_times(cell), "threadbook": about}
    if cell.status not in ("ok", None):
        metadata["tags"] = ["raises-exception"]
    return metadata


def _execution_times(cell: Cell) -> dict[str, str]:
    started = timestamp(cell.started_at)
    times = {"iopub.status.busy": started, "iopub.execute_input": started}
    if cell.finished_at is not None:
        finished = timestamp(cell.finished_at)
        times |= {"shell.execute_reply": finished, "iopub.status.idle": finished}
    return times


def _ending_note(cell: Cell) -> list[dict[str, Any]]:
    """One line that says why the cell did not end well, where its outputs do not."""
    explained = cell.status == "error" and any(output.get("output_type") == "error" for output in cell.outputs)
    if cell.status == "ok" or explained:
        return []
    reason = _one_line(cell.cause or _ENDINGS[cell.status])
    lost = " The session's variables were lost." if cell.state_lost and "lost" not in reason else ""
    return [_stream("stderr", f"[{reason}{lost}]\n")]


def _code_cell(cell_id: str, code: str) -> dict[str, Any]:
    return {"id": cell_id, "cell_type": "code", "metadata": {}, "source": code, "execution_count": None, "outputs": []}


def _markdown_cell(cell_id: str, source: str, metadata: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"id": cell_id, "cell_type": "markdown", "metadata": dict(metadata or {}), "source": source}


# Outputs, made valid whatever they are.


def _valid_output(output: Mapping[str, Any]) -> dict[str, Any]:
    match output.get("output_type"):
        case "stream":
            name = "stderr" if output.get("name") == "stderr" else "stdout"
            return _stream(name, _joined(output.get("text", "")))
        case "error":
            traceback = output.get("traceback")
            return {
                "output_type": "error",
                "ename": _joined(output.get("ename", "")),
                "evalue": _joined(output.get("evalue", "")),
                "traceback": [_joined(line) for line in traceback] if isinstance(traceback, list | tuple) else [],
            }
        case "display_data":
            return _display("display_data", output)
        case "execute_result":
            return _display("execute_result", output) | {"execution_count": _count(output.get("execution_count"))}
        case unknown:
            return _stream("stderr", f"[an output of the unknown kind {_one_line(str(unknown))[:80]} was left out]\n")


def _display(kind: str, output: Mapping[str, Any]) -> dict[str, Any]:
    data, metadata = output.get("data"), output.get("metadata")
    return {
        "output_type": kind,
        "data": {str(mime): _payload(str(mime), value) for mime, value in data.items()} if isinstance(data, Mapping) else {},
        "metadata": dict(metadata) if isinstance(metadata, Mapping) else {},
    }


def _payload(mime: str, value: Any) -> Any:
    return value if _JSON_MIME.fullmatch(mime) else _joined(value)


def _stream(name: str, text: str) -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def _joined(value: Any) -> str:
    """Text as one string; nbformat allows a list of its lines, and a kernel may send anything."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return json.dumps(plain_json(value), ensure_ascii=False)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_COUNT else None


# Text.


def _escaped(text: str) -> str:
    """Text as Markdown that shows it as it is, in one line."""
    return _MARKDOWN_SIGNS.sub(r"\\\1", _one_line(text))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _readable(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
