"""An interrupt ends the cell that was accepted, at whichever line of the kernel's own code it comes."""

from __future__ import annotations

import pytest

from kernel_manager import Session
from tests.integration.support import PATIENCE, value

#: Sends the kernel a SIGINT at a certain line of all that it runs from when the next cell is accepted.
TRAP = """
import os, signal, sys

def interrupt_at(number):
    lines, accepted, fired = 0, False, []

    def follow(frame, event, argument):
        nonlocal lines, accepted
        if not accepted:
            accepted = frame.f_code.co_name == "accept" and event == "return"
        elif event == "line" and not fired:
            lines += 1
            seen.append(frame.f_code.co_name)
            if lines == number:
                fired.append(frame)
                sys.settrace(None)
                os.kill(os.getpid(), signal.SIGINT)
        return follow

    seen.clear()
    sys.settrace(follow)

seen = []
"""
#: Whatever the kernel's way to their code, the trap's line comes: they go on to other lines for ever.
ENDLESS = {
    "statements": "while True:\n    x = 1",
    "awaits, then statements": "import asyncio; await asyncio.sleep(0)\nwhile True:\n    x = 1",
    "waits": "import asyncio\nwhile True:\n    await asyncio.sleep(.001)",
    "task": "import asyncio\nasync def work():\n    while True:\n        x = 1\nawait asyncio.gather(work())",
}
SHORT = {"statements": "1", "awaits": "import asyncio; await asyncio.sleep(0)"}
#: How many places are tried, evenly spread.
PLACES = 30


async def lines_of(session: Session, code: str) -> int:
    """How many lines the kernel runs from when a cell is accepted to where its code is done."""
    await session.execute(TRAP)
    await session.execute("interrupt_at(-1)")
    await session.execute(code)
    return int(value(await session.execute("sys.settrace(None); seen.index('over')")))


@pytest.mark.parametrize("kind", ENDLESS)
async def test_wherever_it_comes_before_the_code_it_ends_an_endless_cell(session: Session, kind: str) -> None:
    lines = await lines_of(session, "pass")
    for line in range(1, lines, lines // PLACES):
        await session.execute(f"interrupt_at({line})")
        result = await session.execute(ENDLESS[kind], timeout=PATIENCE)
        assert (line, result.status, result.state_lost) == (line, "interrupted", False)


@pytest.mark.parametrize("kind", SHORT)
async def test_wherever_it_comes_a_short_cell_has_a_result(session: Session, kind: str) -> None:
    lines = await lines_of(session, SHORT[kind]) + 200
    for line in range(1, lines, lines // PLACES):
        await session.execute(f"interrupt_at({line})")
        result = await session.execute(SHORT[kind], timeout=PATIENCE)
        assert result.status in ("interrupted", "ok"), (line, result)
        assert not result.state_lost, line
        # one that came too late is for nobody, not for the next cell
        assert (await session.execute("sys.settrace(None)")).status == "ok", line


async def test_an_interrupt_that_a_callback_swallows_ends_the_cell(session: Session) -> None:
    await session.execute(
        "import os, signal\ndef interrupt():\n    ip.events.unregister('pre_execute', interrupt)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\nip = get_ipython()\nip.events.register('pre_execute', interrupt)"
    )
    result = await session.execute("while True: pass", timeout=PATIENCE)
    assert (result.status, result.state_lost) == ("interrupted", False)


async def test_the_traceback_ends_where_the_code_was_interrupted(session: Session) -> None:
    interrupt = "os.kill(os.getpid(), signal.SIGINT)"
    result = await session.execute(f"import os, signal\n{interrupt}\nprint('went on')")
    text = "".join(result.outputs[0]["traceback"])
    assert (result.status, "getpid" in text, "interrupts.py" in text) == ("interrupted", True, False)
    caught = await session.execute(f"try:\n    {interrupt}\nexcept KeyboardInterrupt:\n    print('caught')")
    assert (caught.status, caught.outputs[0]["text"]) == ("ok", "caught\n")


async def test_an_asynchronous_cell_that_waits_says_that_it_was_interrupted(session: Session) -> None:
    code = "import asyncio, os, signal\nasyncio.get_running_loop().call_later(.1, os.kill, os.getpid(), signal.SIGINT)\n"
    result = await session.execute(f"{code}await asyncio.sleep(1000)", timeout=PATIENCE)
    assert (result.status, result.cause) == ("interrupted", "the cell was interrupted; the session's variables are kept")
