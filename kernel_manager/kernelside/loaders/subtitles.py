"""Subtitles and timed lyrics: when what is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .plain import load_text
from .source import Source, Unreadable

_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{2}(?:[.,]\d{1,3})?)"
_ARROW = re.compile(rf"\s*{_TIME}\s*(?:-->|,)\s*{_TIME}(?:\s.*)?")
_LYRIC = re.compile(rf"\[{_TIME}\]")

Row = tuple[float, float, str]


def load_subtitles(source: Source) -> Any:
    """A DataFrame: start and end in seconds, text."""
    import pandas as pd

    text = load_text(source)
    rows = list(_ass(text) if "[Events]" in text else _lyrics(text) if source.extension == ".lrc" else _blocks(text))
    if not rows:
        raise Unreadable("it holds no subtitles")
    return pd.DataFrame(rows, columns=["start", "end", "text"])


def _blocks(text: str) -> Iterator[Row]:
    """SRT, WebVTT, SBV: blocks with a line of times."""
    for block in re.split(r"\n\s*\n", text.lstrip("\ufeff").strip()):
        lines = block.split("\n")
        at = next((index for index, line in enumerate(lines[:3]) if _ARROW.fullmatch(line)), None)
        if at is not None:
            match = _ARROW.fullmatch(lines[at])
            if match is not None:
                yield _seconds(match.groups()[:3]), _seconds(match.groups()[3:6]), "\n".join(lines[at + 1 :])
        elif not block.startswith(("WEBVTT", "NOTE", "STYLE", "REGION")):
            raise Unreadable(f"the block that begins with {lines[0][:40]!r} has no times")


def _ass(text: str) -> Iterator[Row]:
    names: list[str] = []
    for line in text.partition("[Events]")[2].split("\n"):
        kind, _, values = line.partition(":")
        if kind == "Format":
            names = [name.strip().lower() for name in values.split(",")]
        elif kind == "Dialogue":
            row = dict(zip(names, values.strip().split(",", max(0, len(names) - 1)), strict=False))
            times = [re.fullmatch(_TIME, row.get(name, "").strip()) for name in ("start", "end")]
            if times[0] is None or times[1] is None or "text" not in row:
                raise Unreadable(f"the line {line[:60]!r} is damaged")
            yield (
                _seconds(times[0].groups()),
                _seconds(times[1].groups()),
                re.sub(r"\{[^}]*\}", "", row["text"]).replace("\\N", "\n"),
            )


def _lyrics(text: str) -> Iterator[Row]:
    found = sorted(
        (_seconds(match.groups()), line[line.rfind("]") + 1 :].strip())
        for line in text.split("\n")
        for match in _LYRIC.finditer(line)
    )
    for index, (start, words) in enumerate(found):
        yield start, found[index + 1][0] if index + 1 < len(found) else start, words


def _seconds(parts: tuple[Any, ...]) -> float:
    hours, minutes, seconds = parts
    return round(int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds.replace(",", ".")), 3)
