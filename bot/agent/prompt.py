"""The system prompt: a data file with places that are filled in for each turn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from bot.agent.marking import marked, one_line
from bot.agent.user_files import file_lines
from kernel_manager.files.user_file import UserFile
from kernel_manager.sessions.variables import Variable, Variables

_MAX_PACKAGES = 150
_MAX_INSTALLABLE = 16
_MAX_VARIABLES_TEXT = 5_000
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the prompt says besides the assistant's instructions. ``timeout`` is in seconds.

    ``packages`` are there, ``installable`` are names of those that install when they are imported, the best known first.
    """

    packages: Sequence[str]
    installable: Sequence[str]
    rounds: int
    timeout: float
    characters: int
    vision: bool
    files: Sequence[UserFile]


@cache
def template() -> str:
    """Return the text of the data file."""
    return resources.files("bot.agent").joinpath("prompt.md").read_text(encoding="utf-8")


def system_prompt(name: str, instructions: str, around: Surroundings) -> str:
    """Return the instructions for one turn."""
    values = {
        "name": one_line(name, 80),
        "instructions": instructions.strip(),
        "packages": ", ".join(around.packages[:_MAX_PACKAGES]) or "not known; try",
        "installing": _installing(around.installable),
        "rounds": f"{around.rounds}",
        "timeout": f"{around.timeout:g}",
        "characters": f"{around.characters:,}",
        "vision": "You see figures and attached images: look at them, and correct what cannot be read."
        if around.vision
        else "You cannot see pictures: of a figure you are told titles, axes and series, of an image only name and size.",
        "files": marked("files", "\n".join(file_lines(around.files)) or "none yet"),
    }
    # in one pass, so that braces in what is filled in mean nothing
    return _PLACE.sub(lambda place: values[place[1]], template())


def _installing(names: Sequence[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - _MAX_INSTALLABLE} more" if len(names) > _MAX_INSTALLABLE else ""
    return f"Just import what else you need, without pip: {', '.join(names[:_MAX_INSTALLABLE])}{more} install by themselves."


def variables_note(variables: Variables) -> str:
    """Return what the kernel holds now, for the end of the user's message: of many variables the latest."""
    lines: list[str] = []
    room = _MAX_VARIABLES_TEXT
    for line in map(_line, reversed(variables.listed)):
        room -= len(line) + 1
        if room < 0:
            break
        lines.insert(0, line)
    more = variables.total - len(lines)
    lines += [f"and {more} older ones"] if more > 0 else []
    return marked("variables", "\n".join(lines) or "none: the kernel is fresh", held="by the kernel now")


def _line(variable: Variable) -> str:
    shape = "" if variable.shape is None else f" {'×'.join(map(str, variable.shape))}"
    columns = f": {', '.join(variable.columns)}" if variable.columns else ""
    if variable.value is not None:
        return one_line(f"{variable.name}: {variable.type} = {variable.value}", 400)
    return one_line(f"{variable.name}: {variable.type}{shape}{columns}", 400)
