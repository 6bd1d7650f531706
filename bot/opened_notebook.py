"""How a notebook looks that was opened as a session: its cells, with what they showed where they come from. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bot.agent.pictures import pictures_of
from bot.cell_text import cell_text
from bot.markdown import fenced, harmless, head, verbatim
from bot.posts import Panel, posts_of
from kernel_manager.sessions.history import Cell, Said
from notebooks_export import Imported

#: Messages that show the cells; what comes after is in the file.
MAX_PANELS = 3
_CODE_SHOWN = 900
_SAID_SHOWN = 900
_MAX_NOTES = 5
_MAX_CHOICES = 25


def notebook_panels(imported: Imported, filename: str) -> list[Panel]:
    """Return the messages that show a notebook."""
    count = len(imported.cells)
    title = f"📓 **{verbatim(filename, 100)}** · {count} code cell{'s' if count != 1 else ''} · nothing has run yet"
    parts = ["\n".join([title, *(f"-# {verbatim(note, 300)}" for note in imported.notes[:_MAX_NOTES])])]
    number = 0
    for entry in imported.entries:
        if isinstance(entry, Cell):
            number += 1
            parts.append(_cell(entry, number))
        elif isinstance(entry, Said):
            parts.append(head(harmless(entry.text), _SAID_SHOWN))
    panels = [post for post in posts_of(part for part in parts if part.strip()) if isinstance(post, Panel)]
    if len(panels) <= MAX_PANELS:
        return panels
    rest = Panel(("-# The notebook goes on; the file has all of it.",))
    return [*panels[:MAX_PANELS], rest]


def _cell(cell: Cell, number: int) -> str:
    shown = cell_text(cell.outputs, number, ended=False).markdown
    pictures = len(pictures_of(cell.outputs))
    lines = [f"**[{number}]**", fenced(head(cell.code, _CODE_SHOWN) + ("\n…" if len(cell.code) > _CODE_SHOWN else ""), "py")]
    lines += [shown] if shown else []
    lines += [f"-# and {pictures} figure{'s' if pictures > 1 else ''}"] if pictures else []
    return "\n".join(lines)


def choices(numbers: Sequence[int]) -> list[int]:
    """Return at most 25 of the numbers, spread evenly; the last one is among them."""
    if len(numbers) <= _MAX_CHOICES:
        return list(numbers)
    step = (len(numbers) - 1) / (_MAX_CHOICES - 1)
    return [numbers[round(place * step)] for place in range(_MAX_CHOICES)]
