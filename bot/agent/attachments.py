"""What a person hands in with a message, as a model gets it: bounded, and marked as data."""

from __future__ import annotations

import asyncio
import codecs
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.agent import pdf_text as pdf_reader
from bot.agent.items import Part, Text
from bot.agent.marking import clip, marked, one_line
from bot.agent.pictures import MAX_BYTES, MIMES, Picture, for_model
from bot.agent.seen import Eyes
from kernel_manager.files.user_file import UserFile
from kernel_manager.kernelside.file_types import BY_EXTENSION

MAX_SHOWN = 10
_PDF_TIMEOUT_S = 20.0
_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")
#: Kinds of files that are text, if their bytes do not say otherwise.
_TEXT_KINDS = ("text", "structured")
#: Of data, which code has to open anyway, a beginning is shown: enough to know how to.
_DATA_KINDS, _DATA_TYPES = ("table", "structured"), ("text/csv", "text/tab-separated-values")
_DATA_SHOWN = 1_200


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of this message. ``path`` is None if it could not be had, and ``failure`` says why.

    ``file_type`` is a MIME type, ``size`` is in bytes; ``file_id`` and ``name`` are what ``load_file`` knows.
    """

    name: str
    file_type: str
    size: int
    path: Path | None = None
    file_id: str | None = None
    url: str | None = None
    failure: str | None = None

    @property
    def line(self) -> str:
        """What it is, where it came from, and whether and where it is now: in one line."""
        known = [one_line(self.file_type, 80), f"{self.size:,} bytes"]
        known += [f"from {one_line(self.url, 300)}"] if self.url else []
        if self.path is None:
            known.append(f"not downloaded: {one_line(self.failure or 'unknown why', 200)}")
        else:
            known.append(f'downloaded: load_file("{self.file_id}") opens it' if self.file_id else "downloaded")
        return f"{one_line(self.name)} ({', '.join(known)})"


def attached(file: UserFile, url: str | None = None) -> Attachment:
    """Return a file of the user as an attachment of a message."""
    return Attachment(file.filename, file.file_type, file.size, file.path, file.file_id, url)


async def shown(attachments: Sequence[Attachment], eyes: Eyes) -> list[Part]:
    """Return what a model sees of the attachments of one message; they share the room of one result."""
    if not attachments:
        return []
    room = max(eyes.characters // min(len(attachments), MAX_SHOWN), 500)
    parts: list[Part] = []
    for attachment in attachments[:MAX_SHOWN]:
        parts += await _shown(attachment, eyes, room)
    if len(attachments) > MAX_SHOWN:
        names = ", ".join(one_line(attachment.name, 80) for attachment in attachments[MAX_SHOWN : 5 * MAX_SHOWN])
        parts.append(Text(marked("attachment", f"{len(attachments) - MAX_SHOWN} more, not shown: {names}")))
    return parts


async def _shown(attachment: Attachment, eyes: Eyes, room: int) -> list[Part]:
    path = attachment.path
    if path is None:
        return [Text(marked("attachment", attachment.line))]
    if attachment.file_type in MIMES and eyes.vision:
        content, _ = await asyncio.to_thread(_head, path, MAX_BYTES + 1)
        image = await for_model(Picture(attachment.file_type, content, one_line(attachment.name)), eyes.pixels)
        note = "" if image is not None else "\n[the image cannot be opened]"
        return [Text(marked("attachment", attachment.line + note)), *([image] if image is not None else [])]
    text = await text_of_file(path, attachment.file_type, room)
    return [Text(marked("attachment", attachment.line if text is None else f"{attachment.line}\n{text}"))]


async def text_of_file(path: Path, file_type: str, limit: int) -> str | None:
    """Return the beginning of a file's text, cut with a note; None for a file that is no text."""
    suffix = path.suffix.lower()
    if file_type == "application/pdf" or suffix == ".pdf":
        return clip(await pdf_text(path, 4 * limit), limit)
    said_to_be_text = file_type.startswith("text/") or "json" in file_type
    known = BY_EXTENSION.get(suffix)
    if file_type in _DATA_TYPES or (known is not None and known.kind in _DATA_KINDS):
        limit = min(limit, _DATA_SHOWN)
    if not said_to_be_text and (known is None or known.kind not in _TEXT_KINDS):
        return None
    head, size = await asyncio.to_thread(_head, path, 4 * limit)
    if _is_binary(head, sure=said_to_be_text or (known is not None and known.kind == "text" and suffix != "")):
        return None
    text = _decoded(head)
    if len(text) <= limit and size <= len(head):
        return text
    return f"{text[:limit]}\n[… the file goes on: {size:,} bytes in all; load_file opens the whole …]"


async def pdf_text(path: Path, limit: int) -> str:
    """Return a PDF's text, read by a process of its own with little memory and time: a PDF can be made to take all of both."""
    process = await asyncio.create_subprocess_exec(
        # neither the working folder's modules nor this service's secrets are any of its business
        *(sys.executable, "-P", pdf_reader.__file__, str(path), str(limit)),
        env={},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(_PDF_TIMEOUT_S):
            out, _ = await process.communicate()
    except TimeoutError:
        out = b""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    text = out.decode("utf-8", "replace").strip()
    return text or "[no text could be read from this PDF; load_file opens it]"


def _head(path: Path, most: int) -> tuple[bytes, int]:
    """The beginning of a file, and its size; of one that was removed meanwhile, a note."""
    try:
        with path.open("rb") as file:
            return file.read(most), os.fstat(file.fileno()).st_size
    except OSError as exc:
        note = f"[cannot be read: {exc.strerror}]".encode()
        return note, len(note)


def _is_binary(head: bytes, *, sure: bool) -> bool:
    """Whether bytes are no text. Where the name is not ``sure`` about it, they have to be UTF-8."""
    if head.startswith(_BYTE_ORDER_MARKS):
        return False
    if b"\0" in head:
        return True
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return not sure
    return False


def _decoded(content: bytes) -> str:
    encoding = "utf-16" if content.startswith(_BYTE_ORDER_MARKS) else "utf-8-sig"
    return content.decode(encoding, "replace")
