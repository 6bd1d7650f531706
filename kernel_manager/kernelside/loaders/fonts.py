"""Fonts."""

from __future__ import annotations

import io
from typing import Any

from .source import Source, Unreadable


def load_font(source: Source, *, number: int = 0) -> Any:
    """A fontTools ``TTFont``; ``number=`` chooses one of a collection."""
    from fontTools import ttLib

    try:
        font = ttLib.TTFont(io.BytesIO(source.read()), fontNumber=number, lazy=False)
        font.ensureDecompiled()
    except ttLib.TTLibError as exc:
        raise Unreadable(f"it cannot be read: {exc}") from exc
    if "name" not in font:
        raise Unreadable("it has no names")
    if source.head.startswith(b"ttcf"):
        source.note(f"it is a collection: this is font {number}; number=… opens another")
    return font
