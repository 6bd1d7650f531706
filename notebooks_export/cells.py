"""Cells and outputs of a notebook, made valid whatever a history holds."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from kernel_manager.sessions.history import plain_json

#: A cell or an output as nbformat 4.5 has it.
NotebookCell = dict[str, Any]

_JSON_MIME = re.compile(r"application/(.*\+)?json")
_CELL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MARKDOWN_SIGNS = re.compile(r"([\\`*_\[\]<>$|~&#])")
_MAX_COUNT = 2**53


def code_cell(cell_id: str, code: str, metadata: Mapping[str, Any] | None = None) -> NotebookCell:
    """A code cell without count and outputs."""
    return {
        "id": cell_id,
        "cell_type": "code",
        "metadata": dict(metadata or {}),
        "source": code,
        "execution_count": None,
        "outputs": [],
    }


def markdown_cell(cell_id: str, source: str, metadata: Mapping[str, Any] | None = None) -> NotebookCell:
    """A Markdown cell."""
    return {"id": cell_id, "cell_type": "markdown", "metadata": dict(metadata or {}), "source": source}


def setup_cell(part: str, code: str) -> NotebookCell:
    """A code cell that is ours and not the session's: shown folded, left out again by an import."""
    metadata = {"jupyter": {"source_hidden": True}, "tags": [f"threadbook-{part}"], "threadbook": {"part": part}}
    return code_cell(part, code, metadata)


def about(cell: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the metadata of a cell say in Threadbook's own field; empty for a cell of another origin."""
    metadata = cell.get("metadata")
    found = metadata.get("threadbook") if isinstance(metadata, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def with_unique_ids(cells: Sequence[NotebookCell]) -> list[NotebookCell]:
    """Give cells that share an id, or whose id a notebook cannot have, one of their own."""
    taken: set[str] = set()
    numbers = itertools.count(2)
    for cell in cells:
        wanted = cell["id"] if _CELL_ID.fullmatch(cell["id"]) else "cell"
        cell["id"] = wanted
        while cell["id"] in taken:
            cell["id"] = f"{wanted[:48]}-{next(numbers)}"
        taken.add(cell["id"])
    return list(cells)


def is_cell_id(value: object) -> bool:
    """Whether a notebook's cell can have this id."""
    return isinstance(value, str) and _CELL_ID.fullmatch(value) is not None


# Outputs.


def valid_output(output: Mapping[str, Any]) -> NotebookCell:
    """The output with every field of the kind that nbformat wants; an unknown kind becomes a line that says so."""
    match output.get("output_type"):
        case "stream":
            return stream("stderr" if output.get("name") == "stderr" else "stdout", joined(output.get("text", "")))
        case "error":
            traceback = output.get("traceback")
            return {
                "output_type": "error",
                "ename": joined(output.get("ename", "")),
                "evalue": joined(output.get("evalue", "")),
                "traceback": [joined(line) for line in traceback] if isinstance(traceback, list | tuple) else [],
            }
        case "display_data":
            return _display("display_data", output)
        case "execute_result":
            return _display("execute_result", output) | {"execution_count": count(output.get("execution_count"))}
        case unknown:
            return note_output(f"an output of the unknown kind {one_line(str(unknown))[:80]} was left out")


def stream(name: str, text: str) -> NotebookCell:
    """Printed text."""
    return {"output_type": "stream", "name": name, "text": text}


def note_output(text: str) -> NotebookCell:
    """A line of ours among the outputs."""
    return stream("stderr", f"[{text}]\n")


def _display(kind: str, output: Mapping[str, Any]) -> NotebookCell:
    data, metadata = output.get("data"), output.get("metadata")
    return {
        "output_type": kind,
        "data": {str(mime): _payload(str(mime), value) for mime, value in data.items()} if isinstance(data, Mapping) else {},
        "metadata": dict(metadata) if isinstance(metadata, Mapping) else {},
    }


def _payload(mime: str, value: Any) -> Any:
    return value if _JSON_MIME.fullmatch(mime) else joined(value)


def joined(value: Any) -> str:
    """Text as one string; nbformat allows a list of its lines, and a kernel may send anything."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return json.dumps(plain_json(value), ensure_ascii=False)


def count(value: Any) -> int | None:
    """An execution count, or None for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MAX_COUNT else None


# Text.


def escaped(text: str) -> str:
    """Text as Markdown that shows it as it is, in one line."""
    return _MARKDOWN_SIGNS.sub(r"\\\1", one_line(text))


def one_line(text: str) -> str:
    """Text with every run of white space as one space."""
    return " ".join(text.split())


def counted(number: int, what: str) -> str:
    """A number of things: ``1 figure``, ``2 figures``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def megabytes(size: int) -> str:
    """A size in bytes as people read it."""
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"
