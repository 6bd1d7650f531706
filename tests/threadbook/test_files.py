"""``threadbook files`` and ``threadbook cleanup``, on a real store without a kernel."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from threadbook import app
from threadbook.commands import build_parser
from threadbook.files import readable_size

Command = Callable[..., int]


@pytest.fixture
def threadbook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("RUNTIME_DIR", str(tmp_path / "r"))
    return lambda *words: app.call(build_parser().parse_args(words))


@pytest.fixture
def document(threadbook: Command, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """What a command prints with ``--json``."""

    def run(*words: str) -> Any:
        capsys.readouterr()
        assert threadbook(*words, "--json") == app.OK
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def sales(tmp_path: Path) -> str:
    (tmp_path / "sales.csv").write_text("a,b\n1,2\n")
    return str(tmp_path / "sales.csv")


def test_files_are_added_listed_and_removed(threadbook: Command, sales: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert threadbook("files", "add", sales) == app.OK
    file_id = capsys.readouterr().out.removeprefix("added sales.csv (").rstrip(")\n")
    assert threadbook("files", "list") == app.OK
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split() == ["FILE", "ID", "NAME", "TYPE", "SIZE", "EXPIRES"]
    assert line.split()[:5] == [file_id, "sales.csv", "text/csv", "8", "B"]
    assert threadbook("files", "rm", "sales.csv") == app.OK
    assert capsys.readouterr().out == f"removed sales.csv ({file_id})\n"
    assert threadbook("files", "list") == app.OK
    assert "no files of user local; `threadbook files add PATH` adds one" in capsys.readouterr().err


def test_as_json_they_have_the_same_fields_everywhere(document: Callable[..., Any], sales: str) -> None:
    (added,) = document("files", "add", sales)
    (listed,) = document("files", "list")
    (removed,) = document("files", "rm", added["file_id"])
    assert listed == removed == {name: added[name] for name in listed}
    assert (added["removed"], added["note"], added["filename"], added["size"]) == ([], None, "sales.csv", 8)
    assert document("files", "list") == []


def test_users_have_files_of_their_own(document: Callable[..., Any], sales: str) -> None:
    document("files", "add", sales, "--user", "42")
    assert document("files", "list") == []
    assert len(document("files", "list", "--user", "42")) == 1


def test_what_makes_room_is_named(
    threadbook: Command, sales: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MAX_FILES_PER_USER", "1")
    assert threadbook("files", "add", sales, sales) == app.OK
    assert "threadbook: removed sales.csv (" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("files", "rm", "nope"), "no file 'nope'"),
        (("files", "add", "missing.csv"), "missing.csv is not a file"),
        (("files", "list", "--user", " "), "user id"),
    ],
)
def test_a_wrong_request_gets_one_line(
    threadbook: Command, words: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert threadbook(*words) == app.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert expected in line


def test_a_file_that_is_not_there_keeps_the_others_from_being_removed(threadbook: Command, sales: str, document: Any) -> None:
    threadbook("files", "add", sales)
    assert threadbook("files", "rm", "sales.csv", "nope") == app.USAGE
    assert len(document("files", "list")) == 1


def test_a_name_cannot_control_the_terminal(threadbook: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = tmp_path / "a\x1b[2Jb.csv"
    hostile.touch()
    assert threadbook("files", "add", str(hostile)) == app.OK
    assert threadbook("files", "list") == app.OK
    assert "\x1b" not in capsys.readouterr().out


def test_cleanup_says_what_went(
    threadbook: Command, sales: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], document: Any
) -> None:
    monkeypatch.setenv("FILE_EXPIRATION_HOURS", "0.0000001")
    threadbook("files", "add", sales)
    capsys.readouterr()
    assert threadbook("cleanup") == app.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("file: local: sales.csv (")
    assert lines[-1].startswith("removed 1 files")
    assert document("cleanup")["files"] == []


def test_cleanup_says_what_could_not_be_done(
    threadbook: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'folder'}")
    assert threadbook("cleanup") == app.SERVICE_FAILED
    assert "set DATABASE_URL to another place" in capsys.readouterr().err


def test_status_tells_when_the_database_cannot_be_used(
    document: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'folder'}")
    status = document("status")
    assert status["total_user_files"] is None
    assert "DATABASE_URL" in status["database_error"]


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KB"), (5 * 2**20, "5.0 MB"), (2**40, "1024.0 GB")]
)
def test_sizes_are_readable(size: int, shown: str) -> None:
    assert readable_size(size) == shown
