from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from bot.journal import Journal


async def test_a_turn_is_in_the_journal_until_it_is_over(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "turns")
    assert journal.left() == []
    async with journal.noting(7, "ada", "s", entries=3, cells=2):
        (left,) = Journal(tmp_path / "turns").left()
        assert (left.channel_id, left.user_id, left.session_id, left.entries, left.cells) == (7, "ada", "s", 3, 2)
    assert journal.left() == []


async def test_one_that_is_given_up_stays_for_the_next_process(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "turns")
    with pytest.raises(asyncio.CancelledError):
        async with journal.noting(7, "ada", "s", 0, 0):
            raise asyncio.CancelledError
    assert [left.channel_id for left in journal.left()] == [7]
    journal.strike(7)
    with pytest.raises(ValueError, match="it failed"):
        async with journal.noting(7, "ada", "s", 0, 0):
            raise ValueError("it failed")
    assert journal.left() == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"channel_id": 7}', '{"begun_at": "2026-01-01T00:00:00"}', "\x00" * 9_000])
def test_what_cannot_be_read_is_said_and_removed(tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    (tmp_path / "7.json").write_text(content)
    assert Journal(tmp_path).left() == []
    assert "cannot be read" in caplog.text
    assert not (tmp_path / "7.json").exists()


async def test_a_journal_that_cannot_be_written_stops_no_turn(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "turns").write_text("in the way")
    async with Journal(tmp_path / "turns").noting(7, "ada", "s", 0, 0):
        assert "a restart will not know of it" in caplog.text
