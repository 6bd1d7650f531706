"""Whether an exported notebook gives again what its session showed: run in fresh kernels, compared cell by cell."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from nbformat import NotebookNode

from kernel_manager import CellFinished, Interpreter, LimitError, Session
from kernel_manager.execution.events import InputRequested
from kernel_manager.execution.result import ExecutionResult
from notebooks_export.cells import about
from notebooks_export.code import why_not_repeatable
from notebooks_export.comparison import PicturePair, comparable, difference, picture_pairs, same
from notebooks_export.pictures import show_the_same

Verdict = Literal["same", "different", "failed", "not repeatable", "skipped"]

#: Seconds that all runs of one verification may take together.
TIME_LIMIT_S = 900.0
_NO_ROOM = (
    "This takes a kernel beside those that are live, and there is no room for one more that would not end one of them; "
    "stop one of yours (in a terminal: threadbook stop --session NAME), then try again."
)
_SKIP = "skip-execution"
_MAX_NAMED = 3
_MAX_CAUSE = 300


@dataclass(frozen=True, slots=True)
class CellVerdict:
    """What became of one cell: ``number`` is how people call it, ``why`` says in half a sentence, ``diff`` shows."""

    cell_id: str
    number: int
    verdict: Verdict
    why: str = ""
    diff: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """The verdicts on all cells of a session, in order. ``sentence`` tells people."""

    cells: tuple[CellVerdict, ...]
    sentence: str

    @property
    def holds(self) -> bool:
        """Whether every cell gives the same."""
        return all(cell.verdict == "same" for cell in self.cells)

    def to_dict(self) -> dict[str, Any]:
        """Ready for the notebook's metadata: the counts, the sentence, and the cells that are not the same."""
        counts = Counter(cell.verdict for cell in self.cells)
        others = [asdict(cell) for cell in self.cells if cell.verdict != "same"]
        return {
            "sentence": self.sentence,
            "cells": len(self.cells),
            **{str(verdict): number for verdict, number in counts.items()},
            "not_same": others,
        }


Comparable = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ShownCell:
    """A cell as the session showed it; ``skipped`` cells are not run again."""

    cell_id: str
    number: int
    source: str
    status: str
    shown: tuple[Mapping[str, Any], ...] = ()
    skipped: bool = False

    def outputs(self, folder: str) -> Comparable:
        """What it showed, ready to be compared; ``folder`` was the working folder."""
        return comparable(self.shown, [folder] if folder else [])


@dataclass(frozen=True, slots=True)
class Run:
    """One fresh run: results by cell id, which cells asked for a password, and where the working folder was."""

    results: Mapping[str, ExecutionResult]
    asked: frozenset[str] = frozenset()
    folder: str = ""

    def outputs(self, cell_id: str) -> Comparable:
        """What a cell showed, ready to be compared; nothing if it did not run."""
        result = self.results.get(cell_id)
        return comparable(result.outputs, [self.folder] if self.folder else []) if result else []


@contextlib.asynccontextmanager
async def fresh_session(interpreter: Interpreter, user_id: str, purpose: str) -> AsyncIterator[Session]:
    """A new session of a user for a while: with the user's files, and gone without a trace afterwards.

    No kernel has to end for it: raises LimitError if there is no room for one more.
    """
    if not await interpreter.has_room(user_id):
        raise LimitError(_NO_ROOM)
    name = f"{purpose}-{secrets.token_hex(6)}"
    session = await interpreter.session(user_id, name)
    try:
        yield session
    finally:
        await interpreter.remove_session(user_id, name)


async def verify(interpreter: Interpreter, user_id: str, nb: NotebookNode, folder: str = "") -> Verification:
    """Run the notebook in a fresh kernel, and once more if something differs; compare.

    ``folder`` is the session's own working folder, which may stand in its outputs. Raises LimitError when it takes too
    long, and what starting a kernel raises.
    """
    shown = list(_shown_cells(nb))
    try:
        async with asyncio.timeout(TIME_LIMIT_S):
            first = await _run(interpreter, user_id, nb)
            alike = await _alike(interpreter, user_id, lambda cell: (cell.outputs(folder), first.outputs(cell.cell_id)), shown)
            verdicts = await asyncio.to_thread(_judged, shown, folder, first, None, alike)
            if any(verdict.verdict in ("different", "failed") for verdict in verdicts):
                second = await _run(interpreter, user_id, nb)
                both = await _alike(
                    interpreter, user_id, lambda cell: (first.outputs(cell.cell_id), second.outputs(cell.cell_id)), shown
                )
                verdicts = await asyncio.to_thread(_judged, shown, folder, first, second, alike | both)
    except TimeoutError as exc:
        raise LimitError(f"The notebook ran longer than {TIME_LIMIT_S:g} s; verify a shorter session.") from exc
    return Verification(tuple(verdicts), sentence(verdicts))


# Running.


async def _run(interpreter: Interpreter, user_id: str, nb: NotebookNode) -> Run:
    results: dict[str, ExecutionResult] = {}
    asked: set[str] = set()
    async with fresh_session(interpreter, user_id, "verify") as session:
        for cell in nb.cells:
            if cell.cell_type != "code" or _SKIP in cell.metadata.get("tags", ()):
                continue
            async with contextlib.aclosing(session.run(cell.source)) as events:
                async for event in events:
                    if isinstance(event, InputRequested):
                        if event.password:
                            asked.add(cell.id)
                        event.answer(None)
                    elif isinstance(event, CellFinished):
                        results[cell.id] = event.result
            if results[cell.id].state_lost:
                break
        return Run(results, frozenset(asked), str(session.workspace))


async def _alike(
    interpreter: Interpreter,
    user_id: str,
    two_runs: Callable[[ShownCell], tuple[Comparable, Comparable]],
    shown: Sequence[ShownCell],
) -> frozenset[PicturePair]:
    """The pairs of pictures at the same places of two runs of the cells that show the same, though their bytes differ."""

    def pairs_of_all() -> list[PicturePair]:
        return list(dict.fromkeys(pair for cell in shown for pair in picture_pairs(*two_runs(cell))))

    # in a thread: large outputs take long to be made comparable
    pairs = await asyncio.to_thread(pairs_of_all)
    if not pairs:
        return frozenset()
    async with fresh_session(interpreter, user_id, "compare") as session:
        found = await show_the_same(session, pairs)
    return frozenset(pair for pair, alike in zip(pairs, found, strict=True) if alike)


def _shown_cells(nb: NotebookNode) -> Iterator[ShownCell]:
    cells = [cell for cell in nb.cells if cell.cell_type == "code" and "part" not in about(cell)]
    counts = [cell.execution_count for cell in cells]
    unique = None not in counts and len(set(counts)) == len(counts)
    for place, cell in enumerate(cells):
        status = str(about(cell).get("status", "ok"))
        skipped = _SKIP in cell.metadata.get("tags", ()) or status in ("not run", "unfinished")
        number = cell.execution_count if unique else place + 1
        yield ShownCell(cell.id, number, cell.source, status, tuple(cell.outputs), skipped)


# Judging. Pure.


def judge(cell: ShownCell, folder: str, first: Run, second: Run | None, alike: frozenset[PicturePair]) -> CellVerdict:
    """What to say about one cell, from what the session showed and from one fresh run or two."""

    def verdict(kind: Verdict, why: str = "", diff: str = "") -> CellVerdict:
        return CellVerdict(cell.cell_id, cell.number, kind, why, diff)

    if cell.skipped:
        return verdict("skipped", "did not come to its end in the session, so it was not run again")
    result = first.results.get(cell.cell_id)
    if result is None:
        return verdict("failed", "was not reached, as an earlier cell ended the kernel")
    shown, now = cell.outputs(folder), first.outputs(cell.cell_id)
    if result.ok == (cell.status == "ok") and same(shown, now, alike):
        return verdict("same")
    if cell.cell_id in first.asked:
        return verdict("failed", "asks for a password, which is never kept")
    again = second.results.get(cell.cell_id) if second else None
    if (
        second is not None
        and again is not None
        and not (again.ok == result.ok and same(now, second.outputs(cell.cell_id), alike))
    ):
        why = why_not_repeatable(cell.source) or "shows something else at each run"
        return verdict("not repeatable", why, difference(shown, now))
    if cell.status == "ok" and not result.ok:
        return verdict(
            "failed", f"fails in a fresh kernel ({(result.cause or result.status)[:_MAX_CAUSE]})", difference(shown, now)
        )
    if cell.status != "ok" and result.ok:
        return verdict("different", "failed in the session and runs in a fresh kernel", difference(shown, now))
    return verdict("different", "shows something else than in the session", difference(shown, now))


def _judged(
    shown: Sequence[ShownCell], folder: str, first: Run, second: Run | None, alike: frozenset[PicturePair]
) -> list[CellVerdict]:
    return [judge(cell, folder, first, second, alike) for cell in shown]


def sentence(verdicts: Sequence[CellVerdict]) -> str:
    """The verdicts in one sentence."""
    if not verdicts:
        return "There are no cells to reproduce."
    others = [cell for cell in verdicts if cell.verdict != "same"]
    number = len(verdicts) - len(others)
    if not others:
        return "All cells reproduce." if len(verdicts) != 1 else "The cell reproduces."
    named = [f"cell {cell.number} {cell.why}" for cell in others[:_MAX_NAMED]]
    if len(others) > _MAX_NAMED:
        named.append(f"{len(others) - _MAX_NAMED} more do not")
    return f"{number} of {len(verdicts)} cells reproduce; {'; '.join(named)}."
