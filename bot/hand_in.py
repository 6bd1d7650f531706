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

#: Megabytes of a file that is run as code.
_MAX_CODE_MB = 1

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

    async def read_code(self, item: dict[str, Any]) -> str:
        """Return the text of an attachment that is code. Raises UsageError."""
        (got,) = await self.download([item], self.folder, _MAX_CODE_MB)
        try:
            if not got["downloaded"]:
                raise UsageError(f"{item['filename']} was not taken: {got.get('error', 'it is no file')}")
            content = await asyncio.to_thread(Path(got["local_path"]).read_bytes)
        finally:
            await asyncio.to_thread(cleanup_attachment_files, [got])
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as exc:
            raise UsageError(f"{item['filename']} is no UTF-8 text; save it as that and send it again") from exc
        if not text.strip():
            raise UsageError(f"{item['filename']} is empty")
        return text

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

    def sweep(self) -> int:
        """Remove downloads that an earlier process left behind; return how many."""
        left = list(self.folder.glob("*")) if self.folder.is_dir() else []
        return cleanup_attachment_files({"local_path": str(path)} for path in left)


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
