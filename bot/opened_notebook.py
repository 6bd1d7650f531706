"""How a notebook looks that was opened as a session: its cells, with what they showed where they come from. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bot.agent.pictures import pictures_of
from bot.cell_text import cell_text
from bot.markdown import fenced, harmless, head, size, verbatim
from bot.posts import PANEL_LIMIT, Panel, posts_of
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
    room = MAX_PANELS * PANEL_LIMIT  # a notebook may have thousands of cells
    for part in _parts(imported):
        if (room := room - size(part)) < 0:
            break
        parts.append(part)
    panels = [post for post in posts_of(parts) if isinstance(post, Panel)]
    if room >= 0 and len(panels) <= MAX_PANELS:
        return panels
    return [*panels[:MAX_PANELS], Panel(("-# The notebook goes on; the file has all of it.",))]


def _parts(imported: Imported) -> Iterator[str]:
    number = 0
    for entry in imported.entries:
        if isinstance(entry, Cell):
            number += 1
            yield _cell(entry, number)
        elif isinstance(entry, Said) and entry.text.strip():
            yield head(harmless(entry.text), _SAID_SHOWN)


def _cell(cell: Cell, number: int) -> str:
    shown = cell_text(cell.outputs, number, ended=False, drawn=False).markdown
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
