"""What the tests of the command share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.threadbook.fakes import FakeInterpreter, FakeSession


@pytest.fixture
def session(tmp_path: Path) -> FakeSession:
    """The session that every command uses if it is not told another."""
    return FakeSession(tmp_path / "session")


@pytest.fixture
def interpreter(session: FakeSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeInterpreter:
    """What every command opens instead of the real interpreter."""
    return FakeInterpreter(tmp_path / "new", [session]).serve(monkeypatch)
