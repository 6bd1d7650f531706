"""Making a notebook smaller: outputs or figures left out, texts cut, until it fits. What went is said in its place and told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbformat import NotebookNode

from kernel_manager.errors import UsageError
from notebooks_export.cells import about, counted, joined, megabytes, note_output
from notebooks_export.comparison import PICTURES
from notebooks_export.notebook import notebook_bytes
from notebooks_export.shrinking import smaller

_FIGURES = (*PICTURES, "image/svg+xml", "application/pdf")
#: A text that is longer is cut to its first and last half of that, when room is needed; in characters.
_SHORT_TEXT = 8_000
#: Outputs that are smaller are not worth leaving out, unless all of them are; in characters.
_SMALL = 400
#: Figures that are smaller are not worth making smaller; in characters.
_SMALL_FIGURE = 8_000


def without_outputs(nb: NotebookNode) -> list[str]:
    """Take all outputs out; return what to say about it."""
    number = 0
    for cell in _session_cells(nb):
        number += len(cell.outputs)
        cell.outputs = []
    return [f"Left out as asked: {counted(number, 'output')}."] if number else []


def without_figures(nb: NotebookNode) -> list[str]:
    """Take all figures out and leave a note in their places; return what to say about it."""
    number = sum(_drop_figure(cell, place, "as asked") for cell, place in list(_figures(nb)))
    return [f"Left out as asked: {counted(number, 'figure')}."] if number else []


def fit(nb: NotebookNode, max_bytes: int, size_of: Callable[[NotebookNode], int] | None = None) -> list[str]:
    """Make the notebook fit into ``max_bytes``; return what to say about it, nothing if it did already.

    ``size_of`` tells the bytes that it takes where they are counted (in an archive, for example). First go second
    versions of figures, then the middles of long texts, then pixels and colours of figures, then the largest figures and
    outputs, then all of them. Raises :class:`UsageError` if it is too large without any output.
    """
    size_of = size_of or (lambda found: len(notebook_bytes(found)))
    before = size = size_of(nb)
    if size <= max_bytes:
        return []
    done = _Done()
    for step in _STEPS:
        step(nb, size - max_bytes, done)
        if (size := size_of(nb)) <= max_bytes:
            return [done.told(before, max_bytes)]
    while size > max_bytes and _drop_largest(nb, size - max_bytes, done):
        size = size_of(nb)
    if size > max_bytes:
        done.others += sum(len(cell.outputs) for cell in _session_cells(nb))
        without_outputs(nb)
        size = size_of(nb)
    if size > max_bytes:
        raise UsageError(
            f"The notebook has {megabytes(size)} without any output, more than the {megabytes(max_bytes)} that it may have; "
            "allow more, or export a shorter session."
        )
    return [done.told(before, max_bytes)]


@dataclass(slots=True)
class _Done:
    """What was done so far: how many of a kind, and which figures were made smaller (by cell and place)."""

    shrunk: set[tuple[str, int]] = field(default_factory=set)
    figures: int = 0
    texts: int = 0
    others: int = 0

    def told(self, before: int, max_bytes: int) -> str:
        parts = [
            f"{counted(number, what)} {became}"
            for number, what, became in (
                (len(self.shrunk), "figure", "made smaller"),
                (self.figures, "figure", "left out"),
                (self.texts, "output", "shortened"),
                (self.others, "other output", "left out"),
            )
            if number
        ]
        return f"To fit {megabytes(max_bytes)} (of {megabytes(before)}): {', '.join(parts)}."


def _session_cells(nb: NotebookNode) -> Iterator[NotebookNode]:
    yield from (cell for cell in nb.cells if cell.cell_type == "code" and "part" not in about(cell))


def _figures(nb: NotebookNode) -> Iterator[tuple[NotebookNode, int]]:
    for cell in _session_cells(nb):
        for place, output in enumerate(cell.outputs):
            if any(mime in output.get("data", ()) for mime in _FIGURES):
                yield cell, place


def _drop_figure(cell: NotebookNode, place: int, why: str) -> bool:
    size = _size(cell.outputs[place])
    cell.outputs[place] = _from_dict(note_output(f"a figure of {megabytes(size)} was left out {why}"))
    return True


def _drop_second_versions(nb: NotebookNode, _: int, done: _Done) -> None:
    """Of several versions of one figure only the first that browsers show stays."""
    for cell, place in _figures(nb):
        data = cell.outputs[place].data
        for mime in [mime for mime in _FIGURES if mime in data][1:]:
            del data[mime]
            done.texts += 1


def _cut_texts(nb: NotebookNode, _: int, done: _Done) -> None:
    for cell in _session_cells(nb):
        done.texts += sum(map(_cut_output, cell.outputs))


def _shrink_figures(longest_side: int) -> Callable[[NotebookNode, int, _Done], None]:
    def shrink(nb: NotebookNode, excess: int, done: _Done) -> None:
        places = sorted(_figures(nb), key=lambda found: _size(found[0].outputs[found[1]]), reverse=True)
        for cell, place in places:
            if excess <= 0:
                return
            if saved := _shrink(cell.outputs[place], longest_side):
                excess -= saved
                done.shrunk.add((cell.id, place))

    return shrink


def _shrink(output: NotebookNode, longest_side: int) -> int:
    """Make a figure smaller; return how many characters that saved. It is shown as large as before."""
    mime = next(mime for mime in _FIGURES if mime in output.data)
    text = "".join(joined(output.data[mime]).split())
    found = smaller(mime, text, longest_side) if len(text) > _SMALL_FIGURE else None
    if found is None:
        return 0
    output.data[mime] = found.text
    shown = output.metadata.get(mime)
    if not isinstance(shown, dict) or "width" not in shown:
        output.metadata[mime] = _from_dict({"width": found.width, "height": found.height})
    return len(text) - len(found.text)


def _cut_output(output: NotebookNode) -> bool:
    if "text" in output:
        output.text, cut = _cut(joined(output.text))
        return cut
    data: Mapping[str, Any] = output.get("data", {})
    plain = data.get("text/plain")
    if plain is not None and len(joined(plain)) > _SHORT_TEXT:
        output.data["text/plain"] = _cut(joined(plain))[0]
        return True
    return False


def _cut(text: str) -> tuple[str, bool]:
    half = _SHORT_TEXT // 2
    if len(text) <= _SHORT_TEXT + 100:
        return text, False
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters left out …]\n{text[-half:]}", True


def _drop_largest(nb: NotebookNode, excess: int, done: _Done) -> bool:
    """Leave out the largest outputs until ``excess`` bytes are gone; whether there were any."""
    places = [(_size(output), cell, place) for cell in _session_cells(nb) for place, output in enumerate(cell.outputs)]
    large = sorted((found for found in places if found[0] > _SMALL), key=lambda found: found[0], reverse=True)
    gone = 0
    for size, cell, place in large:
        if gone >= excess:
            break
        output = cell.outputs[place]
        if any(mime in output.get("data", ()) for mime in _FIGURES):
            _drop_figure(cell, place, "to fit the size")
            done.shrunk.discard((cell.id, place))
            done.figures += 1
        else:
            cell.outputs[place] = _from_dict(note_output(f"an output of {megabytes(size)} was left out to fit the size"))
            done.others += 1
        gone += size
    return gone > 0


def _size(output: NotebookNode) -> int:
    return len(json.dumps(output, ensure_ascii=False))


def _from_dict(output: dict[str, Any]) -> NotebookNode:
    made: NotebookNode = NotebookNode(output)  # type: ignore[no-untyped-call]
    return made


#: What is tried in turn; each is told how many bytes are too many.
_STEPS = (_drop_second_versions, _cut_texts, *map(_shrink_figures, (1_000, 560)))
