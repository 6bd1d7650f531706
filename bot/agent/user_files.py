"""A user's files as a model is told of them."""

from __future__ import annotations

from collections.abc import Sequence

from bot.agent.marking import one_line
from kernel_manager.files.user_file import UserFile

_MAX_LISTED = 50


def file_lines(files: Sequence[UserFile]) -> list[str]:
    """Return a line for each file, the newest first."""
    lines = [_line(file) for file in files[:_MAX_LISTED]]
    return [*lines, *([f"and {len(files) - _MAX_LISTED} older ones"] if len(files) > _MAX_LISTED else [])]


def _line(file: UserFile) -> str:
    expiry = f", expires {file.expires_at:%Y-%m-%d %H:%M} UTC" if file.expires_at is not None else ""
    return f"{one_line(file.filename)} (file_id {file.file_id}, {one_line(file.file_type, 80)}, {file.size:,} bytes{expiry})"
