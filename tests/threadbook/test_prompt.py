from __future__ import annotations

import asyncio
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput

from tests.threadbook.fakes import FakeSession
from threadbook.completeness import is_whole
from threadbook.prompt import Prompt


@pytest.fixture
def keys() -> Iterator[PipeInput]:
    with create_pipe_input() as typed:
        yield typed


@pytest.fixture
def history_file(tmp_path: Path) -> Path:
    return tmp_path / "console_history"


@pytest.fixture
def prompt(session: FakeSession, keys: PipeInput, history_file: Path) -> Prompt:
    session.completeness = lambda code: "complete" if is_whole(code) else "incomplete"
    return Prompt(session, history_file, [":help", ":restart"], input=keys, output=DummyOutput())


async def test_enter_runs_what_is_complete(prompt: Prompt, keys: PipeInput) -> None:
    keys.send_text("x = 1\r")
    assert await prompt.read(1) == "x = 1"


async def test_enter_continues_what_is_not_and_indents_it(prompt: Prompt, keys: PipeInput) -> None:
    keys.send_text("for i in x:\rprint(i)\r\r")
    assert (await prompt.read(1)).rstrip() == "for i in x:\n    print(i)"


async def test_what_is_typed_ahead_is_the_next_cell(prompt: Prompt, keys: PipeInput) -> None:
    keys.send_text("first\rsecond\rthi")
    assert await prompt.read(1) == "first"
    assert await prompt.read(2) == "second"
    keys.send_text("rd\r")
    assert await prompt.read(3) == "third"


async def test_enter_above_the_last_line_only_makes_a_new_one(prompt: Prompt, keys: PipeInput) -> None:
    keys.send_text("f(\r1)\x1b[A\x1b[F\r2,\x1b[B\x1b[F\r")
    assert (await prompt.read(1)).split() == ["f(", "2,", "1)"]


async def test_alt_enter_runs_at_once(prompt: Prompt, keys: PipeInput) -> None:
    keys.send_text("f(\x1b\r")
    assert await prompt.read(1) == "f("


async def test_a_pasted_text_stays_whole(prompt: Prompt, keys: PipeInput) -> None:
    keys.send_text("\x1b[200~def f():\n    a = 1\n\n    return a\n\x1b[201~\r")
    assert await prompt.read(1) == "def f():\n    a = 1\n\n    return a\n"


async def test_commands_take_one_line(prompt: Prompt, keys: PipeInput, session: FakeSession) -> None:
    session.completeness = lambda code: "incomplete"
    keys.send_text(":help\r")
    assert await prompt.read(1) == ":help"


async def test_ctrl_c_clears_the_line(prompt: Prompt, keys: PipeInput) -> None:
    keys.send_text("wrong\x03right\r")
    assert await prompt.read(1) == "right"


async def test_ctrl_d_leaves_when_the_line_is_empty(prompt: Prompt, keys: PipeInput) -> None:
    keys.send_text("\x04")
    with pytest.raises(EOFError):
        await prompt.read(1)


async def test_tab_completes_from_the_kernel(prompt: Prompt, keys: PipeInput) -> None:
    reading = asyncio.create_task(prompt.read(1))
    keys.send_text("pr\t")
    buffer = prompt._session.default_buffer
    changed = asyncio.Event()
    buffer.on_completions_changed += lambda _: changed.set()
    await changed.wait()
    keys.send_text("\t\r\r")
    assert await reading == "print"


async def test_tab_indents_where_nothing_is_to_complete(prompt: Prompt, keys: PipeInput) -> None:
    keys.send_text("\tx\r")
    assert await prompt.read(1) == "    x"


async def test_a_kernel_that_does_not_know_is_not_asked_further(prompt: Prompt, keys: PipeInput, session: FakeSession) -> None:
    session.completeness = lambda code: "unknown"
    keys.send_text("f(\r1)\r")
    assert await prompt.read(1) == "f(\n1)"


async def test_history_is_kept_for_its_owner_only(
    prompt: Prompt, keys: PipeInput, session: FakeSession, history_file: Path
) -> None:
    keys.send_text("remembered\r")
    await prompt.read(1)
    assert stat.S_IMODE(history_file.stat().st_mode) == 0o600
    keys.send_text("\x1b[A\r")
    assert await Prompt(session, history_file, [], input=keys, output=DummyOutput()).read(1) == "remembered"


async def test_a_history_that_cannot_be_written_is_no_reason_to_stop(
    session: FakeSession, keys: PipeInput, tmp_path: Path
) -> None:
    keys.send_text("x\r")
    prompt = Prompt(session, tmp_path / "missing" / "history", [], input=keys, output=DummyOutput())
    assert await prompt.read(1) == "x"
