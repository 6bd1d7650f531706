"""The kernel as other Jupyter applications see it: through its installed kernelspec, with their own clients."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import jupyter_kernel_test
import nbclient
import nbformat
import pytest
from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import AsyncKernelManager, start_new_async_kernel, start_new_kernel

from kernel_manager.packages.environments import Environment
from tests.integration.notebooks import notebook_of
from tests.integration.support import PATIENCE, running, until
from threadbook.__main__ import main

_DEFINITIONS = "def documented(x):\n    'What it does.'\n    return x"


@pytest.fixture(scope="module")
def jupyter_environ(shared_folder: Path, kernel_environment: Environment) -> dict[str, str]:
    """The environment variables with which a Jupyter application finds the installed kernelspec."""
    assert main(["kernelspec", "install", "--prefix", str(shared_folder / "prefix")]) == 0
    return {
        "JUPYTER_PATH": str(shared_folder / "prefix" / "share" / "jupyter"),
        "DATA_DIR": str(shared_folder / "data"),
        "RUNTIME_DIR": str(shared_folder / "run"),
        "ENVIRONMENTS_DIR": str(kernel_environment.root.parent),
        "ZYGOTE_IDLE_TIMEOUT": "30",
    }


@pytest.fixture(scope="module")
def in_jupyter_environ(jupyter_environ: dict[str, str]) -> Iterator[None]:
    """For what starts a kernel before the first test: classes of unittest."""
    with pytest.MonkeyPatch.context() as patch:
        for name, setting in jupyter_environ.items():
            patch.setenv(name, setting)
        yield


@pytest.fixture(autouse=True)
def _environ(own_settings: None, jupyter_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, setting in jupyter_environ.items():
        monkeypatch.setenv(name, setting)


@pytest.mark.usefixtures("in_jupyter_environ")
class TestKernelSuite(jupyter_kernel_test.KernelTests):  # type: ignore[misc]
    """Jupyter's own suite for kernels."""

    kernel_name = "threadbook"
    language_name = "python"
    file_extension = ".py"
    code_hello_world = "print('hello, world')"
    code_stderr = "import sys\nprint('oops', file=sys.stderr)"
    completion_samples: ClassVar[list[dict[str, Any]]] = [
        {"text": "zi", "matches": {"zip"}},
        {"text": "imp", "matches": {"import"}},
        {"text": "import nump", "matches": {"numpy"}},
        {"text": "str.isid", "matches": {".isidentifier"}},
        {"text": "load_f", "matches": {"load_file"}},
        {"text": "%matplotl", "matches": {"%matplotlib"}},
    ]
    complete_code_samples: ClassVar[list[str]] = [
        "1",
        "x = 1",
        "print('hello, world')",
        "def f(x):\n  return x*2\n\n\n",
        "%time 1",
        "!ls",
        "for i in x: pass\n",
    ]
    incomplete_code_samples: ClassVar[list[str]] = [
        "print('''hello",
        "def f(x):\n  x*2",
        "for i in x:",
        "(1,",
        "%%time\n1",
        "x = [\n",
        "if x:\n    pass\nelse:",
    ]
    invalid_code_samples: ClassVar[list[str]] = ["import = 7q", "1 +* 2", "x = )"]
    code_page_something = "zip?"
    code_generate_error = "raise ValueError('no')"
    code_execute_result: ClassVar[list[dict[str, str]]] = [
        {"code": "6*7", "result": "42"},
        {"code": "'a' 'b'", "result": "'ab'"},
        {"code": "import pandas; pandas.DataFrame({'a': [1]})", "mime": "text/html"},
        {"code": "from IPython.display import Math; Math('x')", "mime": "text/latex"},
    ]
    code_display_data: ClassVar[list[dict[str, str]]] = [
        {"code": "from IPython.display import HTML, display; display(HTML('<b>x</b>'))", "mime": "text/html"},
        {"code": "display({'application/json': {}}, raw=True)", "mime": "application/json"},
        {"code": "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()", "mime": "image/png"},
        {"code": "plt.plot([1, 2]);", "mime": "image/png"},
    ]
    code_history_pattern = "6?7*"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "zip"
    code_clear_output = "from IPython.display import clear_output; clear_output()"

    def test_no_sample_is_missing(self) -> None:
        samples = {name for name in dir(jupyter_kernel_test.KernelTests) if name.startswith("code_") or name.endswith("_samples")}
        assert all(getattr(self, name) for name in samples)

    def test_text_is_published_under_its_request(self) -> None:
        self.flush_channels()
        _, messages = self.execute_helper("print('a', flush=True)\nprint('b')\ndisplay('c')")
        assert [message["msg_type"] for message in messages] == ["stream", "stream", "display_data"]
        assert len({message["parent_header"]["msg_id"] for message in messages}) == 1

    def test_silent_code_leaves_no_trace(self) -> None:
        self.flush_channels()
        first, _ = self.execute_helper("1")
        self.flush_channels()
        self.kc.execute("2 + 2", silent=True)
        self.flush_channels()
        second, _ = self.execute_helper("3")
        assert second["content"]["execution_count"] == first["content"]["execution_count"] + 1

    def test_user_expressions_are_answered(self) -> None:
        self.flush_channels()
        self.kc.execute("x = 6", user_expressions={"product": "x * 7", "broken": "1 / 0"})
        reply = self.get_non_kernel_info_reply(timeout=PATIENCE)
        assert reply is not None
        expressions = reply["content"]["user_expressions"]
        assert expressions["product"]["data"]["text/plain"] == "42"
        assert expressions["broken"]["status"] == "error"

    def test_an_error_aborts_what_is_queued_behind_it(self) -> None:
        self.flush_channels()
        self.kc.execute("import time\ntime.sleep(0.2)\n1 / 0", stop_on_error=True)
        self.kc.execute("'behind'")
        statuses = [self.get_non_kernel_info_reply(timeout=PATIENCE) for _ in range(2)]
        assert [reply["content"]["status"] for reply in statuses if reply] == ["error", "aborted"]
        self.flush_channels()
        reply, _ = self.execute_helper("'after'")
        assert reply["content"]["status"] == "ok"

    def test_top_level_await_is_answered(self) -> None:
        self.flush_channels()
        reply, messages = self.execute_helper("import asyncio\nawait asyncio.sleep(0.05)\n'waited'")
        assert reply["content"]["status"] == "ok"
        assert [message["msg_type"] for message in messages] == ["execute_result"]

    def test_a_detailed_inspection_has_the_source(self) -> None:
        self.flush_channels()
        self.execute_helper(_DEFINITIONS)
        self.flush_channels()
        self.kc.inspect("documented", detail_level=1)
        reply = self.get_non_kernel_info_reply(timeout=PATIENCE)
        assert reply is not None
        assert "return" in reply["content"]["data"]["text/plain"]


@pytest.mark.usefixtures("in_jupyter_environ")
class TestIopubWelcome(jupyter_kernel_test.IopubWelcomeTests):  # type: ignore[misc]
    """The message that says that a subscription holds."""

    kernel_name = "threadbook"
    support_iopub_welcome = True


# Plain jupyter_client.


@asynccontextmanager
async def running_kernel() -> AsyncIterator[tuple[AsyncKernelManager, AsyncKernelClient]]:
    """A kernel that jupyter_client started by its name."""
    manager, client = await start_new_async_kernel(kernel_name="threadbook")
    try:
        yield manager, client
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)


async def answer(client: AsyncKernelClient, code: str) -> str:
    """Run code and return the text of its result."""
    texts: list[str] = []

    def take(message: dict[str, object]) -> None:
        content = message["content"]
        assert isinstance(content, dict)
        texts.extend(str(content[part]["text/plain"]) for part in ("data",) if part in content)

    async with asyncio.timeout(PATIENCE):
        await client.execute_interactive(code, output_hook=take, allow_stdin=False)
    return "".join(texts)


def test_a_blocking_client_runs_code() -> None:
    manager, client = start_new_kernel(kernel_name="threadbook")
    assert isinstance(client, BlockingKernelClient)
    try:
        reply = client.execute_interactive("x = 41\nx + 1", output_hook=lambda message: None, timeout=PATIENCE)
        assert reply["content"]["status"] == "ok"
    finally:
        client.stop_channels()
        manager.shutdown_kernel()
    assert not manager.is_alive()


async def test_state_lasts_until_a_restart() -> None:
    async with running_kernel() as (manager, client):
        await answer(client, "kept = 1")
        assert await answer(client, "'kept' in globals()") == "True"
        await manager.restart_kernel(now=True)
        client.stop_channels()
        again = manager.client()
        again.start_channels()
        try:
            await again.wait_for_ready(timeout=PATIENCE)
            assert await answer(again, "'kept' in globals()") == "False"
        finally:
            again.stop_channels()


async def test_an_interrupt_ends_the_cell_and_not_the_kernel() -> None:
    async with running_kernel() as (manager, client):
        begun = asyncio.Event()
        task = asyncio.create_task(
            client.execute_interactive(
                "kept = 1\nprint('begun', flush=True)\nwhile True: pass",
                output_hook=lambda message: begun.set() if message["msg_type"] == "stream" else None,
                allow_stdin=False,
            )
        )
        async with asyncio.timeout(PATIENCE):
            await begun.wait()
            await manager.interrupt_kernel()
            reply = await task
        assert reply["content"]["ename"] == "KeyboardInterrupt"
        assert await answer(client, "kept") == "1"


@pytest.mark.parametrize("now", [True, False])
async def test_a_shutdown_leaves_no_process(now: bool) -> None:
    async with running_kernel() as (manager, client):
        await answer(client, "marked = __import__('subprocess').Popen(['sleep', '87654'])\n1")
        assert running("87654")
        async with asyncio.timeout(PATIENCE):
            await manager.shutdown_kernel(now=now)
        await until(lambda: not running("87654"))
        assert not await manager.is_alive()


async def test_a_death_is_noticed() -> None:
    async with running_kernel() as (manager, client):
        client.execute("import os\nos._exit(3)")
        await until_dead(manager)
        assert await manager.provisioner.poll() == 3  # type: ignore[union-attr]


async def until_dead(manager: AsyncKernelManager) -> None:
    """Wait until jupyter_client knows that its kernel has ended."""
    async with asyncio.timeout(PATIENCE):
        while await manager.is_alive():
            await asyncio.sleep(0.01)


async def test_kernels_of_one_name_are_apart() -> None:
    async with running_kernel() as (_, one), running_kernel() as (_, two):
        await answer(one, "x = 'one'")
        assert await answer(two, "'x' in globals()") == "False"


async def test_several_clients_of_one_kernel_hear_everything() -> None:
    async with running_kernel() as (manager, first):
        second = AsyncKernelClient()
        second.load_connection_file(manager.connection_file)
        second.start_channels()
        try:
            await second.wait_for_ready(timeout=PATIENCE)
            await answer(first, "x = 'told'")
            assert await answer(second, "x") == "'told'"
        finally:
            second.stop_channels()


async def test_the_key_of_the_connection_is_not_on_a_command_line() -> None:
    async with running_kernel() as (manager, client):
        key = manager.session.key.decode()
        found = [path for path in Path("/proc").glob("[0-9]*/cmdline") if key in _text(path)]
        assert found == []
        assert await answer(client, f"{key!r} in str(dict(__import__('os').environ))") == "False"


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return ""


async def test_nbclient_executes_a_notebook_with_it(tmp_path: Path) -> None:
    cells = ["x = 40", "print('text')\nx + 2", "display('shown')", "import os\nos.getcwd()"]
    notebook = notebook_of(cells)
    client = nbclient.NotebookClient(notebook, kernel_name="threadbook", timeout=PATIENCE)
    executed = await client.async_execute()
    assert [cell.execution_count for cell in executed.cells] == [1, 2, 3, 4]
    assert [output.output_type for output in executed.cells[1].outputs] == ["stream", "execute_result"]
    assert executed.cells[1].outputs[1].data["text/plain"] == "42"
    nbformat.validate(executed)


async def test_another_program_finds_it_too(jupyter_environ: dict[str, str]) -> None:
    code = (
        "from jupyter_client.manager import start_new_kernel\n"
        "manager, client = start_new_kernel(kernel_name='threadbook')\n"
        "client.execute_interactive('print(6 * 7)')\nclient.stop_channels()\nmanager.shutdown_kernel()\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code), stdout=asyncio.subprocess.PIPE, env={**os.environ, **jupyter_environ}
    )
    output, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    assert (process.returncode, output) == (0, b"42\n")
