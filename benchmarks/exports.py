"""A large session written as a notebook, against nbformat alone doing the same from a list of cells."""

from __future__ import annotations

import asyncio
import base64
import os
import random
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.arena import Arena, in_turns
from benchmarks.contestant import CellFailedError, make_folder
from benchmarks.row import Row
from kernel_manager.execution.result import Output
from kernel_manager.sessions.history import CellFinished, CellStarted, History, SessionCreated

_FIGURE_BYTES = 50_000
#: What an export of a large session may take.
_MOST_S = 5.0
_MOST_BYTES = 300e6
_PLAIN = """
import json, sys
import nbformat
cells = []
for line in open(sys.argv[1], encoding="utf-8"):
    record = json.loads(line)
    if record["type"] == "cell_started":
        cells.append(nbformat.v4.new_code_cell(record["code"]))
    elif record["type"] == "cell_finished":
        cells[-1].outputs = [nbformat.from_dict(output) for output in record["outputs"]]
notebook = nbformat.v4.new_notebook(cells=cells)
nbformat.validate(notebook)
nbformat.write(notebook, sys.argv[2])
"""


async def export(arena: Arena) -> list[Row]:
    """Half of the cells have a figure; a process reads the history and writes the notebook, its start and end included."""
    cells = arena.plan.exported_cells
    folder = make_folder(arena.folder / "export")
    history = folder / "history.jsonl"
    await asyncio.to_thread(_write_history, history, cells)
    ours_peaks: list[float] = []
    plain_peaks: list[float] = []

    async def ours() -> list[float]:
        command = [sys.executable, "-m", "notebooks_export", str(history), "-o", str(folder / "ours.ipynb")]
        return [await asyncio.to_thread(_run, command, arena, ours_peaks)]

    async def plain() -> list[float]:
        return [
            await asyncio.to_thread(
                _run, [sys.executable, "-c", _PLAIN, str(history), str(folder / "plain.ipynb")], arena, plain_peaks
            )
        ]

    samples = await in_turns(arena.plan.exports, ours, plain)
    name = f"{cells:,} cells, {cells // 2:,} figures of 50 KB to .ipynb (plain: nbformat alone)"
    return [
        Row(name, "ms", *samples, limit=_MOST_S),
        Row(f"{name}: peak memory", "MB", ours_peaks, plain_peaks, limit=_MOST_BYTES),
    ]


def _write_history(path: Path, cells: int) -> None:
    history, dice = History(path, lambda: datetime.now(UTC)), random.Random(7)
    history.append(SessionCreated("large", "local"))
    for number in range(cells):
        outputs: list[Output] = [{"output_type": "stream", "name": "stdout", "text": f"line {number}\n" * 20}]
        if number % 2:
            figure = {"image/png": base64.b64encode(dice.randbytes(_FIGURE_BYTES)).decode(), "text/plain": "<Figure>"}
            outputs.append({"output_type": "display_data", "data": figure, "metadata": {}})
        history.append(CellStarted(f"{number:012x}", f"plt.plot(range({number}))\nprint('text')", "m", "k"))
        history.append(CellFinished(f"{number:012x}", "ok", number + 1, outputs))
    history.close()


def _run(command: list[str], arena: Arena, peaks: list[float]) -> float:
    """Run a process to its end; return its seconds and note its peak of resident memory in bytes."""
    environ = {
        **os.environ,
        "ENVIRONMENTS_DIR": str(arena.environment.root.parent),
        "DATA_DIR": str(arena.folder / "export" / "d"),
    }
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    began = time.perf_counter()
    pid = os.posix_spawn(command[0], command, environ, file_actions=quiet)
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        raise CellFailedError(f"{command[1:3]} ended with {os.waitstatus_to_exitcode(status)}")
    peaks.append(float(usage.ru_maxrss * 1024))
    return time.perf_counter() - began
