from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kernel_manager.errors import EnvironmentBuildError
from kernel_manager.packages.environments import Environment, Environments
from threadbook.__main__ import main

ENVIRONMENT = Environment("g-20260131T093000-abcdef", Path("/e/g"), Path("/e/g/bin/python"), "d", 42, "2026-01-31T09:30:00+00:00")
STATUS = {
    "python": "/e/g/bin/python",
    "generation": ENVIRONMENT.generation,
    "package_count": 42,
    "fresh": True,
    "built_at": ENVIRONMENT.built_at,
    "size_mb": 500.5,
    "root": "/e",
}


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """How environments were asked for; they are not built."""
    asked: list[tuple[str, bool]] = []

    def builder(name: str) -> Callable[..., Environment]:
        def build(self: Environments, progress: Callable[[str], None], show_output: bool = False) -> Environment:
            asked.append((name, show_output))
            progress("a step")
            return ENVIRONMENT

        return build

    monkeypatch.setattr(Environments, "build", builder("build"))
    monkeypatch.setattr(Environments, "ensure", builder("ensure"))
    monkeypatch.setattr(Environments, "status", lambda self: STATUS)
    return asked


def test_build_shows_its_steps_beside_its_result(built: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env", "build"]) == 0
    assert capsys.readouterr() == (
        "kernel environment g-20260131T093000-abcdef: 42 packages, /e/g/bin/python\n",
        "threadbook: a step\n",
    )
    assert built == [("build", False)]


def test_build_can_leave_what_is_up_to_date(built: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env", "build", "--if-needed", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == STATUS
    assert built == [("ensure", False)]


def test_build_shows_its_progress_to_a_person(built: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["env", "build"]) == 0
    assert built == [("build", True)]


def test_a_build_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> None:
        raise EnvironmentBuildError("kernel environment not built: the disk is full")

    monkeypatch.setattr(Environments, "build", fail)
    assert main(["env", "build"]) == 3
    assert capsys.readouterr() == ("", "threadbook: kernel environment not built: the disk is full\n")


@pytest.mark.usefixtures("built")
def test_status_is_readable(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env", "status"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "generation  g-20260131T093000-abcdef (up to date)",
        "python      /e/g/bin/python",
        "packages    42",
        "size        500.5 MB",
        "built       2026-01-31T09:30:00+00:00",
    ]


def test_status_says_how_to_make_what_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENVIRONMENTS_DIR", str(tmp_path))
    assert main(["env", "status"]) == 0
    assert "`threadbook env build`" in capsys.readouterr().out
    assert main(["env", "status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["python"] is None
