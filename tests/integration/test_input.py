"""``input()`` and ``getpass()``: questions of the code, and what becomes of them."""

from __future__ import annotations

import pytest

from kernel_manager import CellStarted, InputRequested, OutputAdded, Session, Settings
from kernel_manager.sessions.history import Answer, Cell, Said
from tests.integration.following import Follower, session_with, written
from tests.integration.support import value

NO_ANSWER = "EOFError: nobody answered; pass the value in the code instead of asking for it"


async def test_an_answer_reaches_the_code(session: Session) -> None:
    follower = Follower(session, "name = input('Your name? ')\nprint('hello', name)", answer=lambda prompt: "Ada Lovelace é")
    result = await follower.result()
    assert (result.status, written(result)) == ("ok", "hello Ada Lovelace é\n")
    (question,) = follower.all(InputRequested)
    assert (question.prompt, question.password) == ("Your name? ", False)


async def test_a_password_is_asked_for_as_one(session: Session) -> None:
    code = "from getpass import getpass\ntoken = getpass('Token: ')\nlen(token)"
    follower = Follower(session, code, answer=lambda prompt: "secret")
    assert value(await follower.result()) == "6"
    (question,) = follower.all(InputRequested)
    assert (question.prompt, question.password) == ("Token: ", True)


async def test_questions_come_one_by_one(session: Session) -> None:
    answers = {"first? ": "1", "second? ": "2", "": "3"}
    follower = Follower(session, "[input('first? '), input('second? '), input()]", answer=answers.__getitem__)
    assert value(await follower.result()) == "['1', '2', '3']"
    assert [question.prompt for question in follower.all(InputRequested)] == list(answers)


async def test_what_was_printed_comes_before_the_question_and_the_start_before_both(session: Session) -> None:
    for _ in range(20):
        follower = Follower(session, "input()", answer=lambda prompt: "x")
        await follower.result()
        assert [type(event) for event in follower.events[:2]] == [CellStarted, InputRequested]
    follower = Follower(session, "print('menu', flush=True)\ninput('choice: ')", answer=lambda prompt: "x")
    await follower.event(InputRequested)
    assert (await follower.event(OutputAdded)).output["text"] == "menu\n"
    await follower.result()


async def test_an_empty_answer_is_an_answer(session: Session) -> None:
    assert value(await Follower(session, "input()", answer=lambda prompt: "").result()) == "''"


async def test_end_of_file_is_an_error_that_says_what_to_do(session: Session) -> None:
    result = await Follower(session, "input('x')", answer=lambda prompt: None).result()
    assert (result.status, result.cause) == ("error", NO_ANSWER)


async def test_execute_answers_nothing(session: Session) -> None:
    result = await session.execute("print('before')\ninput('x')")
    assert (result.status, result.cause, written(result)) == ("error", NO_ANSWER, "before\n")
    assert (await session.execute("import getpass\ngetpass.getpass()")).cause == NO_ANSWER


async def test_code_may_handle_that_nobody_answers(session: Session) -> None:
    result = await session.execute("try:\n    input()\nexcept EOFError:\n    print('default')")
    assert (result.status, written(result)) == ("ok", "default\n")


async def test_an_answer_that_does_not_come_in_time_is_the_end_of_input(settings: Settings) -> None:
    async with session_with(settings, input_timeout=0.2) as session:
        follower = Follower(session, "input('x')")
        result = await follower.result()
        assert (result.status, result.cause) == ("error", NO_ANSWER)
        (question,) = follower.all(InputRequested)
        question.answer("too late")
        assert value(await session.execute("'next'")) == "'next'"
        assert value(await Follower(session, "input()", answer=lambda prompt: "own").result()) == "'own'"


async def test_only_the_first_answer_counts(session: Session) -> None:
    follower = Follower(session, "a = input()\nb = input()\na, b")
    first = await follower.event(InputRequested)
    first.answer("one")
    first.answer("again")
    (await follower.event(InputRequested, 1)).answer("two")
    assert value(await follower.result()) == "('one', 'two')"


async def test_an_answer_after_the_end_does_nothing(session: Session) -> None:
    follower = Follower(session, "input()", answer=lambda prompt: "in time")
    await follower.result()
    follower.all(InputRequested)[0].answer("too late")
    assert value(await Follower(session, "input()", answer=lambda prompt: "other").result()) == "'other'"


async def test_waiting_can_be_interrupted(session: Session) -> None:
    follower = Follower(session, "try:\n    input()\nfinally:\n    print('left')")
    question = await follower.event(InputRequested)
    await session.interrupt()
    result = await follower.result()
    assert (result.status, written(result), result.state_lost) == ("interrupted", "left\n", False)
    question.answer("too late")
    assert value(await Follower(session, "input()", answer=lambda prompt: "next").result()) == "'next'"


async def test_a_question_in_a_function_and_after_output(session: Session) -> None:
    code = "def ask():\n    for i in range(2):\n        print('round', i)\n        yield input(f'{i}: ')\nlist(ask())"
    result = await Follower(session, code, answer=lambda prompt: prompt).result()
    assert value(result) == "['0: ', '1: ']"
    assert written(result) == "round 0\nround 1\n"


@pytest.mark.parametrize("prompt", ["'é🐍'", "'\\ud800'", "12", "None", "'x' * 100_000"])
async def test_odd_prompts(session: Session, prompt: str) -> None:
    follower = Follower(session, f"input({prompt})", answer=lambda prompt: "fine")
    assert value(await follower.result()) == "'fine'"
    assert len(follower.all(InputRequested)[0].prompt) <= 10_000
    follower.all(InputRequested)[0].prompt.encode()


async def test_questions_from_a_thread(session: Session) -> None:
    code = (
        "import threading\nanswers = []\n"
        "thread = threading.Thread(target=lambda: answers.append(input('thread? ')))\nthread.start()\nthread.join()\nanswers"
    )
    follower = Follower(session, code, answer=lambda prompt: prompt)
    assert value(await follower.result()) == "['thread? ']"


async def test_the_debugger_can_be_talked_to(session: Session) -> None:
    commands = iter(["p secret", "c"])
    code = "def f():\n    secret = 40 + 2\n    breakpoint()\n    return secret\nf()"
    follower = Follower(session, code, answer=lambda prompt: next(commands))
    result = await follower.result()
    assert "42" in written(result)
    assert value(result) == "42"


async def test_answers_are_recorded_and_passwords_are_not(session: Session) -> None:
    code = "from getpass import getpass\n[input('a? '), len(getpass('Token: ')), input()]"
    answers = {"a? ": "first é", "Token: ": "hunter2-never-kept", "": "third"}
    result = await Follower(session, code, answer=answers.__getitem__).result()
    assert value(result) == "['first é', 18, 'third']"
    (cell,) = session.read_history().cells
    assert cell.answers == [Answer("a? ", "first é"), Answer("", "third")]
    everything = [path for path in session.folder.parent.parent.parent.parent.rglob("*") if path.is_file()]
    assert session.folder / "history.jsonl" in everything
    assert not [path for path in everything if b"hunter2-never-kept" in path.read_bytes()]


async def test_what_nobody_answered_is_not_recorded_as_an_answer(session: Session) -> None:
    await Follower(session, "input('x')", answer=lambda prompt: None).result()
    assert session.read_history().cells[0].answers == []


async def test_what_is_said_is_in_the_history_between_the_cells(session: Session) -> None:
    session.say("user", "Ann", "Add one and one.")
    await session.execute("1 + 1")
    session.say("assistant", "Threadbook", "It is **2**.")
    said, cell, answer = session.read_history().entries
    assert (said, answer) == (Said("user", "Ann", "Add one and one."), Said("assistant", "Threadbook", "It is **2**."))
    assert isinstance(cell, Cell)


async def test_one_may_say_something_while_a_cell_runs(session: Session) -> None:
    follower = Follower(session, "input('x')", answer=None)
    question = await follower.event(InputRequested)
    session.say("user", "Ann", "wait")
    question.answer("go")
    await follower.result()
    cell, said = session.read_history().entries
    assert isinstance(cell, Cell)
    assert cell.status == "ok"
    assert said == Said("user", "Ann", "wait")
