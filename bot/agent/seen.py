"""What a model sees of a cell's result: enough to go on, and never more than a set number of characters and pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.agent.items import Image, Part, Text
from bot.agent.marking import clip, marked, one_line
from bot.agent.pictures import Picture, for_model, picture_of, pictures_of
from bot.agent.tables import compact_table
from bot.agent.tracebacks import plain_text, relevant
from kernel_manager.execution.result import ExecutionResult, WrittenFile

_MAX_FILES = 20
_MAX_PACKAGES = 30
_MAX_PICTURES = 4
_LOOKED_AT = 4
_TEXT_MIMES = ("text/plain", "text/markdown", "text/latex")


@dataclass(frozen=True, slots=True)
class Eyes:
    """What a model can take in: pictures or not, how large (pixels), and how much text of one result (characters)."""

    vision: bool = False
    pixels: int = 768
    characters: int = 8_000
    pictures: int = _MAX_PICTURES


async def seen(result: ExecutionResult, eyes: Eyes) -> tuple[Part, ...]:
    """Return what the model gets to see of a result."""
    pictures = pictures_of(result.outputs)
    images = await images_of(pictures, eyes)
    return (Text(report(result, eyes.characters, pictures, len(images))), *images)


async def images_of(pictures: Sequence[Picture], eyes: Eyes) -> tuple[Image, ...]:
    """Return the pictures that go to the model as images: the first ones as far as they can be opened, if it sees."""
    found: list[Image] = []
    for picture in pictures[: eyes.pictures] if eyes.vision else ():
        if (image := await for_model(picture, eyes.pixels)) is None:
            break  # so that the first ones, as the report says, are those that go
        found.append(image)
    return tuple(found)


def report(result: ExecutionResult, limit: int, pictures: Sequence[Picture] = (), attached: int = 0) -> str:
    """Return the words: how it ended, what it printed and returned, its error, its files. ``attached`` pictures go with it."""
    lines = [_headline(result)]
    if text := printed(result.outputs, limit):
        lines.append(marked("output", text))
    if result.cause and result.status != "error":
        # marked, as it may quote the last that the code wrote
        lines.append(marked("output", one_line(plain_text(result.cause), 600), kind="cause"))
    if result.state_lost:
        lines.append("All variables of the session are lost: load and define again what you need.")
    if pictures:
        lines.append(marked("output", "\n".join(_figure_lines(pictures, attached)), kind="figures"))
    if result.installed_packages:
        lines.append(f"installed on the way: {one_line(', '.join(result.installed_packages[:_MAX_PACKAGES]), 600)}")
    if result.files:
        lines.append(marked("files", "\n".join(_file_lines(result.files)), written="by this cell, in the working folder"))
    return "\n".join(lines)


def _headline(result: ExecutionResult) -> str:
    nothing = " · no output" if not result.outputs and result.status == "ok" else ""
    return f"status: {result.status} · ran {result.duration_s:.2f} s{nothing}"


def _figure_lines(pictures: Sequence[Picture], attached: int) -> list[str]:
    lines = []
    for number, picture in enumerate(pictures[:12], 1):
        where = "attached as an image" if number <= attached else "shown to the user"
        lines.append(f"figure {number}: {where}{': ' + picture.description if picture.description else ''}")
    if len(pictures) > 12:
        lines.append(f"and {len(pictures) - 12} more figures, shown to the user")
    return lines


def _file_lines(files: Sequence[WrittenFile]) -> list[str]:
    lines = [f"{one_line(file.filename)} ({file.size:,} bytes, {one_line(file.mime, 80)})" for file in files[:_MAX_FILES]]
    return [*lines, *([f"and {len(files) - _MAX_FILES} more"] if len(files) > _MAX_FILES else [])]


def printed(outputs: Sequence[Mapping[str, Any]], limit: int) -> str:
    """Return the text of the outputs, bounded. An error keeps its room: it comes last and says most."""
    errors = [_output_text(output, limit) for output in outputs if output.get("output_type") == "error"]
    error = clip("\n".join(errors), limit // 2) if errors else ""
    texts = [_output_text(output, limit) for output in outputs if output.get("output_type") != "error"]
    rest = clip("\n".join(text for text in texts if text), max(limit - len(error), 200))
    return "\n".join(text for text in (rest, error) if text)


def _output_text(output: Mapping[str, Any], limit: int) -> str:
    """One output's text; of one that is far too long for ``limit`` the middle is not even looked at."""
    match output.get("output_type"):
        case "stream":
            text = plain_text(clip(_joined(output.get("text")), _LOOKED_AT * limit)).rstrip("\n")
            return f"[stderr] {text}" if output.get("name") == "stderr" and text else text
        case "error":
            return relevant(output.get("traceback") or [], str(output.get("ename")), plain_text(str(output.get("evalue"))))
        case _:
            return _bundle_text(output.get("data"), output.get("metadata"), limit)


def _bundle_text(data: Any, metadata: Any, limit: int) -> str:
    if not isinstance(data, Mapping):
        return ""
    is_picture = picture_of(data, metadata) is not None
    if not is_picture and (table := compact_table(_joined(data.get("text/html")))) is not None:
        return table
    text = next((plain_text(clip(_joined(data[mime]), _LOOKED_AT * limit)) for mime in _TEXT_MIMES if mime in data), "")
    if is_picture and text.startswith("<"):
        return ""  # "<Figure size 640x480 with 1 Axes>": the picture itself is listed
    if text:
        return text
    if "application/json" in data:
        return json.dumps(data["application/json"], ensure_ascii=False)[:100_000]
    return "" if is_picture else f"[shown to the user: {one_line(', '.join(map(str, data)))}]"


def _joined(value: Any) -> str:
    return "".join(map(str, value)) if isinstance(value, list) else value if isinstance(value, str) else ""
