"""Files as they are: text and bytes."""

from __future__ import annotations

from .encoding import decode, doubt
from .source import Source


def load_text(source: Source, *, encoding: str | None = None, errors: str = "strict") -> str:
    """The text of a file, each line end a single line feed, a byte order mark removed."""
    text, used = decode(source.read(), encoding, errors)
    if not encoding and (note := doubt(used)):
        source.note(note)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def load_bytes(source: Source) -> bytes:
    """The bytes as they lie on disk, not unpacked."""
    return source.path.read_bytes()
