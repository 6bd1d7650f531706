"""Cells that put out more than anybody wants: bounded in the result and in this process, and the session goes on."""

from __future__ import annotations

import re
import textwrap
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from kernel_manager import OutputAdded, OutputReplaced, Session, Settings, StreamExtended
from kernel_manager.execution.result import ExecutionResult
from tests.integration.conftest import OwnSettings
from tests.integration.following import events_of, failure, session_with, shown, written
from tests.integration.support import value

MB = 2**20


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """What is tested here is not how quickly a busy machine stops a flood."""
    return settings.model_copy(update={"interrupt_grace": 30})


#: What this process may take for a flood, besides what its limits let it keep.
SLACK = 250 * MB
CUT = re.compile(r"… [\d,]+ characters cut …")


@contextmanager
def bounded_memory(growth: int = SLACK) -> Iterator[None]:
    """Fail if this process takes more than ``growth`` bytes more than now, even for a moment."""
    Path("/proc/self/clear_refs").write_text("5")
    before = _peak()
    yield
    assert _peak() - before < growth


def _peak() -> int:
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


@asynccontextmanager
async def usable_afterwards(session: Session) -> AsyncIterator[None]:
    """Check that the next cell runs at once, in the same kernel, and gets its own outputs only."""
    await session.execute("before = 'kept'")
    yield
    after = await session.execute("before")
    assert after.outputs == [
        {
            "output_type": "execute_result",
            "execution_count": after.execution_count,
            "data": {"text/plain": "'kept'"},
            "metadata": {},
        }
    ]
    assert after.duration_s < 5


def text_size(result: ExecutionResult) -> int:
    """Characters of all streams."""
    return len(written(result)) + len(written(result, "stderr"))


async def test_endless_printing_ends_in_time_with_its_head_and_tail(session: Session) -> None:
    with bounded_memory():
        async with usable_afterwards(session):
            result = await session.execute(
                "i = 0\nwhile True:\n    print(i, end='\\n' + 200 * '-' + '\\n')\n    i += 1", timeout=2
            )
    assert (result.status, result.state_lost) == ("timeout", False)
    text = written(result)
    numbers = [line for line in text.splitlines() if line and not line.startswith("-")]
    assert numbers[:3] == ["0", "1", "2"]
    assert len(CUT.findall(text)) >= 1
    assert text_size(result) < 600 * 1024
    last = int(numbers[-1])
    assert abs(int(value(await session.execute("i"))) - last) <= 1


@pytest.mark.parametrize(
    "code",
    [
        "while True: print('x')",
        "import os\nwhile True: os.write(1, b'y' * 10_000)",
        "import sys\nwhile True: print('out'), print('err', file=sys.stderr)",
        "import logging\nwhile True: logging.warning('w' * 1000)",
        "import subprocess\nsubprocess.run(['yes', 'z' * 1000])",
        "while True: display('d' * 100_000)",
        "from IPython.display import clear_output\nwhile True: clear_output(), print('c' * 1000)",
        "handle = display('a', display_id=True)\nwhile True: handle.update('u' * 1000)",
    ],
    ids=["print", "descriptor", "two streams", "logging", "child", "displays", "clear", "updates"],
)
async def test_endless_output_of_any_kind_leaves_the_session_usable(session: Session, code: str) -> None:
    with bounded_memory():
        async with usable_afterwards(session):
            result = await session.execute(code, timeout=0.5)
    assert (result.status, result.state_lost) == ("timeout", False)
    assert text_size(result) < 600 * 1024
    assert len(result.outputs) <= 201


async def test_a_flood_does_not_keep_other_sessions_from_running(session: Session, settings: Settings) -> None:
    async with session_with(settings) as other:
        await other.execute("1")
        events = session.run("while True: print('x' * 1000, flush=True)", timeout=20)
        async for event in events:
            if isinstance(event, OutputAdded):
                break
        result = await other.execute("6 * 7")
        assert value(result) == "42"
        assert result.duration_s < 5
        await events.aclose()


async def test_a_long_string_is_cut_in_print_and_as_result(session: Session) -> None:
    with bounded_memory():
        async with usable_afterwards(session):
            result = await session.execute("text = 'a' + 'x' * 50_000_000 + 'z'\nprint(text)\ntext")
    assert result.status == "ok"
    for text in (written(result), value(result)):
        assert CUT.search(text)
        assert (text.strip("'\n")[0], text.strip("'\n")[-1]) == ("a", "z")
        assert len(text) < 600 * 1024


@pytest.mark.slow
async def test_two_gigabytes_of_text_are_cut(own_settings_of: OwnSettings) -> None:
    with bounded_memory():
        async with session_with(own_settings_of(kernel_memory_mb=8192)) as session, usable_afterwards(session):
            result = await session.execute("print('x' * 2_000_000_000)")
    assert result.status == "ok"
    assert "… 1,99" in written(result)
    assert len(written(result)) < 600 * 1024


async def test_ten_thousand_displays_leave_the_first_and_the_last(session: Session) -> None:
    with bounded_memory():
        async with usable_afterwards(session):
            events = await events_of(session, "for i in range(10_000):\n    display(i)")
    result = events[-1].result  # type: ignore[union-attr]
    assert result.status == "ok"
    texts = shown(result)
    assert (texts[:3], texts[-2:]) == (["0", "1", "2"], ["9998", "9999"])
    assert len(result.outputs) <= 201
    assert re.search(r"… [\d,]+ outputs cut …", written(result, "stderr"))
    assert len([event for event in events if isinstance(event, OutputAdded)]) <= 201


@pytest.mark.slow
async def test_a_hundred_thousand_figures_leave_the_first_and_the_last(session: Session) -> None:
    code = (
        "import base64, zlib\n"
        "def png(i):\n    return base64.b64encode(b'\\x89PNG\\r\\n\\x1a\\n' + str(i).encode() * 1000).decode()\n"
        "for i in range(100_000):\n    display({'image/png': png(i), 'text/plain': str(i)}, raw=True)"
    )
    with bounded_memory():
        async with usable_afterwards(session):
            result = await session.execute(code, timeout=50)
    assert result.status == "ok"
    assert (shown(result)[0], shown(result)[-1]) == ("0", "99999")
    assert len(result.outputs) <= 201


async def test_a_display_updated_ever_so_often_ends_with_its_last_content(session: Session) -> None:
    with bounded_memory():
        async with usable_afterwards(session):
            events = await events_of(session, "h = display('first', display_id=True)\nfor i in range(20_000):\n    h.update(i)")
    result = events[-1].result  # type: ignore[union-attr]
    assert shown(result) == ["19999"]
    assert len([event for event in events if isinstance(event, OutputReplaced)]) < 2_000


async def test_a_hundred_thousand_flushes_lose_no_text(session: Session) -> None:
    code = "import sys\nfor i in range(100_000):\n    sys.stdout.write('.')\n    sys.stdout.flush()"
    with bounded_memory():
        async with usable_afterwards(session):
            events = await events_of(session, code)
    result = events[-1].result  # type: ignore[union-attr]
    assert written(result) == "." * 100_000
    assert len([event for event in events if isinstance(event, StreamExtended)]) < 10_000


async def test_many_prints_keep_their_head_their_tail_and_their_order(session: Session) -> None:
    async with usable_afterwards(session):
        result = await session.execute("for i in range(100_000): print(i)")
    text = written(result)
    assert (text[:4], text[-7:]) == ("0\n1\n", "\n99999\n")
    # next to a cut, a number may lack digits
    whole = [line for piece in CUT.split(text) for line in piece.strip("\n").splitlines()[1:-1]]
    numbers = [int(line) for line in whole if line]
    assert len(numbers) > 10_000
    assert numbers == sorted(numbers)


async def test_a_huge_error_is_cut(session: Session) -> None:
    code = "def deep(n):\n    if n:\n        deep(n - 1)\n    raise ValueError('a' + 'x' * 10_000_000 + 'z')\ndeep(300)"
    with bounded_memory():
        async with usable_afterwards(session):
            result = await session.execute(code)
    assert (result.status, failure(result)["ename"]) == ("error", "ValueError")
    assert len(result.cause or "") < 2_000
    assert len(str(failure(result))) < 2 * MB


@pytest.mark.slow
@pytest.mark.timeout(180)  # the kernel formats thousands of frames
async def test_endless_recursion_is_an_error(session: Session) -> None:
    async with usable_afterwards(session):
        result = await session.execute("def f():\n    return f()\nf()")
    assert result.status == "error"
    assert (result.cause or "").startswith("RecursionError: maximum recursion depth exceeded")


async def test_images_past_the_limit_leave_the_first_and_the_newest(settings: Settings) -> None:
    async with session_with(settings, max_output_mb=4) as session:
        code = "for i in range(40):\n    display({'image/png': 'x' * 1_000_000, 'text/plain': str(i)}, raw=True)"
        with bounded_memory():
            result = await session.execute(code)
    images = [output for output in result.outputs if "image/png" in output["data"]]
    assert [output["data"]["text/plain"] for output in images] == ["0", "1", "38", "39"]
    assert "left out: image/png" in result.outputs[20]["data"]["text/plain"]


async def test_updates_of_ever_new_displays_are_bounded(settings: Settings) -> None:
    async with session_with(settings, max_output_mb=4) as session:
        with bounded_memory():
            result = await session.execute(
                "for i in range(80):\n    display({'image/png': 'x' * 3_000_000}, raw=True, display_id=f'd{i}')"
            )
        assert result.status == "ok"


async def test_an_output_that_no_memory_is_left_for_is_an_error_and_not_the_end(session: Session) -> None:
    code = """
    held = [b"x" * 1_000_000]
    try:
        while True: held.append(b"x" * 8_000_000)
    except MemoryError: pass
    display({"image/png": "x" * 20_000_000}, raw=True)
    """
    result = await session.execute(textwrap.dedent(code))
    assert (result.status, result.state_lost) == ("error", False), result.cause
    assert "MemoryError" in (result.cause or "")
    result = await session.execute("held.clear()\ndisplay({'image/png': 'x' * 20_000_000}, raw=True)\n'after'")
    assert (result.status, value(result)) == ("ok", "'after'")


async def test_a_message_that_is_too_large_is_cut_and_not_lost(session: Session) -> None:
    large = "{f'image/x-{i}': 'x' * 20_000_000 for i in range(4)}"
    async with usable_afterwards(session):
        result = await session.execute(f"print('before')\ndisplay({{**{large}, 'text/plain': 'small'}}, raw=True)\n'after'")
    assert (written(result), value(result)) == ("before\n", "'after'")
    assert "left out" in shown(result)[0]


async def test_a_json_that_is_too_large_is_cut_and_not_lost(session: Session) -> None:
    async with usable_afterwards(session):
        result = await session.execute("display({'application/json': {'x': ['y' * 1000] * 70_000}}, raw=True)\n'after'")
    assert value(result) == "'after'"
    assert "left out" in shown(result)[0]


async def test_a_thread_that_never_stops_printing_holds_up_no_cell(session: Session) -> None:
    await session.execute(
        "import threading\nthreading.Thread(target=lambda: [print('noise') for _ in iter(int, 1)], daemon=True).start()"
    )
    result = await session.execute("6 * 7")
    assert (result.status, value(result)) == ("ok", "42")
    assert result.duration_s < 10
