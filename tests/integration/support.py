"""What the integration tests share besides fixtures: reading results, waiting, and other service processes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from kernel_manager import Session, Settings
from kernel_manager.execution.result import ExecutionResult
from kernel_manager.provisioning.live_kernel import LiveKernel
from kernel_manager.provisioning.runtime import KernelFolder, Runtime

#: Seconds within which everything that a test waits for comes, on a machine that has other things to do.
PATIENCE = 45.0


def value(result: ExecutionResult) -> str:
    """The text of what the cell's last expression came to."""
    (text,) = (output["data"]["text/plain"] for output in result.outputs if output["output_type"] == "execute_result")
    return str(text)


def printed(result: ExecutionResult) -> str:
    """What the cell wrote to its standard output."""
    return "".join(
        output["text"] for output in result.outputs if output["output_type"] == "stream" and output["name"] == "stdout"
    )


async def until(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Wait until the condition holds; for what there is no event for."""
    async with asyncio.timeout(patience):
        while not condition():
            await asyncio.sleep(0.01)


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended and is not yet reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def running(word: str) -> bool:
    """Whether a process runs that has ``word`` in its command; pids of a jail mean nothing out here."""
    commands = (path.parent for path in Path("/proc").glob("[0-9]*/cmdline") if word in _text(path).split("\0"))
    return any(lives(int(folder.name)) for folder in commands)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def resident_megabytes(pid: int) -> int:
    """What a process has in memory now."""
    return int(_text(Path(f"/proc/{pid}/status")).partition("VmRSS:")[2].split()[0]) // 1024


def parent(pid: int) -> int:
    """The pid of a process's parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def kernel_folders(settings: Settings) -> list[KernelFolder]:
    """The folders of all kernels in the runtime folder."""
    return Runtime(settings.runtime_path).folders()


async def kernel_pid(session: Session) -> int:
    """The pid of the session's kernel."""
    pid = (await session.info()).kernel_pid
    assert pid is not None
    return pid


async def pid_in(folder: KernelFolder) -> int:
    """The pid of the kernel in a folder."""
    kernel = await LiveKernel.attach(folder)
    assert kernel is not None
    await kernel.aclose()
    return kernel.pid


class Driver:
    """Another service process. What its code prints are the events that a test waits for."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def line(self) -> str:
        """The next line that it prints, or an empty text when it has ended."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            return (await self._process.stdout.readline()).decode().rstrip("\n")

    async def end(self) -> int:
        """Wait until it has ended and nobody holds its standard output any more; return its exit status."""
        async with asyncio.timeout(PATIENCE):
            await self._process.communicate()
        assert self._process.returncode is not None
        return self._process.returncode

    async def kill(self) -> None:
        """End it as a crash would."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()


@contextlib.asynccontextmanager
async def driver(settings: Settings, code: str) -> AsyncIterator[Driver]:
    """Run asynchronous code in another process, with an open ``interpreter`` and the function ``say(line)``."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _DRIVER % textwrap.indent(textwrap.dedent(code), " " * 8)),
        settings.model_dump_json(exclude_none=True),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    other = Driver(process)
    try:
        yield other
    finally:
        await other.kill()
        await process.communicate()


async def run_driver(settings: Settings, code: str) -> list[str]:
    """Run code as :func:`driver` does, to its end; return what it said."""
    said = []
    async with driver(settings, code) as other:
        while line := await other.line():
            said.append(line)
        assert await other.end() == 0
    return said


_DRIVER = """
import asyncio, json, sys
from pathlib import Path
from kernel_manager import *

def say(line):
    print(line, flush=True)

def value(result):
    return [o["data"]["text/plain"] for o in result.outputs if o["output_type"] == "execute_result"][-1]

async def main(settings):
    async with open_interpreter(settings) as interpreter:
%s

asyncio.run(main(Settings(**json.loads(sys.argv[1]))))
"""
