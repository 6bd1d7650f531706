"""What a cell comes to: status, cause, count, and what magics and errors look like."""

from __future__ import annotations

import asyncio
import gc
import json

import pytest

from kernel_manager import CellFinished, CellStarted, Interpreter, OutputAdded, Session
from tests.integration.following import Follower, events_of, failure, kinds, shown, written
from tests.integration.support import PATIENCE, value


async def test_events_tell_the_start_then_the_outputs_then_the_end(session: Session) -> None:
    events = await events_of(session, "print('a')\n1")
    assert [type(event) for event in events] == [CellStarted, OutputAdded, OutputAdded, CellFinished]
    assert events[0] == CellStarted(1)
    assert isinstance(events[-1], CellFinished)
    assert [event.output for event in events if isinstance(event, OutputAdded)] == events[-1].result.outputs


async def test_a_cell_without_a_failure_is_ok_and_has_no_cause(session: Session) -> None:
    result = await session.execute("x = 1")
    assert (result.status, result.ok, result.cause, result.state_lost, result.outputs) == ("ok", True, None, False, [])
    assert 0 < result.duration_s < 20


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("assert False", "AssertionError"),
        ("raise ValueError('first\\nsecond')", "ValueError: first …"),
        ("class Odd(Exception):\n    pass\nraise Odd(1)", "Odd: 1"),
        ("raise BaseException('base')", "BaseException: base"),
        ("no_such_name", "NameError: name 'no_such_name' is not defined"),
        ("%no_such_magic", "UsageError: Line magic function `%no_such_magic` not found."),
        ("%%no_such_magic\n1", "UsageError: Cell magic `%%no_such_magic` not found."),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        ("class Shy:\n    def __repr__(self): raise ValueError('no')\nShy()", "ValueError: no"),
    ],
)
async def test_a_failure_is_named_in_one_line(session: Session, code: str, cause: str) -> None:
    result = await session.execute(code)
    assert (result.status, result.cause, result.state_lost) == ("error", cause, False)
    assert value(await session.execute("'alive'")) == "'alive'"


async def test_a_syntax_error_points_at_the_place_and_runs_nothing(session: Session) -> None:
    result = await session.execute("print('never')\ndef f(:")
    assert result.status == "error"
    assert (result.cause or "").startswith("SyntaxError: invalid syntax")
    assert kinds(result) == ["error"]
    assert "^" in "\n".join(failure(result)["traceback"])


async def test_a_traceback_shows_the_line_of_the_cell(session: Session) -> None:
    result = await session.execute("def half(x):\n    return x / 0\n\nhalf(2)")
    assert kinds(result) == ["error"]
    assert {"ename": "ZeroDivisionError", "evalue": "division by zero"}.items() <= failure(result).items()
    assert "In[1]" in "".join(failure(result)["traceback"])


async def test_outputs_until_the_error_are_kept(session: Session) -> None:
    result = await session.execute("print('before')\n1 / 0\nprint('after')")
    assert kinds(result) == ["stdout", "error"]
    assert written(result) == "before\n"


async def test_an_error_does_not_keep_queued_cells_from_running(session: Session) -> None:
    failed, fine = await asyncio.gather(session.execute("1 / 0"), session.execute("'still runs'"))
    assert failed.status == "error"
    assert value(fine) == "'still runs'"


async def test_a_keyboard_interrupt_that_the_code_raises_counts_as_one(session: Session) -> None:
    result = await session.execute("raise KeyboardInterrupt")
    assert (result.status, result.state_lost) == ("interrupted", False)
    assert "interrupted" in (result.cause or "")


async def test_counts_go_up_by_one_and_results_carry_them(session: Session) -> None:
    results = [await session.execute(code) for code in ("'a'", "1 / 0", "'b'")]
    assert [result.execution_count for result in results] == [1, 2, 3]
    assert results[2].outputs[0]["execution_count"] == 3


async def test_a_new_kernel_remembers_no_input_but_its_own(session: Session) -> None:
    await session.execute("first = 1")
    assert value(await session.execute("In[1:]")) == "['first = 1', 'In[1:]']"
    assert value(await session.execute("[name for name in ('x', 'plt', 'pd', 'fig', 'io') if name in globals()]")) == "[]"
    assert written(await session.execute("%history -n 1")) == "   1: first = 1\n"


async def test_last_results_have_their_names(session: Session) -> None:
    await session.execute("40 + 2")
    assert value(await session.execute("_, _1, Out[1], len(Out)")) == "(42, 42, 42, 1)"


@pytest.mark.parametrize("code", ["exit()", "quit()", "exit", "quit"])
async def test_leaving_ends_the_kernel_and_says_so_at_once(session: Session, code: str) -> None:
    await session.execute("kept = 1")
    result = await session.execute(code)
    assert (result.status, result.state_lost) == ("died", True)
    assert result.cause == "the cell called exit() or quit(), which ended its kernel; the session's variables are lost"
    after = await session.execute("'kept' in globals()")
    assert (value(after), after.execution_count, after.cause) == ("False", 1, None)


async def test_leaving_with_the_kernel_kept_keeps_it(session: Session) -> None:
    await session.execute("kept = 1")
    assert (await session.execute("exit(keep_kernel=True)")).status == "ok"
    assert value(await session.execute("kept")) == "1"


async def test_what_is_printed_while_leaving_is_kept(session: Session) -> None:
    result = await session.execute("print('last words')\nexit()")
    assert written(result) == "last words\n"


async def test_top_level_await(session: Session) -> None:
    result = await session.execute("import asyncio\nawait asyncio.sleep(0.2)\nprint('waited')\n'result'")
    assert (result.status, written(result), value(result)) == ("ok", "waited\n", "'result'")
    assert result.duration_s > 0.1


async def test_errors_in_async_cells_are_errors(session: Session) -> None:
    result = await session.execute("import asyncio\nawait asyncio.sleep(0)\n1 / 0")
    assert (result.status, result.cause) == ("error", "ZeroDivisionError: division by zero")


async def test_tasks_live_on_between_async_cells(session: Session) -> None:
    await session.execute(
        "import asyncio\ndone = asyncio.Event()\nasync def work():\n    done.set()\ntask = asyncio.create_task(work())"
    )
    assert (await session.execute("await asyncio.wait_for(done.wait(), 10)")).status == "ok"


async def test_an_async_cell_can_be_interrupted(session: Session) -> None:
    follower = Follower(session, "import asyncio\nprint('begun', flush=True)\nawait asyncio.sleep(1000)")
    await follower.event(OutputAdded)
    await session.interrupt()
    result = await follower.result()
    assert (result.status, result.state_lost) == ("interrupted", False)
    assert value(await session.execute("'alive'")) == "'alive'"


async def test_help_is_an_output(session: Session) -> None:
    result = await session.execute("def documented():\n    'What it does.'\n\ndocumented?")
    assert kinds(result) == ["display_data"]
    assert "What it does." in shown(result)[0]


async def test_capture_keeps_outputs_for_the_code(session: Session) -> None:
    result = await session.execute("%%capture caught\nprint('inside')\n'result'")
    assert result.outputs == []
    assert value(await session.execute("caught.stdout")) == "'inside\\n'"


async def test_timing_magics(session: Session) -> None:
    timed = await session.execute("%%time\n40 + 2")
    assert "Wall time" in written(timed)
    assert value(timed) == "42"
    assert "per loop" in written(await session.execute("%timeit -n1 -r1 pass"))


async def test_shell_commands(session: Session) -> None:
    result = await session.execute("!echo shell")
    assert written(result).split() == ["shell"]
    assert value(await session.execute("names = !echo one; echo two\nlist(names)")) == "['one', 'two']"


async def test_scripts_in_other_languages(session: Session) -> None:
    result = await session.execute("%%bash\necho out\necho err >&2")
    assert (written(result), written(result, "stderr")) == ("out\n", "err\n")
    failed = await session.execute("%%sh\nexit 3")
    assert (failed.status, (failed.cause or "").partition(":")[0]) == ("error", "CalledProcessError")


async def test_the_debugger_ends_when_nobody_answers(session: Session) -> None:
    result = await session.execute("def f():\n    breakpoint()\nf()")
    assert result.status == "error"
    assert value(await session.execute("'alive'")) == "'alive'"


async def test_load_file_survives_a_reset_of_the_namespace(session: Session) -> None:
    await session.execute("%reset -f")
    assert value(await session.execute("callable(load_file)")) == "True"


async def test_nothing_of_the_service_is_importable(session: Session) -> None:
    result = await session.execute(
        "import importlib.util\n[importlib.util.find_spec(n) for n in ('kernel_manager', 'threadbook')]"
    )
    assert value(result) == "[None, None]"


async def test_random_numbers_differ_between_kernels(interpreter: Interpreter) -> None:
    code = "import random, numpy\nrandom.random(), numpy.random.rand(), __import__('uuid').uuid4()"
    sessions = [await interpreter.session("random", name) for name in ("one", "two")]
    first, second = await asyncio.gather(*(session.execute(code) for session in sessions))
    assert value(first) != value(second)
    for session in sessions:
        await session.stop()


HOSTILE = r"""
import sys
from IPython.display import display
kernel = get_ipython().kernel
print('\ud800 \x00 \x1b[31m \u202e \ufffe')
display({'application/json': {'x': float('nan'), 'y': [float('inf'), 10**400]}, 'text/plain': '\udfff'}, raw=True)
def send(msg_type, **content):
    kernel.session.send(kernel.iopub_socket, msg_type, content, kernel.get_parent())
send('stream', name=5, text=['no'])
send('display_data', data=None, metadata=3, transient='x')
send('display_data', data={'image/png': 7, 5: 'x'}, metadata={})
send('execute_input', execution_count={'not': 'a number'}, code=None)
send('error', ename=None, evalue={}, traceback='text')
send('status', execution_state=['odd'])
send('clear_output', wait='perhaps')
send('update_display_data', data={}, transient={'display_id': ['x']})
kernel.session.send(kernel.iopub_socket, 'stream', {'name': 'stdout', 'text': 'x'}, {'header': {'msg_id': ['odd']}})
raise ValueError('\ud800 \x00')
"""


async def test_hostile_output_still_makes_sound_json(session: Session) -> None:
    result = await session.execute(HOSTILE)
    text = json.dumps(result.to_dict(), allow_nan=False)
    assert json.loads(text) == result.to_dict()
    text.encode("utf-8")
    json.dumps(result.to_dict(), ensure_ascii=False).encode("utf-8")
    assert result.status == "error"
    assert value(await session.execute("'alive'")) == "'alive'"


async def test_cycles_are_collected_as_anywhere_soon_after_the_start(session: Session) -> None:
    usual = str(gc.get_threshold())
    async with asyncio.timeout(PATIENCE):
        while value(await session.execute("import gc; gc.get_threshold()")) != usual:
            pass
