"""What a turn has to send as files, until it is posted: each once, not too many, none too large. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bot.agent.pictures import Picture, picture_of
from bot.markdown import verbatim
from bot.posts import Files
from bot.uploads import Upload, archives, digest, members_of, of_bytes, of_file, of_picture, pack, was_written
from kernel_manager.execution.result import Output, WrittenFile

#: Figures, tables and the like of one turn, and files of one cell, that are posted one by one; more go along in archives.
MAX_SHOWN = 30
MAX_FILES_OF_CELL = 20
_NAMED = 5
_SUFFIXES = {"image/svg+xml": ".svg", "application/pdf": ".pdf"}


class Outbox:
    """See the module. ``limit`` is how many bytes of files one request may carry."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: list[Upload] = []
        self._known: set[str] = set()
        self._exchanged: set[Path] = set()
        self._figures = 0
        self._posted = 0

    def add(self, upload: Upload) -> None:
        """Have a file sent; the same bytes are not sent again, whatever they are called now."""
        if isinstance(upload.content, bytes):
            mark = digest(upload.content)
            if mark in self._known:
                return
            self._known.add(mark)
        self._waiting.append(upload)

    def add_figure(self, data: Mapping[str, Any], description: str) -> None:
        """Have the picture of a mime bundle sent."""
        picture = picture_of(data, None)
        content = content_of(picture, data) if picture is not None else None
        if picture is None or content is None or digest(content) in self._known:
            return
        self._figures += 1
        drawn = of_picture(picture, self._figures)
        upload = drawn if drawn is not None else of_bytes(f"figure-{self._figures}{_SUFFIXES[picture.mime]}", content)
        self.add(replace(upload, description=description[:1024]))

    def knows(self, output: Output) -> bool:
        """Whether the picture of an output was sent, or is about to be."""
        data = output.get("data")
        picture = picture_of(data, None)
        content = content_of(picture, data) if picture is not None and data is not None else None
        return content is not None and digest(content) in self._known

    def add_saved(self, output: Output, file: WrittenFile) -> bool:
        """A figure was saved as a file, too: send it once, as the file; return whether it was posted before."""
        path = Path(file.path)
        if path in self._exchanged:
            return False  # the same figure, shown once more
        waiting = [upload for upload in self._waiting if upload.content != path]
        data = output.get("data") or {}
        picture = picture_of(data, None)
        content = content_of(picture, data) if picture is not None else None
        for number, upload in enumerate(waiting):
            if upload.content == content:
                waiting[number] = replace(of_file(file), description=upload.description)
                self._waiting = waiting
                self._exchanged.add(path)
                return False
        if content is None or digest(content) not in self._known:
            return False
        self._waiting = waiting
        return True

    def post(self, number: int) -> list[str | Files]:
        """Return what is posted of all this after cell ``number``: files, and lines about what is not among them."""
        shown = [upload for upload in self._waiting if not was_written(upload)]
        files = [upload for upload in self._waiting if was_written(upload)]
        self._waiting, self._exchanged = [], set()
        room = max(0, MAX_SHOWN - self._posted)
        self._posted += len(shown[:room])
        name = "figures" if all(upload.filename.startswith("figure-") for upload in shown[room:]) else "outputs"
        made, left_out = archives(shown[room:], f"{name}-{number}", self._limit)
        packed_files, over = archives(files[MAX_FILES_OF_CELL:], f"files-{number}", self._limit)
        packed = pack([*shown[:room], *made, *files[:MAX_FILES_OF_CELL], *packed_files], self._limit)
        lines = [f"-# {members_of(each)} more are in {each.filename}" for each in [*made, *packed_files]]
        lines += [f"-# {verbatim(too_large(upload, self._limit), 400)}" for upload in packed.too_large[:_NAMED]]
        if (more := len(packed.too_large[_NAMED:]) + len(left_out) + len(over)) > 0:
            lines.append(f"-# and {more} more files are too much for here: ask for an archive of those that you want")
        return [*(["\n".join(lines)] if lines else []), *map(Files, packed.batches)]


def too_large(upload: Upload, limit: int) -> str:
    """Return what is said of a file that Discord does not take, and what to do; plain text."""
    return (
        f"{upload.filename} has {upload.size / 2**20:.1f} MiB and Discord takes {limit / 2**20:.0f} MiB here; "
        "ask for a smaller one or for a part of it; it stays in the session's folder"
    )


def content_of(picture: Picture, data: Mapping[str, Any]) -> bytes | None:
    """The bytes of a picture of a mime bundle, also of a kind that Discord does not show."""
    if picture.content is not None:
        return picture.content
    value = data[picture.mime]
    text = "".join(map(str, value)) if isinstance(value, Sequence) else str(value)
    if picture.mime == "image/svg+xml":
        return text.encode("utf-8", "replace")
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return None
