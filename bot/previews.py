"""How a file looks, without a kernel: how its text begins, or the picture that it is."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bot.agent.attachments import text_of_file
from bot.agent.pictures import MIMES
from bot.markdown import fenced, head, verbatim
from kernel_manager import UserFile
from kernel_manager.files.inside import open_inside

_TEXT = 1_500
_LINES = 15
_COLUMNS = 120


@dataclass(frozen=True, slots=True)
class Preview:
    """Markdown, and the bytes of the picture if it is one."""

    text: str
    picture: bytes | None = None


async def preview_of(file: UserFile, limit: int) -> Preview:
    """Return how a file looks; a picture goes along up to ``limit`` bytes. Raises UsageError if it is gone."""
    if file.file_type in MIMES and file.size <= limit:
        return Preview("", await asyncio.to_thread(_bytes_of, file, limit))
    text = await text_of_file(file.path, file.file_type, _TEXT)
    if text is None:
        return Preview(f"There is no preview of this kind of file: `load_file({verbatim(repr(file.filename), 120)})` opens it.")
    lines = text.splitlines()
    shown = "\n".join(line if len(line) <= _COLUMNS else f"{line[:_COLUMNS]}…" for line in lines[:_LINES])
    more = f"\n-# and more: {file.size:,} bytes in all" if len(lines) > _LINES else ""
    return Preview(fenced(head(shown, _TEXT)) + more)


def _bytes_of(file: UserFile, limit: int) -> bytes:
    with open_inside(file.path.parent, file.path.name) as stream:
        return stream.read(limit)
