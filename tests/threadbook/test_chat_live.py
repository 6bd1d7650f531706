"""``threadbook chat`` as a person uses it: a process, a kernel, and an endpoint on the loopback that plays the model."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pexpect
import pytest

from kernel_manager.packages.environments import Environment
from tests.integration.conftest import folder_for_kernels
from tools import endpoint as wire
from tools.endpoint import Endpoint, Play, Reply, Request, demonstrate

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60

pytestmark = pytest.mark.slow


@dataclass
class Chat:
    """Runs ``threadbook chat`` on folders of its own; ``answer`` is how the endpoint answers."""

    folder: Path
    environments: Path
    url: str
    answer: Callable[[Request], Play] = demonstrate

    @property
    def environ(self) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DATA_DIR": str(self.folder / "data"),
            "RUNTIME_DIR": str(self.folder / "run"),
            "ENVIRONMENTS_DIR": str(self.environments),
            "OPENAI_BASE_URL": self.url,
            "OPENAI_MODEL": "demo",
            "OPENAI_MAX_RETRIES": "0",
            "ZYGOTE_IDLE_TIMEOUT": "30",
            "TERM": "dumb",
            "PROMPT_TOOLKIT_NO_CPR": "1",
        }

    def __call__(self, *arguments: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "threadbook", "chat", *arguments],
            input=stdin,
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )


@contextlib.contextmanager
def serving(answer: Callable[[Request], Play]) -> Iterator[str]:
    """Serve in a thread: the commands are processes that are waited for."""
    loop, ready, over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    endpoint = Endpoint(answer)

    async def serve() -> None:
        async with endpoint.serving():
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait(PATIENCE_S)
    try:
        yield endpoint.url
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


@pytest.fixture(scope="module")
def shared(kernel_environment: Environment) -> Iterator[Chat]:
    chat: Chat | None = None

    def answer(request: Request) -> Play:
        assert chat is not None
        return chat.answer(request)

    with folder_for_kernels(kernel_environment) as folder, serving(answer) as url:
        chat = Chat(folder, kernel_environment.root.parent, url)
        yield chat


@pytest.fixture
def chat(shared: Chat) -> Iterator[Chat]:
    yield shared
    shared.answer = demonstrate


@pytest.fixture
def diamonds(tmp_path: Path) -> Path:
    path = tmp_path / "diamonds.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("carat", "price"), (0.2, 300), (0.3, 500)])
    return path


@pytest.mark.parametrize("api", ["chat_completions", "responses"])
def test_a_question_about_a_file_is_answered_from_its_data(chat: Chat, diamonds: Path, api: str) -> None:
    done = chat("--once", "what is the mean of price?", "--file", str(diamonds), "--session", api, OPENAI_API=api)
    assert (done.returncode, done.stdout) == (0, "I load the file and look.\nHere is what came out:\n\nnp.float64(400.0)\n")
    assert "df['price'].mean()" in done.stderr
    assert "dropped the rest" not in done.stderr


def test_one_json_document_says_everything(chat: Chat, diamonds: Path) -> None:
    done = chat("--once", "-", "--json", "--file", str(diamonds), "--session", "json", stdin="what is the sum of price?")
    document = json.loads(done.stdout)
    assert (document["status"], document["session_id"], document["usage"]["requests"]) == ("completed", "json", 2)
    assert "np.int64(800)" in document["text"]
    assert document["cells"][0]["status"] == "ok"


def test_a_figure_is_a_path_and_the_next_message_knows_the_first(chat: Chat) -> None:
    asked: list[str] = []

    def answer(request: Request) -> Play:
        if request.path.endswith("/models"):
            return wire.models("demo")
        asked.append(json.dumps(request.json))
        code = "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()"
        first = len(asked) == 1
        return wire.play(request, Reply("", [("execute_python_code", json.dumps({"code": code}))]) if first else Reply("Drawn."))

    chat.answer = answer
    done = chat("--session", "pipe", stdin="draw\n:assistant visualiser\nand now?\n:usage\n")
    assert done.returncode == 0
    assert done.stdout.count("Drawn.") == 2
    path = Path(done.stderr.partition("figure: ")[2].split()[0])
    assert path.read_bytes().startswith(b"\x89PNG")
    assert "You are Visualiser" in asked[-1]
    assert "Drawn." in asked[-1]
    assert "visualiser: " in done.stdout


def test_the_answer_streams_to_a_terminal_and_ctrl_c_stops_it(chat: Chat) -> None:
    def answer(request: Request) -> Play:
        if request.path.endswith("/models"):
            return wire.models("demo")
        return wire.play(
            request, Reply("I wait.", [("execute_python_code", '{"code": "print(6 * 7, flush=True)\\nwhile True: pass"}')])
        )

    chat.answer = answer
    environ: dict[str, str] = chat.environ
    arguments = ["-m", "threadbook", "chat", "--once", "go", "--session", "tty"]
    child = pexpect.spawn(sys.executable, arguments, env=environ, timeout=PATIENCE_S, encoding="utf-8")
    child.expect("I wait.")
    child.expect("42")
    child.kill(signal.SIGINT)
    child.expect("stopped: The answer was stopped by the user.")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130


def test_what_is_missing_or_wrong_is_said_in_one_line(chat: Chat, tmp_path: Path) -> None:
    def refuse(_: Request) -> Play:
        return wire.error(401, "no")

    nothing = chat("--once", "hi", OPENAI_BASE_URL="", OPENAI_MODEL="")
    assert (nothing.returncode, nothing.stderr.count("\n")) == (2, 1)
    assert "set OPENAI_API_KEY" in nothing.stderr
    assert "`threadbook console` works without" in nothing.stderr
    chat.answer = refuse
    refused = chat("--once", "hi", "--session", "refused")
    assert refused.returncode == 3
    assert "the operator has to correct OPENAI_API_KEY" in refused.stderr
    assert refused.stdout == ""
    chat.answer = demonstrate
    unknown = chat("--once", "hi", "--assistant", "poet")
    assert (unknown.returncode, "there is no assistant 'poet'" in unknown.stderr) == (2, True)
    assert chat("--json").returncode == 2
    assert chat("--once", " ").returncode == 2
    assert "not a file" in chat("--once", "hi", "--file", str(tmp_path / "none")).stderr
