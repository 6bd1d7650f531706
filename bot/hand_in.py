"""Attachments of a message become files of the user."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import discord

from bot.agent.attachments import Attachment, attached
from bot.attachments import cleanup_attachment_files, download_attachments_batch
from kernel_manager.errors import ThreadbookError, UsageError
from kernel_manager.files.store import FileStore

logger = logging.getLogger(__name__)

#: Bytes of an attached file that is run as a cell.
MAX_SCRIPT = 200_000

#: Downloads a message's attachments; see :func:`~bot.attachments.download_attachments_batch`.
Download = Callable[[Sequence[dict[str, Any]], Path, float], Awaitable[list[dict[str, Any]]]]


async def download(attachments: Sequence[dict[str, Any]], folder: Path, max_size_mb: float) -> list[dict[str, Any]]:
    """Download from Discord's CDN."""
    return await download_attachments_batch(attachments, folder, max_size_mb)


@dataclass(frozen=True, slots=True)
class HandIn:
    """Takes attachments over. ``folder`` is where downloads lie until then."""

    files: FileStore
    folder: Path
    max_size_mb: float
    download: Download = download

    async def take(self, user_id: str, wanted: Sequence[dict[str, Any]]) -> list[Attachment]:
        """Return the attachments as the model gets them, one for each; what could not be had says why."""
        got = await self.download(wanted, self.folder, self.max_size_mb)
        try:
            return [await self._store(user_id, item) for item in got]
        finally:
            await asyncio.to_thread(cleanup_attachment_files, got)

    async def _store(self, user_id: str, item: dict[str, Any]) -> Attachment:
        name, url = str(item["filename"]), str(item["url"])
        if not item["downloaded"]:
            return _failed(item, str(item.get("error", "it is no file")))
        try:
            added = await self.files.add(user_id, name, Path(item["local_path"]))
        except ThreadbookError as exc:
            logger.warning("an attachment was not stored: %s", exc)
            return _failed(item, str(exc))
        return attached(added.file, url)


async def scripts_of(files: Sequence[Attachment]) -> list[str]:
    """Return the code of attached Python files; other files beside them are data.

    Raises UsageError if there is none, or for one that is too long.
    """
    there = [file for file in files if file.path is not None]
    scripts = [file for file in there if file.name.lower().endswith(".py")] or there
    return [await asyncio.to_thread(_script, file) for file in scripts]


def _script(file: Attachment) -> str:
    assert file.path is not None
    if file.path.suffix.lower() not in (".py", ".txt"):
        raise UsageError(f"{file.name} is no Python file: attach a .py file to run it")
    try:
        with file.path.open("rb") as stream:
            content = stream.read(MAX_SCRIPT + 1)
    except OSError as exc:
        raise UsageError(f"{file.name} cannot be read ({exc.strerror}); attach it again") from exc
    if len(content) > MAX_SCRIPT:
        raise UsageError(f"{file.name} has more than {MAX_SCRIPT // 1000} kB: load_file opens it, but it is not run as a cell")
    return content.decode("utf-8-sig", "replace")


def described(attachment: discord.Attachment) -> dict[str, Any]:
    """Return a message's attachment as downloads know it."""
    return {
        "url": attachment.url,
        "filename": attachment.filename,
        "size": attachment.size,
        "content_type": attachment.content_type,
        "type": "file",
    }


def _failed(item: dict[str, Any], why: str) -> Attachment:
    kind = str(item.get("content_type") or "application/octet-stream")
    return Attachment(str(item["filename"]), kind, int(item.get("size") or 0), url=str(item["url"]), failure=why)
