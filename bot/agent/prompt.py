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
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the prompt says besides the assistant's instructions. ``timeout`` is in seconds."""

    packages: Sequence[str]
    installs: bool
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
        "installing": "Other approved packages install by themselves when a cell imports them." if around.installs else "",
        "timeout": f"{around.timeout:g}",
        "characters": f"{around.characters:,}",
        "vision": "You see figures and attached images."
        if around.vision
        else "You cannot see pictures: of figures you get a description, of images only name and size.",
        "files": marked("files", "\n".join(file_lines(around.files)) or "none yet"),
    }
    # in one pass, so that braces in what is filled in mean nothing
    return _PLACE.sub(lambda place: values[place[1]], template())


def variables_note(variables: Variables) -> str:
    """Return what the kernel holds now, for the end of the user's message."""
    lines = [_line(variable) for variable in variables.listed]
    more = variables.total - len(lines)
    lines += [f"and {more} older ones"] if more > 0 else []
    return marked("variables", "\n".join(lines) or "none: the kernel is fresh", held="by the kernel now")


def _line(variable: Variable) -> str:
    shape = "" if variable.shape is None else f" {'×'.join(map(str, variable.shape))}"
    columns = f": {', '.join(variable.columns)}" if variable.columns else ""
    return one_line(f"{variable.name}: {variable.type}{shape}{columns}", 400)
