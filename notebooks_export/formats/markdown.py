"""A notebook as Markdown, its figures as files beside it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from nbformat import NotebookNode

from notebooks_export.cells import about, escaped, joined
from notebooks_export.formats.words import alternative, formula, visible_html

#: The picture that is shown of several versions, and the ending of its file.
PICTURES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/svg+xml": ".svg",
}
_FOLDED = {"packages": "Packages", "load-file": "load_file", "answers": "Answers to input()"}
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
        label = folded_label(cell)
        yield from [f"<details><summary>{label}</summary>"] if label else []
        yield _fenced(cell.source, "python")
        for output in cell.outputs:
            yield from _output(output, folder, figures)
        yield from ["</details>"] if label else []


def folded_label(cell: NotebookNode) -> str | None:
    """What stands for a cell that is folded away, or None for one that is shown."""
    if (part := about(cell).get("part")) in _FOLDED:
        return _FOLDED[str(part)]
    return "An earlier attempt" if "superseded" in cell.metadata.get("tags", ()) else None


def _output(output: Mapping[str, Any], folder: str, figures: dict[str, bytes]) -> Iterator[str]:
    kind = output["output_type"]
    if kind == "stream":
        yield _fenced(plain_text(joined(output["text"])), "text")
    elif kind == "error":
        yield _fenced(plain_text("\n".join(output["traceback"]) or f"{output['ename']}: {output['evalue']}"), "text")
    elif (picture := picture_of(output["data"])) is not None:
        name = f"{folder}/figure-{len(figures) + 1}{PICTURES[picture[0]]}"
        figures[name] = picture[1]
        yield f"![{escaped(alternative(output['metadata']))}]({name})"
    else:
        yield from _words(output["data"])


def _words(data: Mapping[str, Any]) -> Iterator[str]:
    plain = joined(data.get("text/plain", ""))
    if "text/markdown" in data:
        yield joined(data["text/markdown"])
    elif (latex := formula(data)) is not None:
        yield latex
    elif "text/html" in data and (not plain or plain.startswith("<IPython")):
        yield from filter(None, [visible_html(data)])
    elif plain:
        yield _fenced(plain_text(plain), "text")


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
