"""Cells and histories for the tests of notebooks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from nbformat import NotebookNode

from kernel_manager.sessions.history import Cell, Entry, SessionHistory

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
FIGURE = {"output_type": "display_data", "data": {"image/png": PNG, "text/plain": "<Figure>"}, "metadata": {}}


def cell(number: int = 1, code: str = "1 + 1", *outputs: dict[str, Any], **values: Any) -> Cell:
    """A cell that went well two seconds after it began; ``values`` are fields of Cell."""
    defaults: dict[str, Any] = {
        "status": "ok",
        "finished_at": NOON + timedelta(seconds=2),
        "execution_count": number,
        "duration_s": 1.5,
        "outputs": list(outputs),
    }
    return Cell(f"{number:012x}", code, "m", "k", started_at=NOON, **({"source": "run"} | defaults | values))


def session(*entries: Entry) -> SessionHistory:
    """The history of a session with these entries."""
    cells = [entry for entry in entries if isinstance(entry, Cell)]
    return SessionHistory("default", "local", NOON, list(entries), cells)


def printed(text: str, name: str = "stdout") -> dict[str, Any]:
    """Printed text."""
    return {"output_type": "stream", "name": name, "text": text}


def shown(text: str, **data: Any) -> dict[str, Any]:
    """A value that was shown; more versions of it by mime type with ``_`` for ``/``."""
    content = {"text/plain": text, **{mime.replace("_", "/", 1): value for mime, value in data.items()}}
    return {"output_type": "execute_result", "data": content, "metadata": {}, "execution_count": 1}


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The code cells of the session."""
    return [item for item in notebook.cells if item.cell_type == "code" and "part" not in item.metadata.threadbook]
