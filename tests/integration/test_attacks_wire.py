"""Attacks with the kernel's own key: messages that lie, that are too large, too many or no messages at all."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.integration.attacks import Attacker, printed, value
from tests.integration.support import resident_megabytes

pytestmark = pytest.mark.slow

# What forging needs; the code of a cell owns all of it.
_FORGE = """
import zmq, uuid, datetime
kernel = get_ipython().kernel
session = kernel.session
parent = kernel.get_parent('shell')
me = parent['header']['session'].encode()

def publish(msg_type, content, parent=parent, **header):
    message = session.msg(msg_type, content, parent=parent)
    message['header'].update(header)
    send(session.serialize(message, b'x'))

def send(frames):
    kernel.iopub_socket.send_multipart(frames)

def signed(*parts):
    '''Any bytes as a message with a good signature.'''
    return [b'x', b'<IDS|MSG>', session.sign(list(parts)), *parts]

def reply(content, msg_type='execute_reply'):
    session.send(kernel.shell_stream, msg_type, content, parent=parent, ident=[me])

def ask(prompt='?'):
    session.send(kernel.stdin_socket, 'input_request', {'prompt': prompt, 'password': False}, parent=parent, ident=[me])
"""

_LIES: list[Any] = [
    pytest.param("publish('status', {'execution_state': 'idle'})", id="idle"),
    pytest.param("publish('status', {'execution_state': 'idle'}); time.sleep(1)", id="idle, and it goes on"),
    pytest.param(
        "reply({'status': 'ok', 'payload': []}); publish('status', {'execution_state': 'idle'})\nwhile True: pass",
        id="the end, and it goes on for ever",
    ),
    pytest.param("for _ in range(1000): publish('status', {'execution_state': 'idle'})", id="a thousand times idle"),
    pytest.param("reply({'status': 'ok', 'execution_count': 10**9, 'payload': [], 'user_expressions': {}})", id="a reply"),
    pytest.param("reply({'status': 'error', 'ename': ['x'], 'evalue': {}, 'traceback': 7})", id="a reply of wrong types"),
    pytest.param("reply({'status': 'ok', 'payload': [{'source': 'page', 'data': 'x' * 10**6}] * 10})", id="pages in a reply"),
    pytest.param("reply({'status': 'ok', 'payload': [{'source': 'ask_exit'}]})", id="a reply that says exit()"),
    pytest.param(
        "header = json.dumps(session.msg('execute_reply')['header'], default=str).encode()\n"
        "about = json.dumps({'msg_id': parent['header']['msg_id']}).encode()\n"
        "kernel.shell_stream.send_multipart([me, *signed(header, about, b'{}', b'[1]')[1:]])",
        id="a reply that is a list",
    ),
    pytest.param("ask()", id="a question"),
    pytest.param("for n in range(500): ask('x' * 10000)", id="five hundred questions"),
    pytest.param("publish('status', {'execution_state': 'busy'}, date='1970-01-01T00:00:00Z')", id="busy long ago"),
    pytest.param("publish('status', {'execution_state': {'a': 1}}, date=7)", id="a status of wrong types"),
    pytest.param("publish('execute_input', {'code': None, 'execution_count': 10**30})", id="an absurd execution count"),
    pytest.param("publish('execute_input', {'code': 1, 'execution_count': -1.5})", id="a broken execution count"),
    pytest.param("publish('x' * 10**6, {})", id="a huge message type"),
    pytest.param("publish('stream', {'name': 'stdout', 'text': 7})", id="text that is none"),
    pytest.param("publish('stream', {'name': '../../etc', 'text': 'x'})", id="a stream that is none"),
    pytest.param("publish('display_data', {'data': {'image/png': 'no base64!'}, 'metadata': 3})", id="a picture that is none"),
    pytest.param("publish('display_data', {'data': [1], 'metadata': None, 'transient': 'x'})", id="a display of wrong types"),
    pytest.param("publish('update_display_data', {'data': {}, 'transient': {'display_id': ['x']}})", id="an update of nothing"),
    pytest.param("publish('error', {'ename': 1, 'evalue': 2, 'traceback': {'a': 'b'}})", id="an error of wrong types"),
    pytest.param("publish('clear_output', {'wait': 'x'})", id="a clear that waits for ever"),
    pytest.param("publish('iopub_welcome', {'subscription': ''}, parent=None)", id="a welcome"),
    pytest.param("for _ in range(300): publish('iopub_welcome', {'subscription': ''}, parent=None)", id="many welcomes"),
    pytest.param("publish('comm_open', {'comm_id': 'x', 'target_name': 'y', 'data': {}})", id="a comm"),
    pytest.param("publish('shutdown_reply', {'restart': False, 'status': 'ok'})", id="a shutdown"),
    pytest.param("send([b'garbage'])", id="garbage"),
    pytest.param("send([b''] * 1000)", id="a thousand empty frames"),
    pytest.param("send([b'x', b'<IDS|MSG>', b'bad', b'{}', b'{}', b'{}', b'{}'])", id="a bad signature"),
    pytest.param("send(signed(b'{', b'{}', b'{}', b'{}'))", id="JSON that is none"),
    pytest.param("send(signed(b'[]', b'[]', b'[]', b'[]'))", id="lists for dicts"),
    pytest.param("send(signed(b'null', b'null', b'null', b'null'))", id="null for dicts"),
    pytest.param("send(signed(b'{}'))", id="too few parts"),
    pytest.param("send(signed(b'[' * 10**6, b'{}', b'{}', b'{}'))", id="a header a million deep"),
    pytest.param(
        "good = json.dumps(session.msg('stream')['header'], default=str).encode()\n"
        "deep = b'{\"a\":' * 100_000 + b'1' + b'}' * 100_000\n"
        "send(signed(good, json.dumps(parent, default=str).encode(), b'{}', deep))",
        id="a content a hundred thousand deep",
    ),
    pytest.param(
        "good = json.dumps(session.msg('stream')['header'], default=str).encode()\n"
        "send(signed(good, json.dumps({'msg_id': parent['header']['msg_id']}).encode(), b'{}', b'[' + b'9' * 10**6 + b']'))",
        id="a number of a million digits",
    ),
    pytest.param("send([b'x' * (70 << 20)])", id="a frame of 70 MB"),
    pytest.param(
        "for _ in range(3):\n    send(signed(b'x' * (30 << 20), b'{}', b'{}', b'{}')); time.sleep(.1)", id="frames of 30 MB"
    ),
    pytest.param("kernel.spool._memory[:8] = b'\\xff' * 8", id="a spool whose length is a lie"),
    pytest.param(
        "memory = kernel.spool._memory\nmemory[4:] = os.urandom(len(memory) - 4)\nmemory[:4] = b'\\xff' * 4",
        id="a spool of noise",
    ),
    pytest.param(
        "def is_news(n):\n"
        "    info = attempt(os.fstat, n)\n"
        "    return not isinstance(info, str) and stat.S_ISFIFO(info.st_mode) and not os.get_blocking(n)\n"
        "for n in filter(is_news, range(3, 64)): attempt(os.write, n, b'roro' * 99)",
        id="news for init",
    ),
]


@pytest.mark.parametrize("code", _LIES)
def test_a_lie_harms_only_its_own_cell(spy: Attacker, code: str) -> None:
    began = time.monotonic()
    result = spy.run(f"{_FORGE}\n{code}\nNone", timeout=5)
    assert result["status"] in ("ok", "error", "timeout", "interrupted", "died")
    raised = [output["ename"] for output in result["outputs"] if output["output_type"] == "error"]
    assert not {"NameError", "AttributeError", "TypeError", "SyntaxError"} & set(raised), result["outputs"]  # the lie was told
    spy.service.goes_on()
    if spy.run("1 + 1", timeout=1)["status"] != "ok":  # what was said in its name may have been the next one's end, too
        spy.stop()
    assert value(spy.run("2 + 2")) == "4"
    assert time.monotonic() - began < 20


_HEADERS = """
header = json.dumps(session.msg('display_data')['header'], default=str).encode()
about = json.dumps({'msg_id': parent['header']['msg_id']}).encode()
"""
# Each costs who listens far more than who sends it. What is thrown away in the kernel is its own affair.
_BURDENS: list[Any] = [
    pytest.param("heavy = signed(header, about, b'{}', b'[' + b'9,' * (4 << 20) + b'1]')", id="a million small values"),
    pytest.param("heavy = signed(header, about, b'{}', b'[' + b'[],' * (8 << 20) + b'1]')", id="memory for nothing"),
    pytest.param("heavy = signed(header, about, b'{}', b'[' + b'[],' * 240_000 + b'1]')", id="a little less for nothing"),
    pytest.param("heavy = signed(header, about, b'[' + b'9,' * (4 << 20) + b'1]', b'{}')", id="a heavy header"),
    pytest.param(
        "data = {'text/plain': 'x', **{f'k{n}/x': 'y' * 100 for n in range(1000)}}\n"
        "about_it = {str(n): {'a': 'b' * 100} for n in range(1000)}\n"
        "content = json.dumps({'data': data, 'metadata': about_it, 'transient': {}}).encode()\n"
        "heavy = signed(header, about, b'{}', content)",
        id="a thousand types of one output",
    ),
    pytest.param(
        "content = json.dumps({'ename': 'x' * 10**6, 'evalue': 'y' * 10**6, 'traceback': ['z' * 1000] * 5000}).encode()\n"
        "heavy = signed(header.replace(b'display_data', b'error'), about, b'{}', content)",
        id="long errors",
    ),
    pytest.param(
        "stuffing = signed(header, about, b'{}', b'[' + b'[],' * 240_000 + b'1]')\n"
        "for _ in range(9): kernel.spool.append(stuffing)\n"
        "heavy = session.serialize(session.msg('iopub_welcome', {'subscription': ''}), b'x')",
        id="welcomes to a stuffed spool",
    ),
]


@pytest.mark.parametrize("code", _BURDENS)
def test_messages_that_are_hard_to_read_delay_nobody_else(attacker: Attacker, code: str) -> None:
    before = resident_megabytes(attacker.service.process.pid)
    cell = attacker.start(f"{_FORGE}{_HEADERS}{code}\nprint('begun', flush=True)\nwhile True: send(heavy); time.sleep(0.01)")
    cell.began()
    for _ in range(10):
        began = time.monotonic()
        attacker.service.goes_on()
        assert time.monotonic() - began < 3
    assert resident_megabytes(attacker.service.process.pid) - before < 300
    attacker.stop()
    assert cell.result()["status"] in ("interrupted", "died", "error", "timeout")
    assert value(attacker.run("2 + 2")) == "4"


def test_a_flood_of_messages_that_passes_the_kernels_own_limits_is_bounded(attacker: Attacker) -> None:
    code = f"{_FORGE}\nfor n in range(20_000): publish('stream', {{'name': 'stdout', 'text': 'x' * 200}})\nprint('end')"
    cell = attacker.start(code, timeout=20)
    began = time.monotonic()
    attacker.service.goes_on()
    assert time.monotonic() - began < 10
    result = cell.result()
    assert result["status"] == "ok"
    assert len(printed(result)) < 2**20


def test_forged_questions_stop_the_clock_no_longer_than_the_wall_clock_allows(attacker: Attacker) -> None:
    began = time.monotonic()
    result = attacker.run(f"{_FORGE}\nwhile True:\n    ask(); time.sleep(0.05)", timeout=1)
    assert result["status"] == "timeout"
    assert time.monotonic() - began < 10


_WAITING: list[Any] = [
    pytest.param("input()", False, id="one question"),
    pytest.param("while True:\n    try: input()\n    except BaseException: pass", True, id="one after the other"),
]


@pytest.mark.parametrize(("code", "lost"), _WAITING)
def test_a_question_that_nobody_answers_ends_with_the_wall_clock(attacker: Attacker, code: str, lost: bool) -> None:
    began = time.monotonic()
    result = attacker.run(code, timeout=1)
    assert (result["status"], result["state_lost"]) == ("timeout", lost)
    assert "CODE_WALL_TIMEOUT" in result["cause"]
    assert time.monotonic() - began < 10
    assert attacker.sees("1 + 1") == 2
