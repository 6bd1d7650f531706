from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from bot import logs


@pytest.fixture(autouse=True)
def root_as_before() -> Iterator[None]:
    """Set-up is for a process of its own: here, it is taken back."""
    root = logging.getLogger()
    handlers, levels = root.handlers[:], {name: logging.getLogger(name).level for name in ("root", *logs._QUIET)}
    yield
    root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


async def test_json_lines_say_what_they_are_about_also_from_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("json", "INFO")
    logger = logging.getLogger("bot.somewhere")

    async def later() -> None:
        logger.info("the %s ended", "turn", extra={"seconds": 1.23456})

    with logs.about(user="7", session="s"):
        task = asyncio.create_task(later())
    await task
    logger.warning("after it")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "level": "info",
        "logger": "bot.somewhere",
        "message": "the turn ended",
        "user": "7",
        "session": "s",
        "seconds": 1.235,
    }
    assert "user" not in second


def test_a_traceback_is_one_field_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("json", "INFO")
    try:
        raise ValueError("of no value")
    except ValueError:
        logging.getLogger("bot").exception("it failed")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError: of no value" in json.loads(line)["error"]


def test_lines_for_people_have_the_fields_and_cannot_be_forged(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("text", "INFO")
    with logs.about(user="7"):
        logging.getLogger("bot").info("said %s", "hi\n2026-01-01 ERROR root: forged", extra={"turn": "a\n\x1b[2Jb"})
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("INFO bot: said hi\\n2026-01-01 ERROR root: forged turn=a\\n\\x1b[2Jb user=7")


def test_what_the_library_tells_of_itself_is_left_out_below_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("text", "INFO")
    logging.getLogger("discord.gateway").info("connected")
    logging.getLogger("discord.gateway").warning("cannot keep up")
    assert capsys.readouterr().err.count("\n") == 1
    assert sys.stderr.isatty() is False
