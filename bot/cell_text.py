"""What a cell shows besides pictures, for Discord: printed lines, tables, errors, pages. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.agent.marking import clip
from bot.agent.pictures import picture_of
from bot.agent.tracebacks import relevant
from bot.markdown import fenced, harmless, plain, verbatim
from bot.pages import page_of, words_of
from bot.tables import ShownTable, shown_table
from bot.uploads import Upload, of_bytes
from kernel_manager.execution.result import Output

#: Characters of one cell's output that stand in the message; what is longer goes along as a file.
SHOWN = 1_400
SHOWN_OF_ERROR = 1_000
_MAX_MARKDOWN = 1_000
_MAX_JSON = 1_000_000
_KINDS = ("text/plain", "text/markdown", "text/latex")
_PLACEHOLDER = re.compile(r"<[\w.]+ object(?: at 0x[0-9a-fA-F]+)?>")


@dataclass(frozen=True, slots=True)
class CellText:
    """Markdown, and the files that hold what it leaves out."""

    markdown: str
    uploads: tuple[Upload, ...] = ()


@dataclass
class _Blocks:
    """What is shown, in order: blocks of printed text, of Markdown, and errors."""

    number: int
    drawn: bool = True
    blocks: list[tuple[str, str]] = field(default_factory=list)
    uploads: list[Upload] = field(default_factory=list)

    def add(self, kind: str, text: str) -> None:
        text = text.strip("\n")
        if not text.strip():
            return
        if self.blocks and self.blocks[-1][0] == kind == "text":
            text = f"{self.blocks.pop()[1]}\n{text}"
        self.blocks.append((kind, text))

    def attach(self, kind: str, suffix: str, content: bytes, description: str = "") -> str:
        """Attach a file that goes along and return its name."""
        count = sum(upload.filename.endswith(suffix) for upload in self.uploads)
        name = f"{kind}-{self.number}{f'-{count + 1}' if count else ''}{suffix}"
        self.uploads.append(of_bytes(name, content, description))
        return name


def cell_text(outputs: Sequence[Output], number: int, first: int = 0, *, ended: bool = True, drawn: bool = True) -> CellText:
    """Return what the outputs of cell ``number`` show from the one at ``first`` on, pictures aside.

    When the cell has ``ended``, a text that was cut, here or in what stands before ``first``, goes along as a file, as a whole.
    Wide tables are ``drawn``, or else cut to what fits.
    """
    found = _Blocks(number, drawn)
    for output in outputs[first:]:
        _take(output, found)
    texts = [(kind, text) for kind, text in found.blocks if kind != "error"]
    errors = "\n".join(text for kind, text in found.blocks if kind == "error")
    shown = [*_shown(texts), *([fenced(clip(errors, SHOWN_OF_ERROR))] if errors else [])]
    before = _Blocks(number)
    for output in outputs[:first] if ended else ():
        _take(output, before)
    if ended and (len(errors) > SHOWN_OF_ERROR or any(_length(part) > SHOWN for part in (before.blocks, texts))):
        whole = "\n".join(text for _, text in [*before.blocks, *found.blocks])
        found.uploads.append(of_bytes(f"output-{number}.txt", whole.encode("utf-8", "replace")))
    return CellText("\n".join(shown), tuple(found.uploads))


def _length(blocks: Sequence[tuple[str, str]]) -> int:
    return sum(len(text) for _, text in blocks)


def _shown(texts: Sequence[tuple[str, str]]) -> Iterator[str]:
    if _length(texts) > SHOWN:
        yield fenced(clip("\n".join(text for _, text in texts), SHOWN))
        return
    for kind, text in texts:
        yield harmless(text) if kind == "markdown" else fenced(text)


def _take(output: Output, found: _Blocks) -> None:
    if output.get("output_type") in ("stream", "error"):
        found.add("error" if output["output_type"] == "error" else "text", output_text(output))
        return
    bundle = output.get("data")
    if not isinstance(bundle, Mapping) or picture_of(bundle, output.get("metadata")) is not None:
        return
    html = _joined(bundle.get("text/html"))
    if (table := shown_table(html, drawn=found.drawn)) is not None:
        _take_table(table, found)
    elif (page := page_of(html)) is not None:
        name = found.attach("page", ".html", page)
        found.add("markdown", f"-# open {name} in a browser")
    elif (markdown := _joined(bundle.get("text/markdown"))) and len(markdown) <= _MAX_MARKDOWN:
        found.add("markdown", markdown)
    else:
        found.add("text", output_text(output))


def _take_table(table: ShownTable, found: _Blocks) -> None:
    if table.png is None:
        found.add("text", table.text)
    else:
        found.add("markdown", "\n".join(f"-# {verbatim(remark, 100)}" for remark in table.text.splitlines()))
        found.attach("table", ".png", table.png, "a table; the CSV beside it has it as text")
    if table.csv is not None:
        name = found.attach("table", ".csv", table.csv)
        if table.partial:
            found.add("markdown", f"-# {name} has what is shown; `.to_csv()` writes the whole table")


def output_text(output: Output) -> str:
    """Return one output as plain text; empty for a picture."""
    match output.get("output_type"):
        case "stream":
            return plain(_joined(output.get("text")))
        case "error":
            lines = output.get("traceback") or []
            return plain(relevant(lines, str(output.get("ename")), str(output.get("evalue"))))
    bundle = output.get("data")
    if not isinstance(bundle, Mapping) or picture_of(bundle, output.get("metadata")) is not None:
        return ""
    return plain(_bundle_text(bundle))


def _bundle_text(bundle: Mapping[str, Any]) -> str:
    texts = [_joined(bundle[kind]) for kind in _KINDS if kind in bundle]
    readable = next((text for text in texts if not _PLACEHOLDER.fullmatch(text)), None)
    if readable is not None:
        return readable
    if "text/html" in bundle:
        return words_of(_joined(bundle["text/html"]))
    if "application/json" in bundle:
        return json.dumps(bundle["application/json"], ensure_ascii=False, indent=1)[:_MAX_JSON]
    return texts[0] if texts else f"[{', '.join(sorted(map(str, bundle)))[:200]}: cannot be shown here]"


def _joined(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else value if isinstance(value, str) else ""
