"""What documents and messages open as."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Document:
    """A document: its whole ``text``, that of its ``pages`` (or slides, or chapters), its ``tables`` and ``metadata``."""

    text: str
    pages: list[str] = field(default_factory=list)
    tables: list[Any] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        title = self.metadata.get("title")
        named = f"{title!r}, " if title else ""
        more = "…" if len(self.text) > _SHOWN else ""
        counts = f"{len(self.pages)} pages, {len(self.tables)} tables, {len(self.text):,} characters"
        return f"<Document {named}{counts}>\n{self.text[:_SHOWN]}{more}"


@dataclass(frozen=True, slots=True)
class Mail:
    """A message: ``headers``, plain ``text``, ``html``, and ``attachments`` (name → bytes)."""

    headers: dict[str, str]
    text: str
    html: str = ""
    attachments: dict[str, bytes] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        shown = "\n".join(f"{name}: {self.headers[name]}" for name in ("From", "To", "Date", "Subject") if name in self.headers)
        names = f"\nAttachments: {', '.join(self.attachments)}" if self.attachments else ""
        return f"{shown}{names}\n\n{self.text[:_SHOWN]}{'…' if len(self.text) > _SHOWN else ''}"


def frame_of(rows: list[list[Any]]) -> Any:
    """A DataFrame of a table's rows, the first of which names the columns."""
    import pandas as pd

    width = max(map(len, rows), default=0)
    padded = [[*row, *[""] * (width - len(row))] for row in rows]
    if not padded:
        return pd.DataFrame()
    return pd.DataFrame(padded[1:], columns=[str(cell) for cell in padded[0]])
