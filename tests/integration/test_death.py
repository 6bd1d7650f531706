"""Kernels that die while a cell runs: told apart by evidence, with what came out until then."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from kernel_manager import CellFinished, CellStarted, InputRequested, OutputAdded, Session
from tests.integration.following import Follower, shown, written
from tests.integration.support import kernel_pid, running, until, value

SEGFAULT = "import ctypes\nprint('last words')\nctypes.string_at(0)"


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("import os\nprint('last words')\nos._exit(3)", "the code ended the kernel's process (exit code 3)"),
        ("import os\nprint('last words')\nos._exit(0)", "the code ended the kernel's process (exit code 0)"),
        (SEGFAULT, "the kernel crashed: segmentation fault in native code"),
        ("import os\nprint('last words')\nos.abort()", "the kernel crashed: native code gave up (SIGABRT)"),
        (
            "import os\nprint('last words')\nos.kill(os.getpid(), 15)",
            "the kernel was asked to end by the system or another process (SIGTERM)",
        ),
        ("import ctypes\nprint('last words')\nctypes.CDLL(None).exit(5)", "the code ended the kernel's process (exit code 5)"),
        (
            "import os, signal\nprint('last words')\nsignal.raise_signal(signal.SIGFPE)",
            "the kernel crashed: arithmetic error in native code",
        ),
    ],
)
async def test_the_cause_is_named_and_the_last_words_are_kept(session: Session, code: str, cause: str) -> None:
    await session.execute("lost = 1")
    result = await session.execute(code)
    assert (result.status, result.cause, result.state_lost) == ("died", cause, True)
    assert written(result) == "last words\n"
    assert result.execution_count == 2
    assert 0 < result.duration_s < 10


async def test_a_kernel_that_is_killed_is_not_said_to_have_had_too_little_memory(session: Session) -> None:
    result = await session.execute("import os\nprint('last words')\nos.kill(os.getpid(), 9)")
    assert result.status == "died"
    assert (result.cause or "").startswith(
        "killed by the system or another process (SIGKILL); out of memory is possible but not proven"
    )
    assert written(result) == "last words\n"


async def test_the_reason_of_native_code_is_quoted(session: Session) -> None:
    code = "import os\nos.write(2, b'engine.c:12: Assertion `fuel > 0` failed.\\n')\nos.abort()"
    result = await session.execute(code)
    assert (result.cause or "").startswith("the kernel crashed: native code gave up (SIGABRT)")
    assert "Assertion `fuel > 0` failed." in (result.cause or "") + written(result, "stderr")
    assert "Extension modules" not in (result.cause or "")


async def test_a_crash_says_where_on_stderr(session: Session) -> None:
    result = await session.execute(SEGFAULT)
    assert "Fatal Python error: Segmentation fault" in written(result, "stderr")


async def test_the_next_cell_has_a_fresh_kernel_and_nothing_is_said_twice(session: Session) -> None:
    await session.execute("lost = 1")
    await session.execute("import os\nos._exit(1)")
    after = await session.execute("'lost' in globals()")
    assert (value(after), after.status, after.cause, after.state_lost, after.execution_count) == ("False", "ok", None, False, 1)


async def test_a_kernel_that_died_between_cells_is_told_with_the_next(session: Session) -> None:
    await session.execute("lost = 1")
    pid = await kernel_pid(session)
    os.kill(pid, signal.SIGSEGV)
    await until(lambda: not session.has_kernel)
    after = await session.execute("'lost' in globals()")
    assert (value(after), after.status, after.state_lost) == ("False", "ok", True)
    assert after.cause == (
        "this cell ran in a fresh kernel, the earlier variables are lost: the kernel crashed: segmentation fault in native code"
    )
    assert (await session.execute("1")).cause is None


async def test_figures_and_displays_until_the_death_are_kept(session: Session) -> None:
    code = (
        "import os, matplotlib.pyplot as plt\nfor i in range(3):\n    plt.plot([i, 1])\n    plt.show()\n    display(i)\n"
        "print('x' * 10_000)\nos._exit(9)"
    )
    result = await session.execute(code)
    assert result.status == "died"
    assert len(shown(result, "image/png")) == 3
    assert [text for text in shown(result) if text.isdecimal()] == ["0", "1", "2"]
    assert written(result) == "x" * 10_000 + "\n"


async def test_more_than_the_spool_holds_is_kept_when_it_had_arrived_before_the_death(session: Session) -> None:
    code = "for i in range(12):\n    display({'image/png': 'x' * 1_500_000, 'text/plain': str(i)}, raw=True)"
    arrived, question, result = 0, None, None
    async for event in session.run(f"{code}\ninput()\nimport os\nos._exit(9)"):
        arrived += isinstance(event, OutputAdded)
        question = event if isinstance(event, InputRequested) else question
        result = event.result if isinstance(event, CellFinished) else result
        if arrived == 12 and question is not None:
            question.answer("")
    assert result is not None
    assert result.status == "died"
    assert shown(result) == [str(i) for i in range(12)]


async def test_text_written_without_flush_right_before_the_death_is_kept(session: Session) -> None:
    result = await session.execute("import os\nfor i in range(1000):\n    print(i)\nos.kill(os.getpid(), 9)")
    assert written(result) == "".join(f"{i}\n" for i in range(1000))


async def test_death_from_a_thread(session: Session) -> None:
    result = await session.execute(
        "import os, threading, time\nthreading.Timer(0.05, lambda: os._exit(4)).start()\ntime.sleep(1000)"
    )
    assert (result.status, result.cause) == ("died", "the code ended the kernel's process (exit code 4)")


async def test_a_kernel_killed_from_outside_while_a_cell_runs(session: Session) -> None:
    follower = Follower(session, "print('begun', flush=True)\nwhile True: pass")
    await follower.event(OutputAdded)
    os.kill(await kernel_pid(session), signal.SIGKILL)
    result = await follower.result()
    assert (result.status, result.state_lost, written(result)) == ("died", True, "begun\n")
    assert isinstance(follower.events[0], CellStarted)


async def test_cells_queued_behind_a_death_run_in_the_fresh_kernel(session: Session) -> None:
    died, after = await asyncio.gather(session.execute("import os\nos._exit(2)"), session.execute("'fresh'"))
    assert (died.status, value(after), after.execution_count) == ("died", "'fresh'", 1)


async def test_what_a_dying_cell_started_does_not_live_on(session: Session) -> None:
    await session.execute("import os, subprocess\nchild = subprocess.Popen(['sleep', '98765'], start_new_session=True)")
    assert running("98765")
    await session.execute("os._exit(1)")
    await until(lambda: not running("98765"))


async def test_out_of_memory_in_python_is_an_error_and_no_death(session: Session) -> None:
    result = await session.execute(
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (4 * 2**30,) * 2)\nx = bytearray(8 * 2**30)"
    )
    assert (result.status, result.state_lost) == ("error", False)
    assert (result.cause or "").startswith("MemoryError")


async def test_a_stopped_session_says_so_to_the_running_cell(session: Session) -> None:
    follower = Follower(session, "print('begun', flush=True)\nwhile True: pass")
    await follower.event(OutputAdded)
    await session.stop()
    result = await follower.result()
    assert (result.status, result.state_lost) == ("interrupted", True)
    assert result.cause == "the session was stopped while the cell ran"
