"""What starts kernels: one suite for every launcher, on real kernels."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zmq.asyncio

from kernel_manager.errors import KernelStartError
from kernel_manager.execution.channels import Channels, Message, make_context
from kernel_manager.packages.environments import Environment
from kernel_manager.provisioning.kernel_environment import KernelEnvironment
from kernel_manager.provisioning.launcher import KernelRequest, Launcher
from kernel_manager.provisioning.live_kernel import ExitReport, LiveKernel
from kernel_manager.provisioning.local_launcher import LocalLauncher
from kernel_manager.provisioning.runtime import KernelFolder, Runtime
from kernel_manager.provisioning.zygote_launcher import ZygoteLauncher, drain_zygotes

PATIENCE = 45.0


JAILED = json.dumps({"sandbox": "auto"})


def make_launcher(kind: str, environment: KernelEnvironment, runtime: Path, data: Path) -> Launcher:
    demand = JAILED if "jailed" in kind else ""
    if "zygote" in kind:
        return ZygoteLauncher(environment, runtime, data, idle_timeout=20, demand=demand)
    return LocalLauncher(environment, runtime, data, demand)


@dataclass(frozen=True)
class Site:
    """Where the kernels of this module's tests live."""

    folder: Path
    environment: KernelEnvironment

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def runtime(self) -> Runtime:
        return Runtime(self.folder / "run")

    @property
    def workspace(self) -> Path:
        return self.data / "sessions" / "user" / "session" / "workspace"

    def launcher(self, kind: str) -> Launcher:
        return make_launcher(kind, self.environment, self.runtime.root, self.data)


@pytest.fixture(scope="module")
def site(kernel_environment: Environment) -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="tb-", dir="/tmp"))
    made = Site(folder, KernelEnvironment.at(kernel_environment.root))
    made.workspace.mkdir(parents=True)
    made.runtime.open()
    try:
        yield made
        asyncio.run(end_all(made.runtime))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def end_all(runtime: Runtime) -> None:
    for folder in runtime.folders():
        if (kernel := await LiveKernel.attach(folder)) is not None:
            kernel.kill("stop")
            await kernel.exited
            await kernel.aclose()
    await drain_zygotes(runtime.root)


@pytest.fixture(params=["zygote", "local", "jailed zygote", "jailed local"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


Start = Callable[..., Awaitable[LiveKernel]]


@pytest.fixture
async def start(site: Site, kind: str) -> AsyncIterator[Start]:
    """Start kernels; they are ended after the test."""
    launcher = site.launcher(kind)
    kernels: list[LiveKernel] = []

    async def start_one(idle_timeout: float = 300, **changes: Any) -> LiveKernel:
        folder = site.runtime.create()
        request = KernelRequest(folder.kernel_id, **{"user": "user", "session": "session", **changes}, idle_timeout=idle_timeout)
        kernels.append(await LiveKernel.start(folder, launcher, request, PATIENCE))
        return kernels[-1]

    yield start_one
    for kernel in kernels:
        if (still := await LiveKernel.attach(kernel.folder)) is not None:
            still.kill("stop")
            async with asyncio.timeout(PATIENCE):
                await asyncio.shield(still.exited)
            await still.aclose()
        await kernel.aclose()
    await launcher.aclose()


@pytest.fixture
def context() -> Iterator[zmq.asyncio.Context]:
    made = make_context()
    yield made
    made.destroy(linger=0)


class Client:
    """Runs code in a kernel and waits for what it prints."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self.text = ""
        self._grown = asyncio.Event()
        channels.on_other = self._take

    def _take(self, channel: str, message: Message) -> None:
        if channel == "iopub" and message["msg_type"] == "stream":
            self.text += message["content"]["text"]
            self._grown.set()

    def send(self, code: str) -> None:
        self._channels.send("shell", "execute_request", self._content(code))

    async def run(self, code: str) -> Message:
        return await self._channels.request("shell", "execute_request", self._content(code), PATIENCE)

    async def value(self, expression: str) -> str:
        content = {**self._content(""), "user_expressions": {"value": expression}}
        reply = await self._channels.request("shell", "execute_request", content, PATIENCE)
        return str(reply["user_expressions"]["value"]["data"]["text/plain"])

    async def printed(self, text: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while text not in self.text:
                self._grown.clear()
                await self._grown.wait()

    @staticmethod
    def _content(code: str) -> Message:
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        return {**content, "stop_on_error": False}


@contextlib.asynccontextmanager
async def client(kernel: LiveKernel, context: zmq.asyncio.Context) -> AsyncIterator[Client]:
    channels = Channels(kernel.folder.connection(), context)
    await channels.open()
    try:
        yield Client(channels)
    finally:
        await channels.aclose()


def lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


async def gone(*pids: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while any(map(lives, pids)):
            await asyncio.sleep(0.01)


async def ended(kernel: LiveKernel) -> dict[str, Any]:
    """Wait for a kernel's end; return its report."""
    async with asyncio.timeout(PATIENCE):
        report = await asyncio.shield(kernel.exited)
    return {name: getattr(report, name) for name in ("exit_code", "signal", "killed_by")}


# Starting.


async def test_a_started_kernel_is_ready_and_runs_code(start: Start, site: Site, context: zmq.asyncio.Context) -> None:
    kernel = await start()
    assert kernel.alive
    assert lives(kernel.pid)
    async with client(kernel, context) as other:
        assert (await other.run("x = 41"))["status"] == "ok"
        assert await other.value("x + 1") == "42"
        assert await other.value("open('here', 'w').close()") == "None"
    assert (site.workspace / "here").exists()


async def test_a_kernel_has_a_small_environment_and_none_of_the_starters_secrets(
    start: Start, context: zmq.asyncio.Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    kernel = await start()
    key = kernel.folder.connection()["key"]
    async with client(kernel, context) as other:
        environ = await other.value("sorted(__import__('os').environ.items())")
    commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in (kernel.pid, parent(kernel.pid))]
    for text in (environ, *commands):
        assert "secret" not in text
        assert key not in text


async def test_kernels_do_not_share_variables_ports_or_random_numbers(start: Start, context: zmq.asyncio.Context) -> None:
    values = []
    for kernel in [await start(), await start()]:
        async with client(kernel, context) as other:
            assert await other.value("'x' in globals()") == "False"
            await other.run("x = 1; import random, numpy; numbers = random.random(), float(numpy.random.rand())")
            values += json.loads((await other.value("numbers")).replace("(", "[").replace(")", "]"))
    assert len(set(values)) == 4


async def test_a_kernel_that_cannot_start_says_why_and_leaves_no_process(site: Site, start: Start) -> None:
    with pytest.raises(KernelStartError) as caught:
        await start(session="nowhere")
    assert "\n" not in str(caught.value)
    assert not any(folder.is_supervised() for folder in site.runtime.folders())


# Interrupting and ending.


async def test_a_signal_interrupts_the_code(start: Start, context: zmq.asyncio.Context) -> None:
    kernel = await start()
    async with client(kernel, context) as other:
        running = asyncio.create_task(other.run("print('begun', flush=True)\nwhile True: pass"))
        await asyncio.sleep(0)
        await asyncio.wait_for(_begun(kernel), PATIENCE)
        kernel.send_signal()
        assert (await running)["ename"] == "KeyboardInterrupt"
        assert await other.value("1") == "1"


async def _begun(kernel: LiveKernel) -> None:
    while b"begun" not in kernel.folder.spool.read_bytes().partition(b'"stream"')[2]:
        await asyncio.sleep(0.01)


async def test_kill_ends_the_kernel_and_all_it_started(start: Start, site: Site, context: zmq.asyncio.Context) -> None:
    kernel = await start()
    init = parent(kernel.pid)
    async with client(kernel, context) as other:
        code = """
import os, signal, subprocess, sys
children = [subprocess.Popen(['sleep', '1000']), subprocess.Popen(['sleep', '1000'], start_new_session=True)]
"""
        await other.run(code)
    started = children(kernel.pid)
    assert len(started) == 2
    kernel.kill("stop")
    assert await ended(kernel) == {"exit_code": None, "signal": signal.SIGKILL, "killed_by": "stop"}
    assert not any(map(lives, [kernel.pid, *started]))
    await gone(init)
    assert await LiveKernel.attach(kernel.folder) is None


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import os; os._exit(3)", {"exit_code": 3, "signal": None, "killed_by": None}),
        ("import ctypes; ctypes.string_at(0)", {"exit_code": None, "signal": signal.SIGSEGV, "killed_by": None}),
        ("import os; os.kill(os.getpid(), 9)", {"exit_code": None, "signal": signal.SIGKILL, "killed_by": None}),
        ("import os; os.abort()", {"exit_code": None, "signal": signal.SIGABRT, "killed_by": None}),
    ],
    ids=["os._exit", "SIGSEGV", "SIGKILL", "SIGABRT"],
)
async def test_the_report_says_how_the_kernel_ended(
    start: Start, context: zmq.asyncio.Context, code: str, expected: dict[str, Any]
) -> None:
    kernel = await start()
    async with client(kernel, context) as other:
        other.send(code)
        assert await ended(kernel) == expected
    report = kernel.exited.result()
    assert report.was_ready
    assert report.peak_memory_bytes is not None
    assert report.peak_memory_bytes > 2**20


async def test_a_kernel_that_ends_while_somebody_connects_is_reported(start: Start) -> None:
    kernel = await start()
    init = parent(kernel.pid)
    before = descriptors(init)
    await kernel.aclose()
    async with asyncio.timeout(PATIENCE):
        while descriptors(init) >= before:
            await asyncio.sleep(0.01)
    os.kill(init, signal.SIGSTOP)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(str(kernel.folder.init_socket))
        os.kill(kernel.pid, signal.SIGKILL)
        await gone(kernel.pid)
        os.kill(init, signal.SIGCONT)  # finds the client and the end at the same time
        await gone(init)
    report = ExitReport.read(kernel.folder)
    assert (report.signal, report.killed_by) == (signal.SIGKILL, None)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def descriptors(pid: int) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except PermissionError:
        pytest.skip("only root can look at an init's descriptors")


async def test_what_is_printed_before_a_sudden_end_is_kept(start: Start, context: zmq.asyncio.Context) -> None:
    kernel = await start()
    async with client(kernel, context) as other:
        other.send("import os; print('last', 'words'); os.system('printf %s-%s last breath'); os._exit(0)")
        await ended(kernel)
    kept = (
        kernel.folder.spool.read_bytes() + kernel.folder.pending("stdout").read_bytes() + kernel.exited.result().stdout.encode()
    )
    assert b"last words" in kept
    assert b"last-breath" in kept


# Without its starter.

_STARTER = """
import asyncio, json, os, signal, sys
from pathlib import Path
from kernel_manager.provisioning.kernel_environment import KernelEnvironment
from kernel_manager.provisioning.launcher import KernelRequest
from kernel_manager.provisioning.live_kernel import LiveKernel
from kernel_manager.provisioning.local_launcher import LocalLauncher
from kernel_manager.provisioning.runtime import Runtime
from kernel_manager.provisioning.zygote_launcher import ZygoteLauncher

async def main(kind, root, runtime, data):
    environment, folder = KernelEnvironment.at(Path(root)), Runtime(Path(runtime)).create()
    if kind == "zygote":
        launcher = ZygoteLauncher(environment, Path(runtime), Path(data), idle_timeout=20)
    else:
        launcher = LocalLauncher(environment, Path(runtime), Path(data))
    await LiveKernel.start(folder, launcher, KernelRequest(folder.kernel_id, "user", "session", 300), 20)
    print(folder.kernel_id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main(*sys.argv[1:]))
"""


async def started_elsewhere(site: Site, kind: str) -> KernelFolder:
    """The folder of a kernel whose starter was killed. Nothing of the starter's standard output is held any more."""
    root = site.environment.python.parent.parent
    arguments = [kind, str(root), str(site.runtime.root), str(site.data)]
    command = [sys.executable, "-c", _STARTER, *arguments]
    done = await asyncio.to_thread(subprocess.run, command, stdout=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == -signal.SIGKILL
    return site.runtime.folder(done.stdout.strip())


async def test_a_kernel_survives_its_starter(site: Site, kind: str, context: zmq.asyncio.Context) -> None:
    folder = await started_elsewhere(site, kind)
    kernel = await LiveKernel.attach(folder)
    assert kernel is not None
    assert not kernel.was_running
    async with client(kernel, context) as other:
        assert await other.value("6 * 7") == "42"
    kernel.kill("stop")
    assert (await ended(kernel))["killed_by"] == "stop"
    await kernel.aclose()


async def test_a_kernel_that_nobody_uses_ends(start: Start) -> None:
    kernel = await start(idle_timeout=0.3)
    init = parent(kernel.pid)
    assert (await ended(kernel))["killed_by"] == "idle"
    await gone(kernel.pid, init)


async def test_a_lease_keeps_a_kernel_that_nobody_uses(start: Start) -> None:
    kernel = await start(idle_timeout=0.3)
    kernel.lease()
    done, _ = await asyncio.wait({kernel.exited}, timeout=0.8)
    assert not done
    assert lives(kernel.pid)


async def test_looking_at_a_kernel_does_not_keep_it(start: Start) -> None:
    kernel = await start(idle_timeout=0.5)
    async with asyncio.timeout(PATIENCE):
        while kernel.alive:
            kernel.folder.is_supervised()
            if (seen := await LiveKernel.attach(kernel.folder)) is not None:
                await seen.aclose()
            await asyncio.sleep(0.05)
    assert (await ended(kernel))["killed_by"] == "idle"


# The deadline.


async def test_the_deadline_interrupts_and_then_kills(start: Start, context: zmq.asyncio.Context) -> None:
    kernel = await start()
    hit = asyncio.Event()
    kernel.on_deadline = hit.set
    async with client(kernel, context) as other:
        other.send("import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass")
        kernel.arm(0.2, 0.3)
        async with asyncio.timeout(PATIENCE):
            await hit.wait()
        assert kernel.alive
        assert await ended(kernel) == {"exit_code": None, "signal": signal.SIGKILL, "killed_by": "deadline"}


async def test_a_disarmed_deadline_is_none(start: Start) -> None:
    kernel = await start()
    kernel.arm(0.1, 0)
    kernel.disarm()
    done, _ = await asyncio.wait({kernel.exited}, timeout=0.4)
    assert not done


async def test_what_a_client_asked_for_before_it_left_counts(start: Start) -> None:
    kernel = await start()
    for _ in range(20):
        brief = await LiveKernel.attach(kernel.folder)
        assert brief is not None
        brief.arm(300, 5)
        brief.disarm()
        await brief.aclose()
        async with asyncio.timeout(PATIENCE):
            while (await attached(kernel.folder)).was_running:
                await asyncio.sleep(0.01)


async def attached(folder: KernelFolder) -> LiveKernel:
    """A kernel as it is now; the connection is closed again."""
    kernel = await LiveKernel.attach(folder)
    assert kernel is not None
    await kernel.aclose()
    return kernel


# The end of the supervisor.


async def test_a_kernel_does_not_outlive_its_supervisor(start: Start) -> None:
    kernel = await start()
    os.kill(parent(kernel.pid), signal.SIGKILL)
    assert await ended(kernel) == {"exit_code": None, "signal": None, "killed_by": None}
    await gone(kernel.pid)
    assert await LiveKernel.attach(kernel.folder) is None
