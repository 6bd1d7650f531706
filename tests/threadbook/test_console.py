from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kernel_manager.errors import LimitError
from tests.threadbook.fakes import FakeInterpreter, FakeSession, cell_of, error, history_of, stream, value
from threadbook.__main__ import main
from threadbook.console import next_number


class Typed:
    """What stdin has."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()

    def say(self, text: str) -> None:
        os.write(self._writing, text.encode())
        os.close(self._writing)

    def fileno(self) -> int:
        return self._reading

    def isatty(self) -> bool:
        return False


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Typed]:
    stdin = Typed()
    monkeypatch.setattr(sys, "stdin", stdin)
    yield stdin
    os.close(stdin.fileno())


@pytest.mark.usefixtures("interpreter")
class TestFromAPipe:
    def test_runs_each_cell_and_shows_what_comes_of_it(
        self, session: FakeSession, typed: Typed, capsys: pytest.CaptureFixture[str]
    ) -> None:
        session.cells = [cell_of([stream("a\n")]), cell_of([value("42")])]
        typed.say("print('a')\n\n42")
        assert main(["console"]) == 0
        assert [code for code, *_ in session.ran] == ["print('a')", "42"]
        assert capsys.readouterr() == ("a\n42\n", "")

    def test_goes_on_after_an_error_and_tells_of_it_at_the_end(self, session: FakeSession, typed: Typed) -> None:
        session.cells = [cell_of([error()], status="error"), cell_of()]
        typed.say("bad\ngood\n")
        assert main(["console"]) == 1
        assert len(session.ran) == 2

    @pytest.mark.parametrize("word", ["exit", "quit()"])
    def test_leaves_without_asking_the_kernel_to(self, word: str, session: FakeSession, typed: Typed) -> None:
        typed.say(f"{word}\nnot run\n")
        assert main(["console"]) == 0
        assert session.ran == []

    def test_files_come_with_the_next_cell(self, session: FakeSession, typed: Typed, tmp_path: Path) -> None:
        first, second = tmp_path / "a.csv", tmp_path / "b c.csv"
        first.touch()
        second.touch()
        typed.say(f"1\n:file {second}\n2\n3\n")
        assert main(["console", "--file", str(first)]) == 0
        assert [files for _, _, files in session.ran] == [[first], [second], []]

    def test_restarts(self, session: FakeSession, typed: Typed) -> None:
        typed.say(":restart\n")
        assert main(["console"]) == 0
        assert session.done == ["restart"]

    def test_exports(self, session: FakeSession, typed: Typed, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        session.history = history_of("x = 1")
        typed.say(f":export {tmp_path / 'a.ipynb'}\n:export\n")
        assert main(["console"]) == 0
        assert capsys.readouterr().out == f"notebook: {tmp_path / 'a.ipynb'}\nnotebook: default.ipynb\n"
        assert (tmp_path / "a.ipynb").is_file()

    def test_helps(self, typed: Typed, capsys: pytest.CaptureFixture[str]) -> None:
        typed.say(":help\n")
        assert main(["console"]) == 0
        shown = capsys.readouterr().out
        assert all(command in shown for command in (":export", ":file", ":help", ":restart"))

    @pytest.mark.parametrize("line", [":fly", ":file nope.csv", ":export /nope/x.ipynb"])
    def test_stops_at_what_cannot_be_done(
        self, line: str, session: FakeSession, typed: Typed, capsys: pytest.CaptureFixture[str]
    ) -> None:
        typed.say(f"{line}\nnot run\n")
        assert main(["console"]) == 2
        assert session.ran == []
        assert capsys.readouterr().err.count("\n") == 1

    def test_stops_when_the_service_fails(self, session: FakeSession, typed: Typed) -> None:
        def refuse() -> None:
            raise LimitError("too many kernels")

        session.cells = [[refuse]]
        typed.say("1\n2\n")
        assert main(["console"]) == 2
        assert len(session.ran) == 1


def test_new_sessions_are_made(interpreter: FakeInterpreter, typed: Typed) -> None:
    typed.say("")
    assert main(["console", "--session", "new"]) == 0
    assert [session.session_id for session in interpreter.known] == ["default", "new"]


def test_cells_are_counted_as_the_kernel_counts_them() -> None:
    assert next_number(history_of()) == 1
    assert next_number(history_of("a", "b")) == 3
    other_kernel = history_of("a", "b")
    object.__setattr__(other_kernel, "last_kernel_id", "another")
    assert next_number(other_kernel) == 1
