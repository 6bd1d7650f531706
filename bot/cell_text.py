"""What a cell shows, as text for Discord: printed lines, tables, errors. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.agent.marking import clip
from bot.agent.pictures import picture_of
from bot.agent.tracebacks import relevant
from bot.markdown import fenced, plain
from bot.tables import shown_table
from bot.uploads import Upload, of_bytes
from kernel_manager.execution.result import Output

#: Characters of one cell's output that stand in the message; what is longer goes along as a file.
SHOWN = 1_400
_KINDS = ("text/plain", "text/markdown", "text/latex", "application/json")


@dataclass(frozen=True, slots=True)
class CellText:
    """Markdown, and the files that hold what it leaves out."""

    markdown: str
    uploads: tuple[Upload, ...] = ()


def cell_text(outputs: Sequence[Output], number: int) -> CellText:
    """Return what the outputs of cell ``number`` show, pictures aside."""
    texts: list[str] = []
    uploads: list[Upload] = []
    for output in outputs:
        bundle = output.get("data")
        table = shown_table(_joined(bundle.get("text/html"))) if isinstance(bundle, Mapping) else None
        if table is not None:
            texts.append(table.text)
            if table.csv is not None:
                uploads.append(of_bytes(f"table-{number}-{len(uploads) + 1}.csv", table.csv))
        else:
            texts.append(output_text(output).strip("\n"))
    whole = "\n".join(text for text in texts if text.strip())
    if not whole:
        return CellText("", tuple(uploads))
    if len(whole) > SHOWN:
        uploads.append(of_bytes(f"output-{number}.txt", whole.encode()))
    return CellText(fenced(clip(whole, SHOWN)), tuple(uploads))


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
    return next((plain(_joined(bundle[kind])) for kind in _KINDS if kind in bundle), "")


def _joined(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else value if isinstance(value, str) else ""
