"""The reply to files that came without words: what each is, what it holds, and what can be done with it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from bot.markdown import head, size, verbatim
from bot.posts import PANEL_LIMIT
from kernel_manager import UserFile
from kernel_manager.kernelside.file_types import BY_EXTENSION

#: Files of one message: each has a text, a row and at most four buttons, and a message has 40 components.
MAX_FILES = 6


@dataclass(frozen=True, slots=True)
class Received:
    """A file of a reply; ``text`` is Markdown."""

    file_id: str
    text: str
    notebook: bool = False


def replies(files: Sequence[UserFile], previews: Mapping[str, str]) -> list[tuple[Received, ...]]:
    """Return the messages about files; ``previews`` are Markdown, by ``file_id``."""
    messages = [files[start : start + MAX_FILES] for start in range(0, len(files), MAX_FILES)]
    room = PANEL_LIMIT // min(MAX_FILES, max(1, len(files)))
    return [tuple(_received(file, previews.get(file.file_id, ""), room) for file in message) for message in messages]


def _received(file: UserFile, preview: str, room: int) -> Received:
    line = f"📎 **{verbatim(file.filename, 100)}** · {kind_of(file)} · {bytes_of(file.size)} · {expiry(file)}"
    text = f"{line}\n-# `{file.file_id}` · `load_file({file.file_id!r})`"
    whole = f"{text}\n{preview}" if preview else text
    shown = whole if size(whole) <= room else text
    return Received(file.file_id, head(shown, room), file.filename.lower().endswith(".ipynb"))


def kind_of(file: UserFile) -> str:
    """What a file is, by its name, else by its MIME type."""
    found = BY_EXTENSION.get(PurePath(file.filename.lower()).suffix)
    return verbatim(found.label if found is not None else file.file_type, 80)


def bytes_of(size: int) -> str:
    """A size in bytes, as people read it."""
    for unit, factor in (("MB", 2**20), ("kB", 2**10)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"


def expiry(file: UserFile) -> str:
    """When a file goes."""
    return "never expires" if file.expires_at is None else f"expires <t:{int(file.expires_at.timestamp())}:R>"
