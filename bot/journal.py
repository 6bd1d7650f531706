"""Turns that are going on, written down, so that the next process knows what a kill interrupted.

A file for each channel. It is there for processes that are killed, not for power cuts: nothing waits for the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

logger = logging.getLogger(__name__)

_MAX_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class LeftTurn:
    """A turn that was begun. ``entries`` and ``cells`` are how many the session's history had before it."""

    channel_id: int
    user_id: str
    session_id: str
    entries: int
    cells: int
    begun_at: str

    @property
    def moment(self) -> datetime:
        """When it was begun."""
        return datetime.fromisoformat(self.begun_at)


class Journal:
    """See the module. A journal that cannot be written is said in the log, and stops no turn."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.asynccontextmanager
    async def noting(self, channel_id: int, user_id: str, session_id: str, entries: int, cells: int) -> AsyncIterator[None]:
        """Have a turn in the journal as long as the context lasts."""
        turn = LeftTurn(channel_id, user_id, session_id, entries, cells, datetime.now(UTC).isoformat())
        await asyncio.to_thread(self._write, turn)
        try:
            yield
        except asyncio.CancelledError:
            raise  # the process ends before it could show the end: the next one does
        except BaseException:
            self.strike(channel_id)
            raise
        self.strike(channel_id)

    def left(self) -> list[LeftTurn]:
        """Return the turns that no process has ended, the oldest first."""
        found = [_read(path) for path in self._folder.glob("*.json")] if self._folder.is_dir() else []
        return sorted((turn for turn in found if turn is not None), key=lambda turn: turn.begun_at)

    def strike(self, channel_id: int) -> None:
        """A channel's turn is over, or nobody can be told of it."""
        with contextlib.suppress(OSError):
            self._path(channel_id).unlink(missing_ok=True)

    def _path(self, channel_id: int) -> Path:
        return self._folder / f"{channel_id}.json"

    def _write(self, turn: LeftTurn) -> None:
        path = self._path(turn.channel_id)
        new = path.with_suffix(".new")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            new.write_text(json.dumps(asdict(turn)))
            new.replace(path)
        except OSError as exc:
            logger.warning("a turn is not in the journal, so a restart will not know of it: %s", exc)


def _read(path: Path) -> LeftTurn | None:
    try:
        with path.open("rb") as stream:
            value = json.loads(stream.read(_MAX_BYTES))
        turn = LeftTurn(
            int(value["channel_id"]),
            str(value["user_id"]),
            str(value["session_id"]),
            int(value["entries"]),
            int(value["cells"]),
            str(value["begun_at"]),
        )
        if turn.moment.tzinfo is None:
            raise ValueError("a time without a zone")
    except (OSError, ValueError, KeyError, TypeError) as exc:
        logger.warning("the journal of a turn (%s) cannot be read: %s", path.name, exc)
        path.unlink(missing_ok=True)
        return None
    return turn
