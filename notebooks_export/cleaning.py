"""Which cells of a session a later one made superfluous. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from kernel_manager.sessions.history import Cell
from notebooks_export.comparison import comparable

#: A later cell this much like a failed one was a new attempt at it.
_ALIKE = 0.5
#: How many cells after a failed one are looked at for the attempt that went well.
_LOOK_AHEAD = 12
_MAX_COMPARED = 20_000
_WORDS = re.compile(r"\w+|[^\w\s]")


def superseded(cells: Sequence[Cell]) -> set[str]:
    """The ids of cells that failed before a later one did the same well, and of cells repeated with the same outputs."""
    return {cell.cell_id for place, cell in enumerate(cells) if _is_superseded(cell, cells[place + 1 : place + 1 + _LOOK_AHEAD])}


def _is_superseded(cell: Cell, later: Sequence[Cell]) -> bool:
    if cell.status is None:
        return False
    well = [other for other in later if other.status == "ok"]
    if cell.status == "ok":
        return bool(cell.outputs) and any(_same(cell, other) for other in well)
    return any(_alike(cell.code, other.code) for other in well)


def _same(cell: Cell, other: Cell) -> bool:
    return cell.code.strip() == other.code.strip() and comparable(cell.outputs) == comparable(other.outputs)


def _alike(code: str, other: str) -> bool:
    if code.strip() == other.strip():
        return True
    words, others = _WORDS.findall(code[:_MAX_COMPARED]), _WORDS.findall(other[:_MAX_COMPARED])
    matcher = SequenceMatcher(None, words, others, autojunk=False)
    return matcher.real_quick_ratio() >= _ALIKE and matcher.quick_ratio() >= _ALIKE and matcher.ratio() >= _ALIKE
