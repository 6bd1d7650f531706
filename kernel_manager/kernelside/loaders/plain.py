"""Files as they are: text and bytes."""

from __future__ import annotations

from .source import Source


def load_text(source: Source, *, encoding: str | None = None, errors: str = "strict") -> str:
    """The text of a file, each line end a single line feed, a byte order mark removed."""
    own = encoding is None and errors == "strict"
    text = source.text() if own else source.read().decode(encoding or source.encodings()[0], errors)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def load_bytes(source: Source) -> bytes:
    """The bytes as they lie on disk, not unpacked."""
    return source.path.read_bytes()


def load_unpacked(source: Source) -> bytes:
    """The bytes, unpacked."""
    return source.read()
