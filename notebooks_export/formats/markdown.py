"""A notebook as Markdown, its figures as files beside it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbformat import NotebookNode

from notebooks_export.cells import joined

#: The picture that is shown of several versions, and the ending of its file.
PICTURES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/svg+xml": ".svg",
}
_ANSI = re.compile(r"\x1b\[[0-9;:?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_FENCES = re.compile(r"`{3,}")


@dataclass(frozen=True, slots=True)
class MarkdownDocument:
    """The text, and the figures that it refers to by their path relative to it."""

    text: str
    figures: dict[str, bytes] = field(default_factory=dict)


def to_markdown(nb: NotebookNode, folder: str) -> MarkdownDocument:
    """The document; its figures are in ``folder``, a name that needs no quoting."""
    figures: dict[str, bytes] = {}
    parts = [part for cell in nb.cells for part in _cell(cell, folder, figures)]
    return MarkdownDocument("\n\n".join(parts) + "\n", figures)


def _cell(cell: NotebookNode, folder: str, figures: dict[str, bytes]) -> Iterator[str]:
    if cell.cell_type == "markdown":
        yield cell.source
    elif cell.cell_type == "code":
        yield _fenced(cell.source, "python")
        for output in cell.outputs:
            yield from _output(output, folder, figures)


def _output(output: Mapping[str, Any], folder: str, figures: dict[str, bytes]) -> Iterator[str]:
    kind = output["output_type"]
    if kind == "stream":
        yield _fenced(plain_text(joined(output["text"])), "text")
    elif kind == "error":
        yield _fenced(plain_text("\n".join(output["traceback"]) or f"{output['ename']}: {output['evalue']}"), "text")
    elif (picture := picture_of(output.get("data", {}))) is not None:
        name = f"{folder}/figure-{len(figures) + 1}{PICTURES[picture[0]]}"
        figures[name] = picture[1]
        yield f"![figure {len(figures)}]({name})"
    elif "text/markdown" in output["data"]:
        yield joined(output["data"]["text/markdown"])
    elif "text/plain" in output["data"]:
        yield _fenced(plain_text(joined(output["data"]["text/plain"])), "text")


def picture_of(data: Mapping[str, Any]) -> tuple[str, bytes] | None:
    """The best picture of a mime bundle, or None if there is none that can be read."""
    for mime in PICTURES:
        if mime in data:
            text = joined(data[mime])
            if mime == "image/svg+xml":
                return mime, text.encode("utf-8", "replace")
            try:
                return mime, base64.b64decode(text)
            except (binascii.Error, ValueError):
                continue
    return None


def plain_text(text: str) -> str:
    """What a terminal would show of the text, without colours; of a line that was written over its last state."""
    text = _ANSI.sub("", text).replace("\r\n", "\n")
    if "\r" in text:
        text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return _CONTROL.sub("", text)


def _fenced(text: str, language: str) -> str:
    longest = max((len(found) for found in _FENCES.findall(text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text.rstrip(chr(10))}\n{fence}"
