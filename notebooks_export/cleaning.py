"""Which cells of a session a later one made superfluous. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

from kernel_manager.sessions.history import Cell
from notebooks_export.comparison import comparable

#: A later cell this much like a failed one was a new attempt at it: the share of words, and of pairs of words, in both.
_ALIKE = 0.4
#: How many cells after a failed one are looked at for the attempt that went well.
_LOOK_AHEAD = 12
_MAX_COMPARED = 20_000
_WORDS = re.compile(r"\w+|[^\w\s]")


def superseded(cells: Sequence[Cell]) -> set[str]:
    """The ids of cells that failed before a later one did the same well, and of cells repeated with the same outputs."""
    seen = [_Seen(cell) for cell in cells]
    return {one.cell.cell_id for place, one in enumerate(seen) if _is_superseded(one, seen[place + 1 : place + 1 + _LOOK_AHEAD])}


def without_effect(cells: Sequence[Cell]) -> set[str]:
    """The ids of cells that were no Python, so that nothing of them ran."""
    return {cell.cell_id for cell in cells if cell.status == "error" and any(map(_is_no_python, cell.outputs))}


def _is_no_python(output: Mapping[str, Any]) -> bool:
    return output.get("output_type") == "error" and output.get("ename") in ("SyntaxError", "IndentationError", "TabError")


class _Seen:
    """A cell, and what is compared of it: found out when it is asked for, once."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.code = cell.code.strip()

    @cached_property
    def words(self) -> Counter[str | tuple[str, str]]:
        words = _WORDS.findall(self.code[:_MAX_COMPARED])
        return Counter([*words, *pairwise(words)])

    @cached_property
    def shown(self) -> str:
        text = json.dumps(comparable(self.cell.outputs), sort_keys=True, default=str)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _is_superseded(one: _Seen, later: Sequence[_Seen]) -> bool:
    if one.cell.status is None:
        return False
    well = [other for other in later if other.cell.status == "ok"]
    if one.cell.status == "ok":
        return bool(one.cell.outputs) and any(one.code == other.code and one.shown == other.shown for other in well)
    return any(_alike(one, other) for other in well)


def _alike(one: _Seen, other: _Seen) -> bool:
    if one.code == other.code:
        return True
    in_both, all_of_them = (one.words & other.words).total(), one.words.total() + other.words.total()
    return 2 * in_both >= _ALIKE * all_of_them > 0
