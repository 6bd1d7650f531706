"""Text for Discord: harmless, counted as Discord counts, split without breaking code blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bot.agent.tracebacks import plain_text

FENCE = "```"
_GAP = "\N{ZERO WIDTH SPACE}"
#: Controls, and marks that turn the direction of writing: they would reach beyond the text that holds them.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_MENTION = re.compile(r"@(?=everyone|here)|<(?=@[!&]?\d|#\d|/|id:)", re.IGNORECASE)
_LANGUAGE = re.compile(r"[A-Za-z0-9+#.-]{1,20}")
_SYNTAX = re.compile(r"([\\*_~`|>#\[\]()<:@-])")


def size(text: str) -> int:
    """Return how many characters Discord counts at most: UTF-16 units, as its clients do."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def head(text: str, limit: int) -> str:
    """Return the longest beginning that counts at most ``limit`` characters."""
    part = text[:limit]
    while size(part) > limit:
        part = part[: len(part) - max(1, (size(part) - limit) // 2)]
    return part


def plain(text: str) -> str:
    """Return the text without terminal sequences and control characters, with a carriage return as a terminal shows it."""
    return _CONTROLS.sub("", plain_text(text))


def harmless(text: str) -> str:
    """Return Markdown in which nobody is mentioned."""
    return _MENTION.sub(lambda found: found.group() + _GAP, plain(text))


def verbatim(text: str, limit: int = 200) -> str:
    """Return one line of at most ``limit`` characters that shows as it is, whatever it holds."""
    line = head(" ".join(plain(text).split()), limit)
    return _SYNTAX.sub(r"\\\1", line)


def fenced(text: str, language: str = "") -> str:
    """Return a code block that nothing in the text can end."""
    inside = re.sub(r"`(?=`)", f"`{_GAP}", plain(text)).rstrip("\n")
    return f"{FENCE}{language}\n{inside}\n{FENCE}"


def split_markdown(text: str, limit: int) -> list[str]:
    """Return the text in parts of at most ``limit`` (at least 100) characters each, cut between lines where that is possible.

    A code block that a cut goes through is closed before it and opened again behind it.
    """
    parts: list[str] = []
    lines: list[str] = []
    used, language = 0, None
    for line in _short_lines(text, limit - 40):
        after = _language_after(line, language)
        closing = 1 + len(FENCE) if language is not None or after is not None else 0
        if lines and used + 1 + size(line) + closing > limit:
            parts.append(_joined(lines, language))
            lines = [] if language is None else [f"{FENCE}{language}"]
            used = sum(map(size, lines))
        used += size(line) + bool(lines)
        lines.append(line)
        language = after
    parts.append(_joined(lines, language))
    return [part for part in parts if part.strip()]


def _short_lines(text: str, limit: int) -> Iterator[str]:
    for line in text.split("\n"):
        rest = line
        while size(rest) > limit:
            part = head(rest, limit)
            yield part
            rest = rest[len(part) :]
        yield rest


def _language_after(line: str, language: str | None) -> str | None:
    """The language of the code block that is open after a line; None if none is."""
    if line.count(FENCE) % 2 == 0:
        return language
    if language is not None:
        return None
    found = _LANGUAGE.fullmatch(line.rpartition(FENCE)[2].strip())
    return found.group() if found else ""


def _joined(lines: list[str], language: str | None) -> str:
    return "\n".join([*lines, *([FENCE] if language is not None else [])])
