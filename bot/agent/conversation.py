"""The conversation with a model, derived from the session's history: who said what, what ran, and what came of it."""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from bot.agent.budget import tokens_of
from bot.agent.items import AssistantMessage, Exchange, Image, Item, Part, Text, ToolCall, ToolOutput, UserMessage, complete, said
from bot.agent.marking import KINDS, clip, marked, one_line
from bot.agent.pictures import pictures_of
from bot.agent.seen import Eyes, images_of, report
from bot.agent.tools import EXECUTE
from kernel_manager.execution.result import ExecutionResult
from kernel_manager.sessions.history import Cell, Entry, KernelEnded, Said, SessionHistory, Source

#: Cells of earlier messages, from the end, whose figures a model still sees as pictures; of the others it gets the descriptions.
RECENT_CELLS = 2
#: Entries of the history that are looked at at all; what lies before is gone from the conversation.
MAX_ENTRIES = 2_000
#: Characters of an output that lies farther back than the model reads.
BRIEF = 400
#: How many times as far back as the model reads what was said is looked at, for the summaries.
_FARTHEST = 3
_MAX_SAID = 60_000
_MARKS = re.compile(rf"</?(?:{'|'.join(KINDS)})[^<>\n]*>\n?")
_HOW: dict[Source, str] = {
    "run": "ran this code",
    "attach": "ran this code from a Jupyter client",
    "import": "imported this cell; it did not run here",
}


async def conversation(history: SessionHistory, eyes: Eyes, room: float = math.inf) -> list[Exchange]:
    """Return what was said and done so far, oldest first. Every call has its answer, also after a crash.

    ``room`` is how many tokens the model reads: of a longer history, outputs that would not fit are told in brief, and what
    lies so far back that not even its summary would fit is left out.
    """
    entries = history.entries[-MAX_ENTRIES:]
    recent = [entry for entry in entries if isinstance(entry, Cell)][-RECENT_CELLS:]
    images = {cell.cell_id: await images_of(pictures_of(cell.outputs), eyes) for cell in recent}
    # in a thread: a long history takes longer than others should wait
    return await asyncio.to_thread(_exchanges, entries, eyes, images, room)


def _exchanges(entries: Sequence[Entry], eyes: Eyes, images: Mapping[str, Sequence[Image]], room: float) -> list[Exchange]:
    brief = replace(eyes, characters=min(eyes.characters, BRIEF))
    newest_first: list[tuple[Entry, list[Item]]] = []
    taken = 0.0
    for entry in reversed(entries):
        items = _items(entry, eyes if taken < room else brief, images)
        newest_first.append((entry, items))
        taken += tokens_of(items)
        if taken > _FARTHEST * room:
            break
    exchanges: list[list[Item]] = [[]]
    for entry, items in reversed(newest_first):
        if isinstance(entry, Said) and entry.role == "user":
            exchanges.append([])
        exchanges[-1] += items
    return [Exchange(tuple(complete(items))) for items in exchanges if items]


def _items(entry: Entry, eyes: Eyes, images: Mapping[str, Sequence[Image]]) -> list[Item]:
    match entry:
        case Said(imported=True):
            return [said(_imported_words(entry))]
        case Said(role="user"):
            return [said(words(entry.name, entry.at, entry.text))]
        case Said(role="assistant"):
            return [AssistantMessage(clip(entry.text, _MAX_SAID))]
        case Said():
            return [said(marked("note", clip(entry.text, _MAX_SAID), source=entry.name))]
        case KernelEnded():
            why = one_line(entry.cause or "it ended", 300)
            lost = " All variables are lost: load and define again what you need." if entry.state_lost else ""
            return [said(marked("note", f"The kernel ended: {why}.{lost}", source="interpreter"))]
        case Cell():
            return _cell_items(entry, eyes, images.get(entry.cell_id, ()))


def _cell_items(cell: Cell, eyes: Eyes, images: Sequence[Image]) -> list[Item]:
    result = result_of(cell)
    if cell.source != "model":
        return [UserMessage((Text(_others_cell(cell, result, eyes, len(images))), *images))]
    call = ToolCall(f"call_{cell.cell_id}", EXECUTE.name, json.dumps({"code": cell.code}, ensure_ascii=False))
    if cell.status is None:
        return [call]
    told = report(result, eyes.characters, pictures_of(result.outputs), len(images))
    return [call, ToolOutput(call.call_id, (Text(told), *images))]


def _others_cell(cell: Cell, result: ExecutionResult, eyes: Eyes, attached: int) -> str:
    """A cell that the model did not ask for: the user's own, or one of an imported notebook."""
    waiting = "not run yet" if cell.source == "import" else "The end is not known."
    outcome = report(result, eyes.characters // 2, pictures_of(result.outputs), attached) if cell.status else waiting
    return marked("note", f"The user {_HOW[cell.source]}:\n{clip(cell.code, 4_000)}\n\n{outcome}", source="interpreter")


def _imported_words(entry: Said) -> str:
    """What an imported notebook holds: whoever it says spoke, they are data, not the user's words or the model's own."""
    head = "" if entry.role == "note" else f"{one_line(entry.name, 100)} ({entry.role}) is quoted as saying:\n"
    source = entry.name if entry.role == "note" else "imported notebook"
    return marked("note", f"{head}{clip(entry.text, _MAX_SAID)}", source=source)


def result_of(cell: Cell) -> ExecutionResult:
    """Return what a cell of the history came to."""
    return ExecutionResult(
        status=cell.status or "interrupted",
        execution_count=cell.execution_count,
        outputs=cell.outputs,
        files=cell.files,
        installed_packages=cell.installed_packages,
        duration_s=cell.duration_s,
        cause=cell.cause,
        state_lost=cell.state_lost,
    )


def words(name: str, at: datetime | None, text: str) -> str:
    """Return what a person said, with who and when in front."""
    when = f" ({at:%Y-%m-%d %H:%M} UTC)" if at is not None else ""
    return f"{one_line(name, 100) or 'user'}{when}:\n{clip(text, _MAX_SAID)}"


def summary(exchange: Exchange) -> str:
    """Return an exchange in a few words, without a model's help: what was asked, what ran, what came out."""
    asked = next((_words_of(item.parts) for item in exchange.items if isinstance(item, UserMessage)), "")
    ran = [one_line(_code(item), 120) for item in exchange.items if isinstance(item, ToolCall)]
    came = [one_line(_gist(_words_of(item.parts)), 120) for item in exchange.items if isinstance(item, ToolOutput)]
    answered = [item.text for item in exchange.items if isinstance(item, AssistantMessage)]
    lines = [f"asked: {one_line(asked, 200)}"]
    lines += [f"ran: {code} → {outcome}" for code, outcome in list(zip(ran, came, strict=False))[-3:]]
    lines += [f"({len(ran) - 3} earlier cells left out)"] if len(ran) > 3 else []
    lines += [f"answered: {one_line(answered[-1], 240)}"] if answered else []
    return "\n".join(lines)


def _words_of(parts: Sequence[Part]) -> str:
    return next((part.text for part in parts if isinstance(part, Text)), "")


def _gist(report: str) -> str:
    """What a report of a cell says, without its marks and, if all went well, without saying so."""
    text = _MARKS.sub("", report)
    status, _, rest = text.partition("\n")
    return rest if status.startswith("status: ok") and rest.strip() else text


def _code(call: ToolCall) -> str:
    try:
        return str(json.loads(call.arguments)["code"])
    except (ValueError, KeyError, TypeError):
        return call.arguments
